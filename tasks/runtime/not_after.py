"""``not_after``: past this time nothing is sent, and the caller learns so without delay."""

from __future__ import annotations

import time
from typing import Any

from tasks.errors import Expired, InvalidArgument, Uncertain

from .runner import Attempt, Run, Wait


class Deadline:
    """The ``not_after`` of a job that was claimed just now.

    The time of the claim is the database's; from then on this process' monotonic clock counts.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._job = attempt.job
        self._claimed = time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether ``not_after`` has passed."""
        return self._left() <= 0

    def refuse_late(self) -> None:
        """Raise Expired if ``not_after`` has passed; the caller has sent nothing."""
        if self.passed:
            why = f"; last: {self._job.reason}" if self._job.reason else ""
            raise Expired(f"not done: not_after has passed and nothing was sent{why}")

    def wait(self, reason: str, seconds: float, *, progressed: bool = True) -> Wait:
        """Return a wait that ends at ``not_after`` at the latest."""
        return Wait(reason, min(seconds, max(self._left(), 0.0)), progressed=progressed)

    def _left(self) -> float:
        if self._job.not_after is None:
            return float("inf")
        since_claim = time.monotonic() - self._claimed
        return self._job.not_after - self._job.updated_at - since_claim


def expire_if_late(run: Run) -> Run:
    """Wrap the work so that it raises Expired if it has not begun by ``not_after``."""

    def work(attempt: Attempt) -> Any:
        if attempt.job.attempts == 1:
            Deadline(attempt).refuse_late()
        return run(attempt)

    return work


def end_without_account(run: Run) -> Run:
    """Wrap a short action so that its job ends at ``not_after`` even if no worker knows its account
    any more.
    """

    def work(attempt: Attempt) -> Any:
        deadline = Deadline(attempt)
        try:
            return run(attempt)
        except InvalidArgument as error:
            if error.unknown_account is None or not deadline.passed:
                raise
            why = f"not_after has passed, and no worker knows account {error.unknown_account!r}"
            if attempt.job.attempts == 1:
                raise Expired(f"not done: {why}; nothing was sent") from None
            last = attempt.job.reason or "nothing is known of its earlier attempts"
            raise Uncertain(f"unknown: {why}; last: {last}") from None

    return work
