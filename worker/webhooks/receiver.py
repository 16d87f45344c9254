"""What the handlers of notifications share: what they keep, look up, and have under way."""

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

from .inbox import Deliveries
from .instruction_cache import ArmedInstructions

#: A token is asked for in the ledger no longer than this.
_LOOKUP_SECONDS = 0.5

Found = TypeVar("Found")


@dataclass
class Receiver:
    """What the handlers share."""

    armed: ArmedInstructions
    deliveries: Deliveries
    disk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[int] = field(default_factory=set)

    @property
    def works(self) -> bool:
        """Whether the threads behind it still run."""
        return self.armed.runs and self.deliveries.runs

    def begun(self, request: int) -> None:
        """A request is being answered."""
        self._open.add(request)
        self.idle.clear()

    def over(self, request: int) -> None:
        """It is not any more, answered or given up by its sender."""
        self._open.discard(request)
        if not self._open:
            self.idle.set()

    async def kept(self, keep: Callable[[], None]) -> None:
        """Keep a fact on the disk. Raises OSError and Full."""
        await asyncio.get_running_loop().run_in_executor(self.disk, keep)

    async def may_be_ours(self, account: str, token: str) -> bool:
        """Whether the token is one of the account's; with the ledger away it may be."""
        if not self.armed.ledger_answers:
            return True

        def look() -> bool:
            return ledger().recording_instructions.known(
                account, token, patience_seconds=_LOOKUP_SECONDS / 2
            )

        try:
            return await asyncio.wait_for(_beside(look), _LOOKUP_SECONDS)
        except (LedgerError, TimeoutError):
            return True


async def _beside(look: Callable[[], Found]) -> Found:
    """Look something up in a thread that nobody waits for at the end: a ledger that is frozen may
    keep it for ever. There are few: such a ledger is not asked a moment later.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Found] = loop.create_future()

    def tell(act: Callable[[Any], None], what: Any) -> None:
        if not found.done():
            act(what)

    def run() -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            try:
                loop.call_soon_threadsafe(tell, found.set_result, look())
            except LedgerError as error:
                loop.call_soon_threadsafe(tell, found.set_exception, error)

    threading.Thread(target=run, name="earwitness-lookup", daemon=True).start()
    return await found
