"""Waiting for any number of requests at once: rounds of reading their states.

The states are read in one round trip. A wait that lasts listens for publications, and then reads
what was published; it reads everything again after each pause and whenever a publication may have
been missed. Where Redis lets it not listen, the pauses grow to a second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from .errors import NotAnswered
from .listeners import ListenerCheck
from .listening import Listening
from .operations import Listen, Pause, Steps
from .recovery import Recovery
from .redis_faults import AWAY
from .request import Request
from .stored import Outcome, Stored, ended, is_answer, job_of, proves_job, reason, view_ended
from .worker_queue import WorkerQueue

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.02, 1.0
#: A shorter wait subscribes to nothing.
_LISTEN_AFTER_SECONDS = 0.04
#: The pause of a wait that listens: only what is never published is noticed by reading.
_LISTENING_PAUSE_SECONDS = 5.0

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
        view = self.recovery.view
        if self._accepted:
            return view is not None or self._is_decided
        if is_answer(self.stored, self.request):
            return True
        # The end of a job whose request is known is answered when the request is sent again, with
        # the exact exception, unless another task's end stands in its place.
        is_ledger_s = not self.request.arguments_known or ended(self.stored)
        return is_ledger_s and (view_ended(view) or self._has_no_job)

    @property
    def is_unclear(self) -> bool:
        """Whether the state leaves open if there is a job, so that the ledger must be asked.

        A revoked task, another application's result under the same id, and the retry of a task that
        is none of Earwitness say nothing about a job.
        """
        known = self.stored and self.stored.get("status") not in {"STARTED", "PENDING"}
        return bool(known if self._accepted else ended(self.stored)) and not self.is_over

    @property
    def _is_decided(self) -> bool:
        """Whether the state shows that there is a job, or that there is none."""
        if proves_job(self.stored, self.request):
            return True
        return ended(self.stored) and (self.outcome.refusal is not None or self._has_no_job)

    @property
    def _has_no_job(self) -> bool:
        """Whether the task has ended, and the worker answered that there is no job.

        The request itself may still lie in the queue behind another task's success.
        """
        may_come = self.stored.get("status") == "SUCCESS" and self.request.arguments_known
        return ended(self.stored) and self.recovery.is_absent and not may_come

    @property
    def state(self) -> str:
        """A clause for error messages: what is known of the job."""
        if self.recovery.view:
            return f"it is {self.recovery.view['state']}"
        if self.stored.get("status") == "RETRY" and (not self._accepted or job_of(self.stored)):
            return f"it is accepted and waits ({reason(self.stored)})"
        if self.is_unclear:
            return "the result stored under its task id may not be the job's"
        return "it is not known whether it was accepted"

    @property
    def outcome(self) -> Outcome:
        """What came, if the watch is over."""
        view = self.recovery.view
        if self._accepted or is_answer(self.stored, self.request):
            return Outcome(self.stored, view)
        return Outcome({}, view) if view_ended(view) else Outcome(self.stored, is_foreign=True)


class Waiting:
    """Several watches until ``timeout`` seconds have passed, or without limit.

    ``close`` it if it is given up before all is over.
    """

    def __init__(self, queue: WorkerQueue, watches: Sequence[Watch], timeout: float | None) -> None:
        #: The watches that are not over, in their order.
        self.pending: dict[Watch, None] = dict.fromkeys(watches)
        self._queue = queue
        self._until = float("inf") if timeout is None else time.monotonic() + timeout
        self._pause = _FIRST_PAUSE_SECONDS
        self._listeners = ListenerCheck(queue)
        self._listening: Listening | None = None
        #: The watches that a publication under a key concerns.
        self._by_key: dict[str, list[Watch]] = {}
        #: The keys of each watch: its request's, and that of its recovery's question.
        self._keys: dict[Watch, set[str]] = {one: set() for one in watches}
        for one in watches:
            self._listen_for(one)
        #: When everything is read again, in monotonic seconds.
        self._read_all_at = 0.0
        self._warned = False

    def round(self) -> Steps[list[Watch]]:
        """Wait until something has come and return it; nothing if the time is over.

        The states are read once more at the end. Raises NotAnswered if no worker ever listened,
        unless the wait has no limit.
        """
        published: frozenset[str] | None = None
        while True:
            read = self._watches(published)
            states = yield from self._read(read)
            over = [one for one in read if one in self.pending and one.is_over]
            if over:
                self._end(over)
                return over
            if time.monotonic() >= self._until:
                return []
            if published is None and (yield from self._listeners.is_alone(states)):
                self._report_alone()
            if states is None:
                self._read_all_at = min(self._read_all_at, time.monotonic() + self._pause)
            else:
                yield from self._recover(read)
            if published is None:
                self._read_all_at = time.monotonic() + (yield from self._pause_seconds())
            published = yield from self._rest()

    def close(self) -> None:
        """Listen for nothing any more."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def why(self) -> Steps[str]:
        """Return a clause for error messages that no worker listens; empty if one does."""
        return self._listeners.why()

    def _watches(self, published: frozenset[str] | None) -> list[Watch]:
        if published is None:
            return list(self.pending)
        return [one for key in published for one in self._by_key.get(key, ())]

    def _read(self, watches: Iterable[Watch]) -> Steps[list[Stored] | None]:
        """Read the states; None if Redis does not answer."""
        known = [one for one in watches if one.request.task_id]
        try:
            states = yield from self._queue.stored([one.request.task_id for one in known])
        except AWAY:
            for one in known:
                one.stored = {}
            return None
        for one, stored in zip(known, states, strict=True):
            one.stored = stored
        return states

    def _recover(self, watches: Iterable[Watch]) -> Steps[None]:
        """Recover what Redis has lost."""
        for one in watches:
            if (yield from one.recovery.observe(one.stored, is_unclear=one.is_unclear)):
                self._pause = _FIRST_PAUSE_SECONDS
                self._listen_for(one)

    def _listen_for(self, watch: Watch) -> None:
        """Have publications of a watch's request and of its question end the pauses."""
        ids = (watch.request.task_id, watch.recovery.question_id)
        wanted = {self._queue.result_key(one) for one in ids if one}
        before, self._keys[watch] = self._keys[watch], wanted
        for key in wanted - before:
            self._by_key.setdefault(key, []).append(watch)
        gone = [key for key in before - wanted if self._forget(key, watch)]
        if self._listening is not None:
            self._listening.add(wanted - before)
            self._listening.drop(gone)

    def _forget(self, key: str, watch: Watch) -> bool:
        """Remove a watch from those of a key; return whether it was the last."""
        left = [one for one in self._by_key.get(key, ()) if one is not watch]
        if left:
            self._by_key[key] = left
        else:
            self._by_key.pop(key, None)
        return not left

    def _pause_seconds(self) -> Steps[float]:
        """Return how long publications alone are read; listen for them if the wait lasts."""
        if self._listening is None and self._pause >= _LISTEN_AFTER_SECONDS and self._by_key:
            self._listening = yield Listen(tuple(self._by_key))
        seconds, listening = self._pause, self._listening
        self._pause = min(seconds * 1.5, _MAX_PAUSE_SECONDS)
        if listening is None or listening.is_lost:
            return seconds
        if not listening.is_live or self._listeners.is_suspicious:
            # The confirmation ends the pause.
            return _MAX_PAUSE_SECONDS
        due = min(one.recovery.due for one in self.pending) - time.monotonic()
        return max(seconds, min(due, _LISTENING_PAUSE_SECONDS))

    def _rest(self) -> Steps[frozenset[str] | None]:
        """Pause; return the keys that were published, None if everything is to be read."""
        left = min(self._read_all_at, self._until) - time.monotonic()
        yield Pause(max(0.0, left), self._listening)
        if self._listening is None or time.monotonic() >= self._read_all_at:
            return None
        return self._listening.take() or None

    def _end(self, over: Iterable[Watch]) -> None:
        for one in over:
            del self.pending[one]
            gone = [key for key in self._keys.pop(one) if self._forget(key, one)]
            if self._listening is not None:
                self._listening.drop(gone)
        if not self.pending:
            self.close()

    def _report_alone(self) -> None:
        request = next(iter(self.pending)).request
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
    try:
        if not (yield from waiting.round()):
            raise NotAnswered(unanswered((yield from waiting.why())))
    finally:
        waiting.close()
