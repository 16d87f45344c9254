"""Messages for unknown tasks: callers get the most similar name, people get an alert.

Usually the name is misspelt or lacks its prefix; otherwise the task may be one of a later version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from difflib import SequenceMatcher

from celery.exceptions import NotRegistered

from config.masking import mask_message
from ledger.alerts import EVERY_ACCOUNT, MESSAGE, Alert
from tasks.runtime import metrics
from tasks.runtime.context import ledger
from tasks.runtime.versions import difference

_log = logging.getLogger(__name__)

#: The cause of the alert.
CAUSE = f"{MESSAGE}:unknown_task"

_PREFIX = "earwitness."
#: The least similarity of a suggested name, from 0 to 1.
_MIN_SIMILARITY = 0.6
_MAX_LETTERS = 100
#: Characters beyond these are neither searched for secrets nor shown.
_MAX_SEARCHED = 4096


class UnknownTasks:
    """Counts messages for unknown tasks since the last alert; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._last = ""

    def note(self, name: object, known: Iterable[str]) -> None:
        """Count and log a message for a task that is not among those ``known``."""
        metrics.unknown_tasks.inc()
        sentence = meaning(name, known)
        _log.warning("%s", sentence)
        with self._lock:
            self._count += 1
            self._last = sentence

    def open_alert(self) -> None:
        """Open the alert if there were such messages. Raises LedgerAway; call again then."""
        with self._lock:
            count, last = self._count, self._last
        if not count:
            return
        message = f"{last}; nothing was done; correct the name where it is sent"
        ledger().alerts.open(Alert(CAUSE, MESSAGE, EVERY_ACCOUNT, message))
        with self._lock:
            self._count -= count


unknown = UnknownTasks()
#: The version of the client whose message is refused in this thread, as its header names it.
sender: ContextVar[object] = ContextVar("sender", default=None)


def refusal(name: object, known: Iterable[str]) -> NotRegistered:
    """Return the exception that the caller of such a task gets."""
    versions = difference(sender.get())
    return NotRegistered(f"not done: {meaning(name, known)}; no job was opened{versions}")


def meaning(name: object, known: Iterable[str]) -> str:
    """Return a sentence that the task is unknown, with the name that may be meant."""
    near = nearest(name, known)
    hint = f": did you mean {near}?" if near else "; it may be one of a later version"
    return f"no task is called {_shown(name)}{hint}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return our task's name that is most similar to ``name``, None if none is similar."""
    if not isinstance(name, str) or len(name) > _MAX_LETTERS:
        return None
    wanted = name.lower().removeprefix(_PREFIX)
    candidates = [
        (SequenceMatcher(None, wanted, one.removeprefix(_PREFIX)).ratio(), one)
        for one in known
        if one.startswith(_PREFIX)
    ]
    similarity, best = max(candidates, default=(0.0, ""))
    return best if similarity >= _MIN_SIMILARITY else None


def _shown(name: object) -> str:
    if not isinstance(name, str) or not name.isprintable():
        return "so (its name is not a text)"
    more = "..." if len(name) > _MAX_LETTERS else ""
    return f"{mask_message(name[:_MAX_SEARCHED])[:_MAX_LETTERS]!r}{more}"
