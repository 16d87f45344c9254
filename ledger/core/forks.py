"""Writers in a process that forks: a fork falls between two transactions, and the new process has
writers of its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol


class HasThread(Protocol):
    """An owner of a thread that writes."""

    #: Held by the thread while its transaction is open.
    between_groups: threading.RLock

    def leave_to_parent(self) -> Any:
        """Start afresh in the new process; return what belongs to its parent."""


#: How long a fork waits for each, in seconds.
_WAIT_SECONDS = 5.0

_watched: weakref.WeakSet[HasThread] = weakref.WeakSet()
_held: list[HasThread] = []
#: Connections of parents. They must stay open: to close one here could damage what the parent does
#: with it.
_of_parents: list[Any] = []


def watch(writer: HasThread) -> None:
    """Let later forks of this process heed a writer."""
    _watched.add(writer)


def _before() -> None:
    """Wait until no transaction is open: in the new process, SQLite would take its lock as held for
    ever.
    """
    _held[:] = [one for one in _watched if one.between_groups.acquire(timeout=_WAIT_SECONDS)]


def _after_in_parent() -> None:
    while _held:
        _held.pop().between_groups.release()


def _after_in_child() -> None:
    _held.clear()
    _of_parents.extend(writer.leave_to_parent() for writer in list(_watched))


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
