"""What is in the caller's hands after a request was sent: an Answer to come, or a Job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from .broker import Line
from .errors import CapReached, InvalidArgument, JobError, NotAnswered, RequestConflict
from .listeners import Silence
from .polling import Doubt, drained, look, send_quietly, watched
from .request import Request
from .results import JobView
from .stored import Stored, ended, exception, outcome, said

Result = TypeVar("Result")

#: With these, no job was opened.
_OPENED_NONE = (InvalidArgument, RequestConflict, CapReached)


class Answer(Generic[Result]):
    """What a task that opens no job will answer."""

    def __init__(self, line: Line, request: Request) -> None:
        self._line = line
        self._request = request

    @property
    def task_id(self) -> str:
        """Celery's id of the task, under which Flower shows it."""
        return self._request.task_id

    def send_again(self) -> None:
        """Send the same request once more, under the same ids. Raises NotQueued or MaybeQueued."""
        self._line.send(self._request)

    def wait(self, timeout: float) -> Result:
        """The result, waited for up to ``timeout`` seconds.

        Redis may meanwhile be away, or lose everything: a question that was lost is asked again.
        Raises JobError, as the worker says it, and NotAnswered.
        """
        doubt, silence = Doubt(self._ask_again), Silence(self._line, self._request)
        for stored in watched(self._line, self.task_id, timeout, doubt, silence):
            if ended(stored):
                return cast("Result", outcome(stored))
        raise NotAnswered(
            f"unknown: {self._request.task} was not answered within {timeout:g} s; {silence.why}"
            f"wait longer, or {self._request.repetition}"
        )

    def _ask_again(self) -> None:
        if self._request.question and drained(self._line):
            send_quietly(self._line, self._request)


class Job(Answer[Result]):
    """A job that was asked for; the worker's ledger has it, or will.

    ``id`` is its id there, known before any worker knows the job. A day's export has the id of
    the day's first run; had the day to be run again, ``status`` and the result name the later one.
    """

    def __init__(self, line: Line, request: Request, job_id: str) -> None:
        super().__init__(line, request)
        self.id = job_id

    @property
    def request_id(self) -> str | None:
        """Under which the same request may be sent again at any time; None for a day's export,
        whose key is the day.
        """
        return self._request.request_id

    def accepted(self, timeout: float) -> None:
        """Return once the job stands in the worker's ledger, from where nothing loses it; waited
        for up to ``timeout`` seconds. A request that Redis lost meanwhile is sent again.

        Raises InvalidArgument, RequestConflict or CapReached, with which no job was opened, and
        NotAnswered.
        """
        doubt = _JobDoubt(self._line, self._request, self._question)
        silence = Silence(self._line, self._request)
        for stored in watched(self._line, self.task_id, timeout, doubt, silence):
            error = exception(stored) if ended(stored) else None
            if isinstance(error, _OPENED_NONE):
                raise error
            if doubt.known or ended(stored) or stored.get("status") == "RETRY":
                return
        raise self._not_answered(timeout, "it is not known to be accepted", silence)

    def wait(self, timeout: float) -> Result:
        """The job's result, waited for up to ``timeout`` seconds.

        Redis may meanwhile be away, or lose everything: the worker is asked for the job, and the
        same request is sent again under the same request id. Raises JobError, with which the job
        ended or was refused, and NotAnswered, after which the job goes on.
        """
        doubt = _JobDoubt(self._line, self._request, self._question)
        silence = Silence(self._line, self._request)
        state = "it is not known to be accepted"
        for stored in watched(self._line, self.task_id, timeout, doubt, silence):
            if ended(stored):
                return cast("Result", outcome(stored))
            if stored.get("status") == "RETRY":
                state = f"it is accepted and waits ({said(stored)})"
            elif doubt.known:
                state = f"it is {doubt.known['state']}"
        raise self._not_answered(timeout, state, silence)

    def status(self, timeout: float = 10) -> JobView:
        """The job as the worker's ledger has it, waited for up to ``timeout`` seconds.

        Raises NoSuchJob where no worker has opened it (yet), NotQueued, MaybeQueued, NotAnswered.
        """
        question = self._question()
        self._line.send(question)
        return Answer[JobView](self._line, question).wait(timeout)

    def _question(self) -> Request:
        # A day's job has its generation's id, which only the ledger knows.
        named = {"task_id": self.task_id} if self.request_id is None else {"job_id": self.id}
        return Request("earwitness.job.status", named, question=True)

    def _not_answered(self, timeout: float, state: str, silence: Silence) -> NotAnswered:
        return NotAnswered(
            f"unknown: nothing came of job {self.id} within {timeout:g} s; {state}; {silence.why}"
            f"wait longer, or {self._request.repetition}"
        )


class _JobDoubt(Doubt):
    """The worker is asked for a job of which nothing is heard; when it answers, messages arrive
    again, and the request is sent again if there is still nothing of it.
    """

    def __init__(self, line: Line, request: Request, question: Callable[[], Request]) -> None:
        super().__init__(self._ask)
        self._line = line
        self._request = request
        self._question = question
        self._asked: Request | None = None
        #: The job as the ledger had it when it was asked for; None where it did not have it.
        self.known: JobView | None = None

    def hear(self, stored: Stored) -> None:
        """Judge what was found for the request, and for the question."""
        if self._asked is not None and self._answered(self._asked):
            self._asked = None
            if not stored:
                send_quietly(self._line, self._request)
        super().hear(stored)

    def _ask(self) -> None:
        if self._asked is None or drained(self._line):  # else it still waits for a worker
            self._asked = self._question()
            send_quietly(self._line, self._asked)

    def _answered(self, question: Request) -> bool:
        stored = look(self._line, question.task_id)
        if stored is None or not ended(stored):
            return False
        try:
            self.known = outcome(stored)
        except JobError:
            self.known = None
        return True
