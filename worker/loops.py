"""Loops: the threads of a worker that each repeat one piece of work.

What one loop needs may hang, such as the archive; then this loop alone stands still. Its work is
not started a second time, so that threads never pile up. A log line and `doctor` report a round
that takes long.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from config.settings import settings
from ledger.errors import LedgerError

_log = logging.getLogger(__name__)

#: The pause before the next round while there is more to do.
_BUSY_PAUSE_SECONDS = 0.05
#: A round that takes longer is reported.
LATE_SECONDS = 10.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class LateRound:
    """A round that takes long: its loop, what the loop needs, and the seconds so far."""

    loop: str
    needs: str
    seconds: float


class Loop:
    """Repeats an action every few seconds in a thread of its own.

    ``needs`` names what the action waits for, for people. The action returns True if there is more
    to do at once.
    """

    def __init__(self, name: str, needs: str, action: Callable[[], Any]) -> None:
        self.name = name
        self.needs = needs
        self._action = action
        self._began_at: float | None = None
        self._failure: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"earwitness-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread; the first round follows a pause."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further round."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the current round; return whether it came in time."""
        self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def running_seconds(self) -> float:
        """Return for how long the current round has run; 0 between rounds."""
        began_at = self._began_at
        return 0.0 if began_at is None else time.monotonic() - began_at

    def _run(self) -> None:
        pause = settings().sweep_seconds
        while not self._stop.wait(pause):
            pause = settings().sweep_seconds
            self._began_at = time.monotonic()
            try:
                if self._action() is True:
                    pause = min(pause, _BUSY_PAUSE_SECONDS)
                self._failure = None
            except LedgerError as error:
                self._note_failure(str(error))
            except Exception:  # noqa: BLE001 - logged; a dead thread would leave jobs unannounced
                _log.exception("%s round failed, will retry", self.name)
            finally:
                self._began_at = None

    def _note_failure(self, why: str) -> None:
        """Log why a round failed, once for as long as the rounds fail for the same reason."""
        level = logging.DEBUG if why == self._failure else logging.WARNING
        _log.log(level, "%s round failed, will retry: %s", self.name, why)
        self._failure = why


class Loops:
    """The loops of this process, and a thread that reports the rounds that take long."""

    def __init__(self) -> None:
        self._loops: tuple[Loop, ...] = ()
        self._reported: dict[str, float] = {}
        self._stop = threading.Event()

    def start(self, loops: Iterable[Loop]) -> None:
        """Start the loops."""
        self._loops = tuple(loops)
        for loop in self._loops:
            loop.start()
        threading.Thread(target=self._watch, name="earwitness-loops", daemon=True).start()

    def stop(self, seconds: float) -> list[str]:
        """Stop the loops; return the names of those whose rounds did not end within ``seconds``."""
        self._stop.set()
        for loop in self._loops:
            loop.stop()
        until = time.monotonic() + seconds
        return [
            loop.name
            for loop in self._loops
            if not loop.join(seconds=max(until - time.monotonic(), 0.0))
        ]

    def late(self) -> list[LateRound]:
        """Return the rounds that have run for long."""
        running = [(loop, loop.running_seconds()) for loop in self._loops]
        return [
            LateRound(loop.name, loop.needs, seconds)
            for loop, seconds in running
            if seconds >= LATE_SECONDS
        ]

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.report()

    def report(self) -> None:
        """Log each round that takes long once, and its end."""
        late = {one.loop: one for one in self.late()}
        for name, one in late.items():
            if name not in self._reported:
                _log.warning(
                    "%s has kept the loop '%s' of this worker waiting for %.0f s: it hangs or is "
                    "slow; all other work continues",
                    *(one.needs, name, one.seconds),
                )
            self._reported[name] = one.seconds
        for name in self._reported.keys() - late.keys():
            seconds = self._reported.pop(name)
            _log.warning("the loop '%s' continues after waiting for %.0f s", name, seconds)


loops = Loops()
