"""Addresses of Redis behind Sentinel, in our notation and in that of Celery and redis-py.

Ours is ``sentinel://user:password@h1:26379,h2:26379/0?master_name=mymaster``, with ``sentinels://``
for TLS. User and password are those of Redis. The sentinels' own are the options
``sentinel_username`` and ``sentinel_password``. kombu's list of addresses, with ``;`` between them,
is read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from . import tls
from .address_parts import split_address

SCHEMES = ("sentinel", "sentinels")
_PASSWORD = "sentinel_password"  # noqa: S105 - an option's name
_USERNAME, _MASTER = "sentinel_username", "master_name"
_OPTIONS = (_MASTER, _USERNAME, _PASSWORD)
_PORT = 26379
#: To connect to a sentinel, and again for its answer. A silent one costs that once: the first to
#: answer is then asked first.
_SECONDS = 1.0
_DATABASE = re.compile(r"(/\d*)?")
#: What Sentinel itself takes as a name.
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXAMPLE = 'write it like "sentinel://h1:26379,h2:26379,h3:26379/0?master_name=mymaster"'


@dataclass(frozen=True)
class Sentinels:
    """The sentinels of an address, and how to connect to the master that they name.

    ``username`` and ``password`` are those of Redis, ``sentinel_username`` and
    ``sentinel_password`` those of the sentinels. ``tls`` holds redis-py's options for both, None
    without TLS.
    """

    hosts: tuple[tuple[str, int], ...]
    master_name: str
    database: int
    username: str | None
    password: str | None = field(repr=False)
    sentinel_username: str | None
    sentinel_password: str | None = field(repr=False)
    tls: dict[str, Any] | None

    @property
    def connection_options(self) -> dict[str, Any]:
        """redis-py's options for connections to the sentinels.

        Without ``retry``, redis-py would ask a silent sentinel for many seconds.
        """
        # Commands that read the ledger or an archive alone need the settings, but no Redis.
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        return {
            "socket_timeout": _SECONDS,
            "socket_connect_timeout": _SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "username": self.sentinel_username,
            "password": self.sentinel_password,
            **({"ssl": True, **self.tls} if self.tls else {}),
        }


def is_sentinel(url: str) -> bool:
    """Return whether an address names sentinels."""
    return url.partition("://")[0].lower() in SCHEMES


def complete_address(url: str, root: Path) -> str:
    """Return a complete address with one list of hosts. Raises ValueError if it is wrong."""
    first, *others = _parts(url)
    hosts = [host for one in (first, *others) for host in _hosts(one)]
    users = _one_of((_user(one) for one in (first, *others)), "user and password of Redis")
    path = _one_of((one.path.rstrip("/") for one in (first, *others)), "database")
    query = "&".join(one.query for one in (first, *others) if one.query)
    if not _DATABASE.fullmatch(path):
        raise ValueError(f"does not give the number of a database, such as /0; {_EXAMPLE}")
    _check_options(query)
    netloc = f"{users}@{','.join(hosts)}" if users else ",".join(hosts)
    complete = f"{first.scheme}://{netloc}{path or '/0'}?{query}"
    if first.scheme == "sentinels":
        return tls.complete_address(complete, root)
    tls.refuse_options_without_tls(complete, "sentinels://")
    return complete


def read(url: str) -> Sentinels:
    """Read a complete address."""
    parts = split_address(url)
    options = dict(parse_qsl(parts.query))
    hosts = (urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(","))
    return Sentinels(
        hosts=tuple((one.hostname or "", one.port or _PORT) for one in hosts),
        master_name=options[_MASTER],
        database=int(parts.path.strip("/") or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        sentinel_username=options.get(_USERNAME),
        sentinel_password=options.get(_PASSWORD),
        tls=tls.options(url),
    )


def password(url: str) -> str | None:
    """Return the sentinels' password in an address, None if there is none."""
    return dict(parse_qsl(split_address(url).query)).get(_PASSWORD) if is_sentinel(url) else None


def without_password(url: str) -> str:
    """Return an address without the sentinels' password."""
    parts = split_address(url)
    left = [(name, value) for name, value in parse_qsl(parts.query) if name != _PASSWORD]
    return parts._replace(query=urlencode(left, safe="/")).geturl()


def celery_address(url: str) -> str:
    """Return the first sentinel's address as Celery writes it.

    Our own channel and result backend take the others from the settings, because kombu would tell
    Flower a list of addresses with its passwords.
    """
    parts = split_address(url)
    return f"sentinel://{parts.netloc.split(',')[0]}{parts.path}"


def _parts(url: str) -> list[SplitResult]:
    """Split kombu's list of addresses; ours is a list of one."""
    try:
        parts = [split_address(one) for one in url.split(";")]
    except ValueError:  # unbalanced brackets
        raise ValueError(f"is not an address of sentinels; {_EXAMPLE}") from None
    if {one.scheme for one in parts} - {parts[0].scheme}:
        raise ValueError(f'has ";" before something other than {parts[0].scheme}://; {_EXAMPLE}')
    return parts


def _hosts(parts: SplitResult) -> list[str]:
    """Return the sentinels of an address with their ports, which Celery would take for Redis'."""
    found = []
    for host in parts.netloc.rpartition("@")[2].split(","):
        try:
            one = urlsplit(f"//{host}")
            is_named = bool(one.hostname) and one.port != 0
        except ValueError:  # an invalid port
            is_named = False
        if not is_named:
            raise ValueError(f"names a sentinel without a host or with an invalid port; {_EXAMPLE}")
        found.append(host if one.port else f"{host.rstrip(':')}:{_PORT}")
    return found


def _user(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[0]


def _one_of(values: Iterable[str], what: str) -> str:
    found = {one for one in values if one}
    if len(found) > 1:
        raise ValueError(f"names more than one {what}; {_EXAMPLE}")
    return found.pop() if found else ""


def _check_options(query: str) -> None:
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    if any(not (name in _OPTIONS or name.startswith("ssl_")) for name in options):
        # The unknown one is not quoted: it may be a part of a password with a "&" in it.
        raise ValueError(
            f"has an unknown option; the options are {', '.join(_OPTIONS)} and, with sentinels://, "
            "those of TLS; write special characters as %xx"
        )
    if len(given) != len(options):
        raise ValueError("has an option twice")
    if not options.get(_MASTER):
        raise ValueError(
            f"has no {_MASTER}, the name by which the sentinels know the master; {_EXAMPLE}"
        )
    if not _NAME.fullmatch(options[_MASTER]):
        raise ValueError(f"has a {_MASTER} that sentinels do not accept; {_EXAMPLE}")
    if any(value == "" for value in options.values()):
        raise ValueError("has an option without a value")
    if _USERNAME in options and _PASSWORD not in options:
        raise ValueError(f"has {_USERNAME} without {_PASSWORD}")
