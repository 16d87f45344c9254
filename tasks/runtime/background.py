"""Work that may hang, in a thread of its own: its caller waits for a limited time only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class StillRunning(Exception):
    """The work did not end within the time that its caller could wait. It continues."""


class Background(Generic[Result]):
    """Work that a thread of its own carries out once, from now on.

    The thread does not keep the process alive: Python cannot interrupt a call that hangs.
    """

    def __init__(self, work: Callable[[], Result], name: str) -> None:
        self._work = work
        self._is_over = threading.Event()
        self._result: Result
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=f"earwitness-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            self._is_over.set()

    @property
    def is_over(self) -> bool:
        """Whether the work has ended, with a result or an error."""
        return self._is_over.is_set()

    def result(self, seconds: float) -> Result:
        """Return the result, and wait for it at most so many seconds.

        Raises StillRunning, or the error with which the work ended.
        """
        if not self._is_over.wait(seconds):
            raise StillRunning
        if self._error is not None:
            raise self._error
        return self._result
