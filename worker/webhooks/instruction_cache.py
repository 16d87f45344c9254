"""A cache of the armed recording instructions, with which notifications are answered.

The receiver answers within milliseconds, whether the ledger is away or not. While it is away, the
instructions in memory are used until their ``not_after``. Instructions armed since then, and all of
them after a restart, are missing: their notifications get an empty document, and the start of the
recording ends *failed* (Expired).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ledger.errors import LedgerError
from ledger.recording_instructions import Instruction
from tasks.runtime.context import ledger

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 0.2
#: After this silence, the receiver asks the ledger nothing while a notification waits.
_FRESH_SECONDS = 2.0


class InstructionCache:
    """Armed instructions, refreshed by a thread; ``take`` returns each of them once.

    Two receivers that run side by side may both take the same instruction within a moment. The call
    is then recorded twice, which is better than not at all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, tuple[Instruction, float]] = {}
        self._taken: dict[str, float] = {}
        self._read_at = float("-inf")
        self._is_logged = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earwitness-armed", daemon=True)

    @property
    def ledger_answers(self) -> bool:
        """Whether the ledger answered within the last two seconds."""
        return time.monotonic() - self._read_at < _FRESH_SECONDS

    @property
    def runs(self) -> bool:
        """Whether the thread that refreshes the cache is alive."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def take(
        self, account: str, call_id: str, is_fitting: Callable[[str], bool]
    ) -> Instruction | None:
        """Take the oldest instruction for a call whose control ``is_fitting``, or return None."""
        with self._lock:
            for token, (instruction, until) in self._armed.items():
                mine = (instruction.account, instruction.call_id) == (account, call_id)
                fits = mine and is_fitting(instruction.control)
                if fits and time.monotonic() < until:
                    del self._armed[token]
                    self._taken[token] = time.monotonic()
                    return instruction
        return None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except LedgerError as error:
                if not self._is_logged:
                    _log.warning("notifications are answered from memory: %s", error)
                self._is_logged = True
            except Exception:  # noqa: BLE001 - logged; a dead thread would refresh nothing more
                _log.exception("the armed instructions were not read")
            self._stop.wait(_INTERVAL_SECONDS)

    def _read(self) -> None:
        begun = time.monotonic()
        found = ledger().recording_instructions.armed(patience_seconds=_INTERVAL_SECONDS)
        still = {one.instruction.token for one in found}
        with self._lock:
            # The ledger learns of taken instructions a moment later.
            self._taken = {
                token: at for token, at in self._taken.items() if token in still or at >= begun
            }
            self._armed = {
                one.instruction.token: (one.instruction, begun + one.seconds_left)
                for one in found
                if one.instruction.token not in self._taken
            }
        self._read_at = time.monotonic()
        if self._is_logged:
            _log.warning("the ledger answers again")
        self._is_logged = False
