"""The subscription of a blocking client, on a thread that lives while something waits."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from .addresses import Address
from .async_connections import AsyncConnections
from .listening import Listening
from .subscription import Subscription

_log = logging.getLogger("earwitness_client")

_Action = Callable[[Subscription], None]


class ThreadedSubscription:
    """One subscription for all threads of a process.

    Without a thread, where the interpreter ends or a system has no room for one, the waits read
    their states alone.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        #: Reentrant, because a collected generator may close its listening anywhere.
        self._lock = threading.RLock()
        #: What is to be done on the thread's loop.
        self._actions: deque[_Action] = deque()
        self._is_running = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscription: Subscription | None = None
        self._refused_until = 0.0

    def listen(self, keys: Iterable[str]) -> Listening:
        """Listen for publications under these keys."""
        listening = Listening(threading.Event(), self._add, self._drop)
        listening.add(keys)
        return listening

    def close(self) -> None:
        """Wake every wait, and end the thread soon."""
        with self._lock:
            if self._is_running:
                self._do(Subscription.stop)

    def _add(self, listening: Listening, keys: frozenset[str]) -> None:
        with self._lock:
            if time.monotonic() >= self._refused_until:
                self._do(lambda subscription: subscription.add(listening, keys))
                if not self._is_running:
                    self._start()
            if not self._is_running:
                listening.lose()

    def _drop(self, listening: Listening, keys: frozenset[str]) -> None:
        with self._lock:
            if self._is_running:
                self._do(lambda subscription: subscription.remove(listening, keys))

    def _do(self, action: _Action) -> None:
        self._actions.append(action)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._act)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="earwitness-results", daemon=True)
        self._is_running = True
        try:
            thread.start()
        except RuntimeError as error:
            self._is_running = False
            self._actions.clear()
            _log.debug("no thread could be started for the subscription: %s", error)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except Exception as error:  # noqa: BLE001 - the waits continue without it
            _log.debug("the subscription ended: %r", error)
            with self._lock:
                self._end()

    async def _follow(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._subscription = followed = AsyncConnections(self._address).subscription
        while True:
            self._act()
            await followed.follow()
            with self._lock:
                self._refused_until = followed.refused_until
                if not self._actions or time.monotonic() < self._refused_until:
                    self._end()
                    return

    def _act(self) -> None:
        while self._actions and self._subscription is not None:
            self._actions.popleft()(self._subscription)

    def _end(self) -> None:
        self._is_running = False
        self._loop = self._subscription = None
        self._actions.clear()
