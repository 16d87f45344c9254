"""The connections of one event loop to Redis, with time limits.

redis-py's own pool waits for locks when a connection is returned, so that a cancelled task could
keep a place in it for ever. This one returns a connection without waiting, and closes every
connection whose last answer was not read to its end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as SlowError

from .addresses import Address
from .async_places import Places
from .async_reads import Reads
from .errors import MaybeQueued, NotQueued, NotSent
from .listening import Listening
from .redis_faults import (
    ANSWER_SECONDS,
    AWAY,
    CONNECT_SECONDS,
    FREE_CONNECTION_SECONDS,
    not_confirmed,
    not_connected,
)
from .sentinels import AsyncMaster, follow
from .subscription import Subscription

#: To get a connection that is ready, with everything that this takes.
_READY_SECONDS = FREE_CONNECTION_SECONDS + CONNECT_SECONDS
#: Fewer than for threads: a loop keeps these busy, and to open more at once would delay the first.
_MAX_CONNECTIONS = 8


class AsyncConnections:
    """The connections of one event loop of one process."""

    def __init__(self, address: Address) -> None:
        self.pid: int = os.getpid()
        over_network = {} if address.url.startswith("unix:") else {"socket_keepalive": True}
        pool = BlockingConnectionPool.from_url(
            address.url, retry=Retry(NoBackoff(), 0), protocol=2, **over_network
        )
        # Set afterwards, because options in the address would override arguments.
        pool.connection_kwargs.update(
            socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS
        )
        self._master = AsyncMaster(address.sentinels) if address.sentinels else None
        if self._master is not None:
            follow(pool, self._master)
        self._pool = pool
        #: Of all connections over TLS: to make one reads certificates, which blocks the loop.
        self._tls_context: Any = None
        self._free: list[Any] = []
        self._places = Places(_MAX_CONNECTIONS)
        self._closed = False
        #: The connection on which the states that are waited for are published.
        self.subscription: Subscription = Subscription(self._made)
        self._reads = Reads(self._read)

    def listen(self, keys: Iterable[str]) -> Listening:
        """Listen for publications under these keys, on the running loop."""
        subscription = self.subscription
        listening = Listening(asyncio.Event(), subscription.add, subscription.remove)
        listening.add(keys)
        subscription.start()
        return listening

    async def push(
        self,
        key: str,
        messages: Callable[[], Sequence[str]],
        explained: Callable[[NotSent], NotSent],
    ) -> None:
        """Put messages on a queue, all or none. Raises NotQueued or MaybeQueued.

        The messages are made when there is a connection for them, so that many tasks at once do not
        keep the loop busy. If the task is cancelled, a note of the CancelledError says whether they
        may be queued, as ``explained`` puts it.
        """
        is_sent = False
        try:
            async with self._ready() as connection:
                packed = connection.pack_command("LPUSH", key, *messages())
                is_sent = True
                await _exchange(connection, packed, 1)
        except asyncio.CancelledError as cancelled:
            error = MaybeQueued if is_sent else NotQueued
            cancelled.add_note(str(explained(error("the sending was cancelled"))))
            raise
        except AWAY as error:
            raise (not_confirmed if is_sent else not_connected)(error) from error

    async def ask(self, commands: Sequence[tuple[str, ...]]) -> list[Any]:
        """Return the replies to commands that only read. Raises RedisError or OSError."""
        return await self._reads.ask(commands)

    async def _read(self, commands: Sequence[tuple[str, ...]]) -> list[Any]:
        async with self._ready() as connection:
            return await _replies(connection, connection.pack_commands(commands), len(commands))

    async def close(self) -> None:
        """Close every connection that is not in use; the others close when they are returned."""
        self._closed = True
        await self.subscription.close()
        await self._reads.close()
        unused, self._free = self._free, []
        # Waits a little for the transports, so that a loop that ends now leaves none behind.
        await asyncio.gather(*(one.disconnect() for one in unused), return_exceptions=True)

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[Any]:
        """Lend a connection that is ready to send. Raises RedisError or OSError."""
        until = asyncio.get_running_loop().time() + _READY_SECONDS
        await self._places.take(until)
        connection: Any = None
        is_whole = False
        try:
            connection = self._free.pop() if self._free else self._made()
            await self._connect(connection, until)
            try:
                yield connection
                is_whole = True
            except ResponseError:
                is_whole = True
                raise
            finally:
                self._places.disconnected(is_answering=is_whole)
        finally:
            self._places.give_back()
            if is_whole and connection.is_connected and not self._closed:
                self._free.append(connection)
            elif connection is not None:
                await connection.disconnect(nowait=True)

    async def _connect(self, connection: Any, until: float) -> None:
        """Make a connection ready, as the attempt of all that wait. Raises RedisError or OSError.

        An attempt whose time is over says nothing to others: they have a time of their own.
        """
        attempt = self._places.attempt()
        try:
            async with asyncio.timeout_at(until):
                await self._make_ready(connection)
        except (TimeoutError, SlowError):
            raise
        except AWAY as error:
            self._places.not_connected(attempt, error)
            raise
        self._places.connected()

    def _made(self) -> Any:
        """Return a new connection, which is not connected yet."""
        connection: Any = self._pool.make_connection()
        if hasattr(connection, "ssl_context"):
            self._tls_context = self._tls_context or connection.ssl_context
            connection.ssl_context = self._tls_context
        return connection

    async def _make_ready(self, connection: Any) -> None:
        """Connect; replace a connection that was closed meanwhile, has something unread, or goes to
        a server that is no longer the master.
        """
        is_left = self._master is not None and self._master.is_left(connection)
        if connection.is_connected and (is_left or await _is_stale(connection)):
            await connection.disconnect(nowait=True)
        await connection.connect()


async def _exchange(connection: Any, packed: Any, count: int) -> list[Any]:
    """Send packed commands and read so many replies; raise the first reply that is an error."""
    replies = await _replies(connection, packed, count)
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply
    return replies


async def _replies(connection: Any, packed: Any, count: int) -> list[Any]:
    """Send packed commands and read so many replies, which may be errors."""
    async with asyncio.timeout(ANSWER_SECONDS):
        await connection.send_packed_command(packed, check_health=False)
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(await connection.read_response())
            except ResponseError as error:
                replies.append(error)
    return replies


async def _is_stale(connection: Any) -> bool:
    # redis-py before 7.2 has only the other name; later versions warn of it.
    can_read = getattr(connection, "can_read", None) or connection.can_read_destructive
    try:
        return bool(await can_read())
    except AWAY:
        return True
