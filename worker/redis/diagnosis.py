"""Why Redis gives nothing, in words that tell apart what is repaired in different places."""

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

_ADDRESS = "EARWITNESS_REDIS_URL"
#: kombu wraps errors, and Redis says each in its own way.
_REFUSED_PASSWORD = re.compile(r"WRONGPASS|NOAUTH|invalid (username|password)")


class Trouble(NamedTuple):
    """What is wrong, and what to do."""

    meaning: str
    advice: str


def trouble(error: BaseException) -> Trouble:
    """What an error of redis-py or kombu says; `doctor`, the worker's log and commands show it."""
    chain = _chain(error)
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return Trouble(
                f"its certificate is refused ({one.verify_message.rstrip('.')})",
                f"let ssl_ca_certs in {_ADDRESS} name the CA that signed it, and the host be one "
                "that the certificate names",
            )
        if isinstance(one, ssl.SSLError):
            return Trouble(
                f"it cannot be spoken to over TLS ({one.reason or type(one).__name__})",
                f"see that its port speaks TLS, or write redis:// in {_ADDRESS}",
            )
        if isinstance(one, NoPermissionError):
            return Trouble(
                f"its user may not do what is needed ({one})",
                "give it the rule of docs/redis.md (ACL SETUSER), and see ACL LOG",
            )
        if isinstance(one, ReadOnlyError):
            return Trouble(
                "it is a replica, to which nothing can be written",
                f"let {_ADDRESS} name its primary",
            )
        if isinstance(one, OutOfMemoryError):
            return Trouble(
                "its memory is full and it takes no message",
                "raise maxmemory, and see what fills it: redis-cli --bigkeys",
            )
        if isinstance(one, AuthenticationError) or _REFUSED_PASSWORD.search(str(one)):
            return Trouble(
                "it refuses user or password", f"see {_ADDRESS}; odd characters stand there as %xx"
            )
    return Trouble(f"does not answer ({type(error).__name__})", f"start it, or see {_ADDRESS}")


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in found:
        found.append(step)
        step = step.__cause__ or step.__context__
    return found
