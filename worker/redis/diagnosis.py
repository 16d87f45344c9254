"""Diagnosis of Redis errors: what is wrong, and where to repair it."""

from __future__ import annotations

import re
import ssl
from typing import NamedTuple

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.sentinel import MasterNotFoundError

_ADDRESS = "EARWITNESS_REDIS_URL"
#: kombu wraps errors, so that only their text remains; Redis has several for a refused login.
_REFUSED_PASSWORD = re.compile(r"WRONGPASS|NOAUTH|invalid (username|password)")
#: What redis-py says where no sentinel knows the master, or none answers.
_NO_MASTER = "No master found for"


class Diagnosis(NamedTuple):
    """What is wrong with Redis, and what to do about it."""

    meaning: str
    advice: str


def diagnose(error: BaseException) -> Diagnosis:
    """Diagnose an error of redis-py or kombu, for `doctor`, the worker's log and commands."""
    chain = _chain(error)
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return Diagnosis(
                f"its certificate is refused ({one.verify_message.rstrip('.')})",
                f"set ssl_ca_certs in {_ADDRESS} to the CA that signed it, and use a host "
                "that the certificate names",
            )
        if isinstance(one, ssl.SSLError):
            return Diagnosis(
                f"its TLS handshake fails ({one.reason or type(one).__name__})",
                f"check that its port speaks TLS, or write redis:// in {_ADDRESS}",
            )
        if isinstance(one, NoPermissionError):
            return Diagnosis(
                f"its user may not do what is needed ({one})",
                "give it the rule of docs/redis.md (ACL SETUSER), and see ACL LOG",
            )
        if isinstance(one, ReadOnlyError):
            return Diagnosis(
                "it is a replica, to which nothing can be written",
                f"point {_ADDRESS} at its primary",
            )
        if isinstance(one, OutOfMemoryError):
            return Diagnosis(
                "its memory is full and it accepts no messages",
                "raise maxmemory, and see what fills it: redis-cli --bigkeys",
            )
        if isinstance(one, MasterNotFoundError) or _NO_MASTER in str(one):
            return _without_master(one)
        if isinstance(one, AuthenticationError) or _REFUSED_PASSWORD.search(str(one)):
            return Diagnosis(
                "it refuses user or password",
                f"check {_ADDRESS}; write special characters in it as %xx",
            )
    return Diagnosis(f"does not answer ({type(error).__name__})", f"start it, or check {_ADDRESS}")


def _without_master(error: BaseException) -> Diagnosis:
    # redis-py has the sentinels' errors only as text.
    if _REFUSED_PASSWORD.search(str(error)) or AuthenticationError.__name__ in str(error):
        return Diagnosis(
            "its sentinels refuse user or password",
            f"check sentinel_username and sentinel_password in {_ADDRESS}",
        )
    return Diagnosis(
        "has no master now, according to its sentinels",
        "wait if it is being replaced, which takes seconds; otherwise check that the sentinels "
        f"run, and master_name in {_ADDRESS}",
    )


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in found:
        found.append(step)
        step = step.__cause__ or step.__context__
    return found
