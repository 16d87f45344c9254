"""The instructions that notifications are answered with, kept in memory.

A notification is answered within milliseconds whether the ledger is there or not. Away, those known
before are answered with until their ``not_after``; what was armed since, and everything after a
restart meanwhile, is answered with nothing, and the start ends *failed* (Expired).
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

_SECONDS = 0.2
#: A ledger that has not answered for so long is not asked while a notification waits.
_AWAY_SECONDS = 2.0


class ArmedInstructions:
    """A thread reads them again and again; each is given away once.

    Several receivers beside each other may each give the same one away within a moment: the call is
    recorded twice then, which is better than not at all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, tuple[Instruction, float]] = {}
        self._given: dict[str, float] = {}
        self._read_at = float("-inf")
        self._told = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earwitness-armed", daemon=True)

    @property
    def ledger_answers(self) -> bool:
        """Whether the ledger answered a moment ago."""
        return time.monotonic() - self._read_at < _AWAY_SECONDS

    @property
    def runs(self) -> bool:
        """Whether they are still read."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def take(
        self, account: str, call_id: str, is_fitting: Callable[[str], bool]
    ) -> Instruction | None:
        """The oldest instruction for a call, now taken, whose control ``is_fitting``; None where
        there is none.
        """
        with self._lock:
            for token, (instruction, until) in self._armed.items():
                mine = (instruction.account, instruction.call_id) == (account, call_id)
                fits = mine and is_fitting(instruction.control)
                if fits and time.monotonic() < until:
                    del self._armed[token]
                    self._given[token] = time.monotonic()
                    return instruction
        return None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except LedgerError as error:
                if not self._told:
                    _log.warning("notifications are answered from memory: %s", error)
                self._told = True
            except Exception:  # noqa: BLE001 - logged; a thread that dies arms nothing more
                _log.exception("the armed instructions were not read")
            self._stop.wait(_SECONDS)

    def _read(self) -> None:
        begun = time.monotonic()
        found = ledger().recording_instructions.armed(patience_seconds=_SECONDS)
        still = {one.instruction.token for one in found}
        with self._lock:
            # The ledger learns of what was given away a moment later.
            self._given = {
                token: at for token, at in self._given.items() if token in still or at >= begun
            }
            self._armed = {
                one.instruction.token: (one.instruction, begun + one.seconds_left)
                for one in found
                if one.instruction.token not in self._given
            }
        self._read_at = time.monotonic()
        if self._told:
            _log.warning("the ledger answers again")
        self._told = False
