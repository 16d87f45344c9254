"""Messages for tasks that this worker does not know: their callers learn which name comes
nearest, and an alert says that such messages come.

Mostly a name is misspelt, or its prefix was forgotten; else it is a task of a later version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from difflib import SequenceMatcher

from celery.exceptions import NotRegistered

from config.masking import mask_message
from ledger.alerts import EVERY_ACCOUNT, MESSAGE, Alert
from tasks.runtime import metrics
from tasks.runtime.context import ledger

_log = logging.getLogger(__name__)

#: The cause of the alert.
CAUSE = f"{MESSAGE}:unknown_task"

_PREFIX = "earwitness."
#: How alike two names must be, from 0 to 1, for one to be suggested for the other.
_ALIKE = 0.6
_MOST_LETTERS = 100
#: What lies beyond is not searched for secrets, and not shown either.
_MOST_READ = 4096


class Unknown:
    """Counts what came since the last alert, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._last = ""

    def note(self, name: object, known: Iterable[str]) -> None:
        """A message named a task that is not among those ``known``."""
        metrics.unknown_tasks.inc()
        sentence = meaning(name, known)
        _log.warning("%s", sentence)
        with self._lock:
            self._count += 1
            self._last = sentence

    def tell(self) -> None:
        """Open the alert, where something came. Raises LedgerAway; the next call tries again."""
        with self._lock:
            count, last = self._count, self._last
        if not count:
            return
        message = f"{last}; nothing was done; correct the name where it is sent"
        ledger().alerts.open(Alert(CAUSE, MESSAGE, EVERY_ACCOUNT, message))
        with self._lock:
            self._count -= count


unknown = Unknown()


def refusal(name: object, known: Iterable[str]) -> NotRegistered:
    """Return the exception that the caller of such a task gets."""
    return NotRegistered(f"not done: {meaning(name, known)}; no job was opened")


def meaning(name: object, known: Iterable[str]) -> str:
    """That a task is unknown, and which one may be meant."""
    near = nearest(name, known)
    hint = f": did you mean {near}?" if near else "; it may be one of a later version"
    return f"no task is called {_shown(name)}{hint}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The name of our task that is most like this one, None where none is like it."""
    if not isinstance(name, str) or len(name) > _MOST_LETTERS:
        return None
    asked = name.lower().removeprefix(_PREFIX)
    alike = [
        (SequenceMatcher(None, asked, one.removeprefix(_PREFIX)).ratio(), one)
        for one in known
        if one.startswith(_PREFIX)
    ]
    likeness, best = max(alike, default=(0.0, ""))
    return best if likeness >= _ALIKE else None


def _shown(name: object) -> str:
    if not isinstance(name, str) or not name.isprintable():
        return "so (its name is no text)"
    more = "..." if len(name) > _MOST_LETTERS else ""
    return f"{mask_message(name[:_MOST_READ])[:_MOST_LETTERS]!r}{more}"
