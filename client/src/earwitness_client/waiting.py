"""Waiting for any number of requests at once: rounds of reading their states.

A subscription to the results would end with its connection without notice, so the states are read,
all of them in one round trip, with pauses that grow to a second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from .errors import NotAnswered
from .listeners import ListenerCheck
from .operations import Pause, Steps
from .recovery import Recovery
from .redis_faults import AWAY
from .request import Request
from .stored import Outcome, Stored, ended, reason, view_ended
from .worker_queue import WorkerQueue

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.02, 1.0

_log = logging.getLogger("earwitness_client")


class Watch:
    """One request that is waited for: until its end, or until its job is ``accepted``."""

    def __init__(self, request: Request, recovery: Recovery, *, accepted: bool = False) -> None:
        self.request: Request = request
        self.recovery: Recovery = recovery
        self.stored: Stored = {}
        self._accepted = accepted

    @property
    def is_over(self) -> bool:
        """Whether that for which it waits has come."""
        if ended(self.stored):
            return True
        view = self.recovery.view
        if self._accepted:
            return view is not None or self.stored.get("status") == "RETRY"
        # The end of a job whose request is known is answered when the request is sent again, with
        # the exact exception.
        return not self.request.arguments_known and view_ended(view)

    @property
    def state(self) -> str:
        """A clause for error messages: what is known of the job."""
        if self.stored.get("status") == "RETRY":
            return f"it is accepted and waits ({reason(self.stored)})"
        if self.recovery.view:
            return f"it is {self.recovery.view['state']}"
        return "it is not known to be accepted"

    @property
    def outcome(self) -> Outcome:
        """What came, if the watch is over."""
        return Outcome(self.stored, self.recovery.view)


class Waiting:
    """Several watches until ``timeout`` seconds have passed, or without limit."""

    def __init__(self, queue: WorkerQueue, watches: Sequence[Watch], timeout: float | None) -> None:
        self.pending: list[Watch] = list(watches)
        self._queue = queue
        self._until = float("inf") if timeout is None else time.monotonic() + timeout
        self._pause = _FIRST_PAUSE_SECONDS
        self._listeners = ListenerCheck(queue)
        self._warned = False

    def round(self) -> Steps[list[Watch]]:
        """Wait until something has come and return it; nothing if the time is over.

        The states are read once more at the end. Raises NotAnswered if no worker ever listened,
        unless the wait has no limit.
        """
        while True:
            states = yield from self._read()
            over = [one for one in self.pending if one.is_over]
            if over:
                self.pending = [one for one in self.pending if one not in over]
                return over
            if time.monotonic() >= self._until:
                return []
            if (yield from self._listeners.is_alone(states)):
                self._report_alone()
            if states is not None:
                for one in self.pending:
                    yield from one.recovery.observe(one.stored)
            yield Pause(max(0.0, min(self._pause, self._until - time.monotonic())))
            self._pause = min(self._pause * 1.5, _MAX_PAUSE_SECONDS)

    def why(self) -> Steps[str]:
        """Return a clause for error messages that no worker listens; empty if one does."""
        return self._listeners.why()

    def _read(self) -> Steps[list[Stored] | None]:
        """Read the states; None if Redis does not answer."""
        known = [one for one in self.pending if one.request.task_id]
        try:
            states = yield from self._queue.stored([one.request.task_id for one in known])
        except AWAY:
            for one in self.pending:
                one.stored = {}
            return None
        for one, stored in zip(known, states, strict=True):
            one.stored = stored
        return states

    def _report_alone(self) -> None:
        request = self.pending[0].request
        message = (
            f"unknown: {request.task} was not answered: no worker listens on this Redis "
            f"({self._queue.place}), and none ever did; the request stays queued until "
            "one starts; if the worker uses another address, database or key prefix, give "
            f"the client the same, and {request.repetition}"
        )
        if self._until != float("inf"):
            raise NotAnswered(message)
        if not self._warned:
            self._warned = True
            _log.warning("%s", message)


def await_one(
    queue: WorkerQueue, watch: Watch, timeout: float | None, unanswered: Callable[[str], str]
) -> Steps[None]:
    """Wait until a watch is over. Raises NotAnswered with what ``unanswered`` says."""
    waiting = Waiting(queue, [watch], timeout)
    if not (yield from waiting.round()):
        raise NotAnswered(unanswered((yield from waiting.why())))
