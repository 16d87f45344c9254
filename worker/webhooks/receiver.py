"""The state that the handlers of notifications share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ledger.errors import LedgerError
from tasks.runtime.context import ledger

from .inbox import Inbox
from .instruction_cache import InstructionCache

#: The time limit for looking up a token in the ledger.
_LOOKUP_SECONDS = 0.5

Found = TypeVar("Found")


@dataclass
class Receiver:
    """The handlers' cache of instructions, inbox, disk threads and open requests.

    ``idle`` is set while no request is being answered.
    """

    instructions: InstructionCache
    inbox: Inbox
    disk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[int] = field(default_factory=set)

    @property
    def is_working(self) -> bool:
        """Whether the threads of the cache and the inbox are alive."""
        return self.instructions.runs and self.inbox.runs

    def begin(self, request: int) -> None:
        """Note that a request is being answered."""
        self._open.add(request)
        self.idle.clear()

    def end(self, request: int) -> None:
        """Note that a request has been answered or given up by its sender."""
        self._open.discard(request)
        if not self._open:
            self.idle.set()

    async def store(self, write: Callable[[], None]) -> None:
        """Run a write to the inbox in a thread. Raises OSError and Full."""
        await asyncio.get_running_loop().run_in_executor(self.disk, write)

    async def may_be_valid(self, account: str, token: str) -> bool:
        """Return whether the token belongs to the account; True while the ledger is away."""
        if not self.instructions.ledger_answers:
            return True

        def look() -> bool:
            return ledger().recording_instructions.exists(
                account, token, patience_seconds=_LOOKUP_SECONDS / 2
            )

        try:
            return await asyncio.wait_for(_in_thread(look), _LOOKUP_SECONDS)
        except (LedgerError, TimeoutError):
            return True


async def _in_thread(look: Callable[[], Found]) -> Found:
    """Run a lookup in a thread of its own, which does not hold up the end of the process.

    A frozen ledger may hold such a thread for ever. Few of them pile up, because a ledger that does
    not answer is not asked again a moment later.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Found] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not found.done():
            setter(value)

    def run() -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            try:
                loop.call_soon_threadsafe(settle, found.set_result, look())
            except LedgerError as error:
                loop.call_soon_threadsafe(settle, found.set_exception, error)

    threading.Thread(target=run, name="earwitness-lookup", daemon=True).start()
    return await found
