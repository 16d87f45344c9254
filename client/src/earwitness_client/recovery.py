"""Recovery of requests that Redis has lost."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from .errors import JobError, NoSuchJob, NotSent
from .operations import Steps
from .redis_faults import AWAY
from .request import Request
from .results import JobView
from .stored import Stored, ended, outcome
from .worker_queue import WorkerQueue

#: The time without a state before the recovery acts: at first, and at most.
_FIRST_SECONDS, _MAX_SECONDS = 5.0, 60.0
#: The same for a job whose result is stored under no task id that is known here.
_FIRST_ASKED_SECONDS, _MAX_ASKED_SECONDS = 0.5, 10.0


class Recovery(ABC):
    """Acts when a request has no state.

    It acts at once if Redis has lost a state that was there before; otherwise after 5 seconds, and
    then at growing intervals of up to a minute.
    """

    #: The job in the worker's last answer, None if it was not asked or the ledger did not have it.
    view: JobView | None = None
    #: Whether the worker answered that the ledger has no job, after the state had become unclear.
    is_absent: bool = False

    def __init__(self, queue: WorkerQueue, request: Request) -> None:
        self._queue = queue
        self._request = request
        self._pause = _FIRST_SECONDS
        self._max_pause = _MAX_SECONDS
        #: When it acts next, in monotonic seconds.
        self.due: float = time.monotonic() + self._pause
        self._has_state = False
        self._is_unclear = False

    @property
    def question_id(self) -> str:
        """The task id of a question of its own that is not answered yet; empty if there is none."""
        return ""

    def observe(self, stored: Stored, *, is_unclear: bool = False) -> Steps[bool]:
        """Consider the request's state, and act if that is due; return whether it acted.

        An unclear state leaves open whether there is a job, and so is acted upon at once.
        """
        now = time.monotonic()
        if is_unclear and not self._is_unclear:
            self.due, self._pause = now, _FIRST_ASKED_SECONDS
            self._max_pause = _MAX_ASKED_SECONDS
        elif stored and not is_unclear and stored["status"] != "STARTED":
            self._has_state = True
            self._pause = _FIRST_SECONDS
            self.due = now + self._pause
        elif self._has_state and not stored:
            self._has_state = False
            self.due = now
        self._is_unclear = is_unclear
        if now < self.due:
            return False
        self.due = now + self._pause
        self._pause = min(2 * self._pause, self._max_pause)
        yield from self._act()
        return True

    @abstractmethod
    def _act(self) -> Steps[None]:
        """Do what brings a lost request back."""

    def _send_quietly(self, request: Request) -> Steps[None]:
        """Send a request and ignore a failure, since the recovery tries again."""
        try:
            yield from self._queue.send(request)
        except NotSent:
            return


class AnswerRecovery(Recovery):
    """Recovery of a lost question, which is asked again; nothing else is sent twice."""

    def _act(self) -> Steps[None]:
        if self._request.question and (yield from self._queue.is_empty()):
            yield from self._send_quietly(self._request)


class JobRecovery(Recovery):
    """Recovery of a job's lost request.

    It asks the worker for a job without news. The worker's answer proves that messages arrive; if
    the request still has no state then, it is sent again.
    """

    def __init__(self, queue: WorkerQueue, request: Request, question: Request) -> None:
        super().__init__(queue, request)
        self._question = question
        self._asked: Request | None = None
        #: Whether the state was unclear when the question was asked.
        self._is_asked_for_certain = False

    @property
    def question_id(self) -> str:
        """The task id of the question for the job, while it is not answered."""
        return "" if self._asked is None else self._asked.task_id

    def observe(self, stored: Stored, *, is_unclear: bool = False) -> Steps[bool]:
        """Consider the states of the request and of the question."""
        is_answered = self._asked is not None and (yield from self._is_answered(self._asked))
        if is_answered:
            self._asked = None
            if not stored:
                yield from self._on_no_state()
        acted = yield from super().observe(stored, is_unclear=is_unclear)
        return acted or is_answered

    def _on_no_state(self) -> Steps[None]:
        yield from self._send_quietly(self._request)

    def _act(self) -> Steps[None]:
        # A question in the queue still waits for a worker.
        if self._asked is None or (yield from self._queue.is_empty()):
            self._asked = self._question.anew()
            self._is_asked_for_certain = self._is_unclear
            yield from self._send_quietly(self._asked)

    def _is_answered(self, question: Request) -> Steps[bool]:
        try:
            (stored,) = yield from self._queue.stored([question.task_id])
        except AWAY:
            return False
        if not ended(stored):
            return False
        try:
            self.view = outcome(stored)
        except NoSuchJob:
            self.view = None
            self.is_absent: bool = self._is_asked_for_certain
        except JobError:
            self.view = None
        return True


class AttachedRecovery(JobRecovery):
    """The same for a job whose request is not known here: it only asks.

    Without a task id there is no stored result, so that the worker's answers are all the news. With
    one, the result may have been forgotten, and the worker still knows the job or the refusal.
    """

    def __init__(self, queue: WorkerQueue, request: Request, question: Request) -> None:
        super().__init__(queue, request, question)
        self._pause, self._max_pause = _FIRST_ASKED_SECONDS, _MAX_ASKED_SECONDS
        self.due: float = time.monotonic() + (_FIRST_ASKED_SECONDS if request.task_id else 0)

    def _on_no_state(self) -> Steps[None]:
        yield from ()
