"""One subscription for all waits of an event loop.

Celery's result backend publishes each state that it stores. A publication only ends a pause: the
states themselves are read. So nothing is missed when a connection is lost: once it is subscribed
again, every wait rereads its states.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from redis.exceptions import NoPermissionError

from .listening import Listening
from .redis_faults import ANSWER_SECONDS, AWAY, CONNECT_SECONDS

#: So many channels are subscribed to with one command.
_TOGETHER = 500
#: The silence after which the connection is tested, and again after which it counts as lost.
_PING_SECONDS = 10.0
#: The pause before the connection is made again: after a fault, and at most.
_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.1, 2.0
#: A user who may not subscribe does not try again for so long.
_REFUSED_SECONDS = 60.0


class Subscription:
    """The subscription of one event loop; all its methods belong on that loop.

    ``connection`` makes a connection that is not connected yet. The subscription
    has a connection only while something listens.
    """

    def __init__(self, connection: Callable[[], Any]) -> None:
        self._made = connection
        self._by_key: dict[str, set[Listening]] = {}
        self._confirmed: set[str] = set()
        #: What is to be subscribed and unsubscribed on the connection.
        self._new: set[str] = set()
        self._gone: set[str] = set()
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self._task: asyncio.Task[None] | None = None
        #: Until when (monotonic seconds) nothing is subscribed, because Redis refused it.
        self.refused_until: float = 0.0

    def add(self, listening: Listening, keys: Iterable[str]) -> None:
        """Wake ``listening`` at publications under these keys, and when they may be missed."""
        if time.monotonic() < self.refused_until:
            listening.lose()
        for key in keys:
            self._by_key.setdefault(key, set()).add(listening)
            if key in self._confirmed:
                listening.confirm(key)
            else:
                self._note(key, self._new, self._gone)

    def remove(self, listening: Listening, keys: Iterable[str]) -> None:
        """Wake it no more for these keys; unsubscribe those for which nothing else listens."""
        for key in keys:
            listeners = self._by_key.get(key, set())
            listeners.discard(listening)
            if not listeners and self._by_key.pop(key, None) is not None:
                self._confirmed.discard(key)
                self._note(key, self._gone, self._new)

    def start(self) -> None:
        """Follow the publications in a task of the running loop, until nothing listens."""
        is_refused = time.monotonic() < self.refused_until
        if not is_refused and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self.follow())

    async def ended(self) -> None:
        """Wait a moment for the task to end, if nothing listens any more."""
        if self._task is not None and not self._task.done() and not self._by_key:
            await asyncio.wait({self._task}, timeout=ANSWER_SECONDS)

    def stop(self) -> None:
        """Wake all that listen, and follow nothing more for them."""
        listening = {one for each in self._by_key.values() for one in each}
        self._by_key.clear()
        self._changed.set()
        for one in listening:
            one.lose()

    async def close(self) -> None:
        """Wake all that listen, and close the connection."""
        self.stop()
        await self.ended()

    async def follow(self) -> None:
        """Subscribe, again after each fault, until nothing listens."""
        pause = _FIRST_PAUSE_SECONDS
        while self._by_key:
            try:
                await self._follow_connection()
            except NoPermissionError:
                # A user of an earlier docs/redis.md: the waits read their states without this.
                self.refused_until = time.monotonic() + _REFUSED_SECONDS
                return
            except AWAY:  # asyncio's TimeoutError is an OSError
                longer = min(2 * pause, _MAX_PAUSE_SECONDS)
                pause = _FIRST_PAUSE_SECONDS if self._confirmed else longer
            finally:
                self._lose()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    while self._by_key:
                        self._changed.clear()
                        await self._changed.wait()

    def _note(self, key: str, to_do: set[str], undone: set[str]) -> None:
        undone.discard(key)
        to_do.add(key)
        self._changed.set()

    def _lose(self) -> None:
        """Have every wait read alone until the keys are subscribed again."""
        self._confirmed.clear()
        self._new, self._gone = set(self._by_key), set()
        for listening in {one for each in self._by_key.values() for one in each}:
            listening.lose()

    async def _follow_connection(self) -> None:
        connection = self._made()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()
            # Publications may be hours away; _ping notices a connection that is dead.
            connection.socket_timeout = None
            reading = asyncio.ensure_future(self._read(connection))
            try:
                await self._write(connection, reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            with suppress(*AWAY):
                await connection.disconnect(nowait=True)

    async def _read(self, connection: Any) -> None:
        while True:
            answer = await connection.read_response(disconnect_on_error=False, push_request=True)
            self._heard_at = time.monotonic()
            if not isinstance(answer, list | tuple) or len(answer) < 2:
                continue
            kind, key = _text(answer[0]), _text(answer[1])
            for listening in tuple(self._by_key.get(key, ())):
                if kind == "message":
                    listening.wake(key)
                elif kind == "subscribe" and key not in self._new:
                    listening.confirm(key)
            if kind == "subscribe" and key in self._by_key and key not in self._new:
                self._confirmed.add(key)

    async def _write(self, connection: Any, reading: asyncio.Future[None]) -> None:
        """Subscribe and unsubscribe what changes, and test a silent connection."""
        self._heard_at = time.monotonic()
        while self._by_key:
            self._changed.clear()
            new, self._new = self._new, set()
            gone, self._gone = self._gone, set()
            await _send(connection, "UNSUBSCRIBE", gone)
            await _send(connection, "SUBSCRIBE", new)
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                waited: set[asyncio.Future[Any]] = {changed, reading}
                await asyncio.wait(
                    waited, timeout=_PING_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                changed.cancel()
            if reading.done():
                reading.result()
            await self._ping(connection)

    async def _ping(self, connection: Any) -> None:
        silence = time.monotonic() - self._heard_at
        if silence >= 2 * _PING_SECONDS:
            raise TimeoutError
        if silence >= _PING_SECONDS:
            await _send(connection, "PING", {""})


async def _send(connection: Any, command: str, arguments: set[str]) -> None:
    given = list(arguments)
    async with asyncio.timeout(ANSWER_SECONDS):
        for start in range(0, len(given), _TOGETHER):
            packed = connection.pack_command(command, *given[start : start + _TOGETHER])
            await connection.send_packed_command(packed, check_health=False)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
