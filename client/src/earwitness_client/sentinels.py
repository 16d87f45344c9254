"""Redis behind Sentinel: the address, and connections to the master that the sentinels name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import redis.asyncio.sentinel
import redis.sentinel
from redis import BlockingConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from .errors import InvalidArgument

SCHEMES = ("sentinel", "sentinels")
ADVICE = 'write it like "sentinel://user:password@h1:26379,h2:26379/0?master_name=mymaster"'
_MASTER, _USERNAME, _PASSWORD = "master_name", "sentinel_username", "sentinel_password"
_PORT = 26379
_DATABASE = re.compile(r"(/\d*)?")
#: To connect to a sentinel, and again for its answer. A silent one costs that once: the first to
#: answer is then asked first.
_SECONDS = 0.2

_Host = tuple[str, int]


@dataclass(frozen=True)
class Sentinels:
    """The sentinels that name a master, and redis-py's options for connections to them."""

    hosts: tuple[_Host, ...]
    master_name: str
    options: Mapping[str, Any] = field(repr=False)

    @property
    def place(self) -> str:
        """The master's and the sentinels' names, without user and password."""
        return f"{self.master_name} at {','.join(f'{host}:{port}' for host, port in self.hosts)}"

    def with_tls(self, options: Mapping[str, Any]) -> Sentinels:
        """Return the same with redis-py's options of TLS."""
        return replace(self, options={**self.options, **options})


def read_sentinels(url: str) -> tuple[str, Sentinels]:
    """Return an address of Redis in redis-py's notation, with a sentinel for its host, and the
    sentinels. Raises InvalidArgument.

    kombu's list of addresses, with ``;`` between them, is read too.
    """
    try:
        parts = [_split(one) for one in url.split(";")]
        hosts = tuple(host for one in parts for host in _hosts(one))
        options = dict(parse_qsl("&".join(one.query for one in parts)))
        name = options.pop(_MASTER)
        if {one.scheme for one in parts} != {parts[0].scheme}:
            raise ValueError
        user = _one_of({one.netloc.rpartition("@")[0] for one in parts})
        path = _one_of({one.path for one in parts})
        if not _DATABASE.fullmatch(path):
            raise ValueError
    except (KeyError, ValueError):
        raise InvalidArgument(f"not done: url: {ADVICE}") from None
    own = {"username": options.pop(_USERNAME, None), "password": options.pop(_PASSWORD, None)}
    scheme, tls = ("rediss", {"ssl": True}) if parts[0].scheme == "sentinels" else ("redis", {})
    place = f"{user}@{_written(hosts[0])}" if user else _written(hosts[0])
    query = f"?{urlencode(options)}" if options else ""
    return f"{scheme}://{place}{path}{query}", Sentinels(hosts, name, {**own, **tls})


class Master:
    """The master for redis-py's connections, which ask for its address when they connect."""

    is_master: bool = True
    check_connection: bool = False

    def __init__(self, sentinels: Sentinels) -> None:
        self.service_name: str = sentinels.master_name
        self._options: dict[str, Any] = dict(sentinels.options)
        self.is_tls: bool = "ssl" in sentinels.options
        self._hosts: tuple[_Host, ...] = sentinels.hosts
        #: Where the sentinels last said that the master is.
        self.address: _Host | None = None

    def get_master_address(self) -> _Host:
        """Ask the sentinels. Raises MasterNotFoundError, which is a ConnectionError."""
        asked = redis.sentinel.Sentinel(
            self._hosts, sentinel_kwargs=self._limited(Retry(NoBackoff(), 0))
        )
        try:
            host, port = asked.discover_master(self.service_name)
            self._remember(asked.sentinels[0])
        finally:
            for one in asked.sentinels:
                one.close()
        return self._found(host, port)

    def _found(self, host: Any, port: Any) -> _Host:
        found = str(host), int(port)
        self.address = found
        return found

    def is_left(self, connection: Any) -> bool:
        """Return whether a connection goes to a server that was the master before."""
        return self.address is not None and (connection.host, connection.port) != self.address

    def _limited(self, retry: Any) -> dict[str, Any]:
        limits = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS, "retry": retry}
        return {**self._options, **limits}

    def _remember(self, answered: Any) -> None:
        """Ask first the next time the sentinel that answered."""
        options = answered.connection_pool.connection_kwargs
        first = options["host"], options["port"]
        self._hosts = (first, *(one for one in self._hosts if one != first))


class AsyncMaster(Master):
    """The same for connections of an event loop."""

    async def get_master_address(self) -> _Host:  # type: ignore[override]
        """Ask the sentinels. Raises MasterNotFoundError, which is a ConnectionError."""
        asked = redis.asyncio.sentinel.Sentinel(
            self._hosts, sentinel_kwargs=self._limited(AsyncRetry(NoBackoff(), 0))
        )
        try:
            host, port = await asked.discover_master(self.service_name)
            self._remember(asked.sentinels[0])
        finally:
            closed = (one.aclose() for one in asked.sentinels)
            await asyncio.gather(*closed, return_exceptions=True)
        return self._found(host, port)


class _MasterPool(BlockingConnectionPool):
    """A pool that lends no connection to a server that was the master before."""

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """Return a connection to the master. Raises RedisError and OSError."""
        connection = super().get_connection(*arguments, **options)
        if self.connection_kwargs["connection_pool"].is_left(connection):
            connection.disconnect()
            try:
                connection.connect()
            except BaseException:
                self.release(connection)
                raise
        return connection


def pool_class(sentinels: Sentinels | None) -> Any:
    """Return the class of a pool of connections to one server, or to the sentinels' master."""
    return _MasterPool if sentinels else BlockingConnectionPool


def follow(pool: Any, master: Master) -> None:
    """Have the new connections of a pool, blocking or not, go to the master."""
    module = redis.asyncio.sentinel if isinstance(master, AsyncMaster) else redis.sentinel
    kinds = module.SentinelManagedConnection, module.SentinelManagedSSLConnection
    pool.connection_class = kinds[master.is_tls]
    # The address's host is a sentinel, and redis-py binds its notices of maintenance to it.
    for name in tuple(pool.connection_kwargs):
        if name in {"host", "port"} or name.startswith(("orig_", "maint_")):
            del pool.connection_kwargs[name]
    pool.connection_kwargs["connection_pool"] = master


def _split(url: str) -> SplitResult:
    """Split an address of several hosts.

    From Python 3.14 on, `urlsplit` refuses them if one is an IPv6 address.
    """
    scheme, _, rest = url.partition("://")
    hosts = re.split("[/?#]", rest, maxsplit=1)[0]
    return urlsplit(f"{scheme}://{rest[len(hosts) :]}")._replace(netloc=hosts)


def _hosts(parts: SplitResult) -> list[_Host]:
    named = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
    hosts = [(one.hostname or "", one.port or _PORT) for one in named]
    if not all(host for host, _ in hosts):
        raise ValueError
    return hosts


def _one_of(values: set[str]) -> str:
    """Return the only one that is not empty. Raises ValueError if there are several."""
    (found,) = (values - {""}) or {""}
    return found


def _written(host: _Host) -> str:
    return f"[{host[0]}]:{host[1]}" if ":" in host[0] else f"{host[0]}:{host[1]}"
