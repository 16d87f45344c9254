"""What the caller holds after sending a request: an Answer or a Job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from .broker import Broker
from .errors import CapReached, InvalidArgument, JobError, NotAnswered, RequestConflict
from .listeners import ListenerCheck
from .polling import Recovery, is_queue_empty, poll, read_stored, send_quietly
from .request import Request
from .results import JobView
from .stored import Stored, ended, exception, outcome, reason

Result = TypeVar("Result")

#: After these errors, no job was opened.
_NO_JOB_OPENED = (InvalidArgument, RequestConflict, CapReached)


class Answer(Generic[Result]):
    """The future answer of a task that opens no job."""

    def __init__(self, broker: Broker, request: Request) -> None:
        self._broker = broker
        self._request = request

    @property
    def task_id(self) -> str:
        """Celery's id of the task, under which Flower shows it."""
        return self._request.task_id

    def send_again(self) -> None:
        """Send the same request again under the same ids. Raises NotQueued or MaybeQueued."""
        self._broker.send(self._request)

    def wait(self, timeout: float) -> Result:
        """Wait up to ``timeout`` seconds for the result, and return it.

        Redis may meanwhile be away or lose its data: a lost question is sent again. Raises the
        worker's JobError, and NotAnswered.
        """
        recovery, listeners = Recovery(self._ask_again), ListenerCheck(self._broker, self._request)
        for stored in poll(self._broker, self.task_id, timeout, recovery, listeners):
            if ended(stored):
                return cast("Result", outcome(stored))
        raise NotAnswered(
            f"unknown: {self._request.task} was not answered within {timeout:g} s; {listeners.why}"
            f"wait longer, or {self._request.repetition}"
        )

    def _ask_again(self) -> None:
        if self._request.question and is_queue_empty(self._broker):
            send_quietly(self._broker, self._request)


class Job(Answer[Result]):
    """A requested job, which the worker's ledger has or will have.

    ``id`` is the job's id in the ledger, known before any worker knows the job. For a day's export
    it is the id of the day's first run; if the day was exported again, ``status`` and the result
    name the later run.
    """

    def __init__(self, broker: Broker, request: Request, job_id: str) -> None:
        super().__init__(broker, request)
        self.id = job_id

    @property
    def request_id(self) -> str | None:
        """The id under which the request may be sent again at any time.

        None for a day's export, whose key is the day.
        """
        return self._request.request_id

    def accepted(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds until the job is in the worker's ledger.

        From then on nothing loses the job. A request that Redis lost meanwhile is sent again.
        Raises InvalidArgument, RequestConflict or CapReached if no job was opened, and NotAnswered.
        """
        recovery = _JobRecovery(self._broker, self._request, self._question)
        listeners = ListenerCheck(self._broker, self._request)
        for stored in poll(self._broker, self.task_id, timeout, recovery, listeners):
            error = exception(stored) if ended(stored) else None
            if isinstance(error, _NO_JOB_OPENED):
                raise error
            if recovery.view or ended(stored) or stored.get("status") == "RETRY":
                return
        raise self._not_answered(timeout, "it is not known to be accepted", listeners)

    def wait(self, timeout: float) -> Result:
        """Wait up to ``timeout`` seconds for the job's result, and return it.

        Redis may meanwhile be away or lose its data: the client asks the worker for the job, and
        sends the same request again under the same request id. Raises the JobError with which the
        job ended or was refused, and NotAnswered, after which the job goes on.
        """
        recovery = _JobRecovery(self._broker, self._request, self._question)
        listeners = ListenerCheck(self._broker, self._request)
        state = "it is not known to be accepted"
        for stored in poll(self._broker, self.task_id, timeout, recovery, listeners):
            if ended(stored):
                return cast("Result", outcome(stored))
            if stored.get("status") == "RETRY":
                state = f"it is accepted and waits ({reason(stored)})"
            elif recovery.view:
                state = f"it is {recovery.view['state']}"
        raise self._not_answered(timeout, state, listeners)

    def status(self, timeout: float = 10) -> JobView:
        """Wait up to ``timeout`` seconds for the ledger's view of the job, and return it.

        Raises NoSuchJob if no worker has opened the job (yet), NotQueued, MaybeQueued and
        NotAnswered.
        """
        question = self._question()
        self._broker.send(question)
        return Answer[JobView](self._broker, question).wait(timeout)

    def _question(self) -> Request:
        # The id of a day's job depends on the day's generation, which only the ledger knows.
        named = {"task_id": self.task_id} if self.request_id is None else {"job_id": self.id}
        return Request("earwitness.job.status", named, question=True)

    def _not_answered(self, timeout: float, state: str, listeners: ListenerCheck) -> NotAnswered:
        return NotAnswered(
            f"unknown: job {self.id} did not end within {timeout:g} s; {state}; {listeners.why}"
            f"wait longer, or {self._request.repetition}"
        )


class _JobRecovery(Recovery):
    """Recovery of a job's lost request.

    It asks the worker for a job without news. The worker's answer proves that messages arrive; if
    the request still has no state then, it is sent again.
    """

    def __init__(self, broker: Broker, request: Request, question: Callable[[], Request]) -> None:
        super().__init__(self._ask)
        self._broker = broker
        self._request = request
        self._question = question
        self._asked: Request | None = None
        #: The job in the worker's last answer, None if the ledger did not have it.
        self.view: JobView | None = None

    def observe(self, stored: Stored) -> None:
        """Consider the states of the request and of the question."""
        if self._asked is not None and self._answered(self._asked):
            self._asked = None
            if not stored:
                send_quietly(self._broker, self._request)
        super().observe(stored)

    def _ask(self) -> None:
        # A question in the queue still waits for a worker.
        if self._asked is None or is_queue_empty(self._broker):
            self._asked = self._question()
            send_quietly(self._broker, self._asked)

    def _answered(self, question: Request) -> bool:
        stored = read_stored(self._broker, question.task_id)
        if stored is None or not ended(stored):
            return False
        try:
            self.view = outcome(stored)
        except JobError:
            self.view = None
        return True
