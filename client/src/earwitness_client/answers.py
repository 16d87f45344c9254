"""What the caller holds after sending a request: an Answer or a Job."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from . import inquiries
from .broker import Broker
from .request import Request
from .requested import Requested, RequestedJob
from .results import JobView

Result = TypeVar("Result")


class Answer(Requested, Generic[Result]):
    """The future answer of a task that opens no job.

    It can be pickled, without the connection. In another process, the pickle belongs to the client
    of the same worker that was made there. It holds the request's arguments: keep it as safely as
    these.
    """

    def __init__(self, broker: Broker, request: Request) -> None:
        super().__init__(request)
        self._broker = broker

    @property
    def state(self) -> str:
        """Celery's state of the task: PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED.

        Read from the result backend, without a worker. PENDING if nothing is stored: not begun, or
        forgotten after a day. RETRY is a job that waits. Raises NotAnswered if Redis does not
        answer.
        """
        return self._broker.run(inquiries.state(self._broker.queue, self._request))

    def ready(self) -> bool:
        """Return whether the result backend has the outcome, without asking a worker.

        Then ``wait(0)`` returns or raises at once. Raises NotAnswered if Redis does not answer.
        """
        return self._broker.run(inquiries.ready(self._broker.queue, self._request))

    def send_again(self) -> None:
        """Send the same request again under the same ids. Raises NotQueued or MaybeQueued.

        An attached job does not know its arguments: InvalidArgument.
        """
        self._broker.run(inquiries.send_again(self._broker.queue, self._request))

    def wait(self, timeout: float | None) -> Result:
        """Wait up to ``timeout`` seconds (None: without limit) for the result, and return it.

        Redis may meanwhile be away or lose its data: a lost question is sent again. Raises the
        worker's JobError, and NotAnswered.
        """
        if self._outcome is not None:
            return cast("Result", self._outcome.result())
        steps = inquiries.wait(self._broker.queue, self._request, timeout)
        return cast("Result", self._broker.run(steps))


class Job(Answer[Result], RequestedJob):
    """A requested job, which the worker's ledger has or will have.

    It can be pickled as an Answer can.
    """

    def accepted(self, timeout: float | None) -> None:
        """Wait up to ``timeout`` seconds (None: without limit) until the worker's ledger has it.

        From then on nothing loses the job. A request that Redis lost meanwhile is sent again.
        Raises InvalidArgument, RequestConflict or CapReached if no job was opened, Cancelled if the
        task was revoked before, JobFailed if the worker does not know the task, and NotAnswered.
        """
        self._broker.run(inquiries.accepted(self._broker.queue, self._request, timeout))

    def wait(self, timeout: float | None) -> Result:
        """Wait up to ``timeout`` seconds (None: without limit) for the result, and return it.

        Redis may meanwhile be away or lose its data: the client asks the worker for the job, and
        sends the same request again under the same request id. Raises the JobError with which the
        job ended or was refused, and NotAnswered, after which the job continues.
        """
        return super().wait(timeout)

    def status(self, timeout: float | None = 10) -> JobView:
        """Wait up to ``timeout`` seconds (None: without limit) for the ledger's view of the job.

        Raises NoSuchJob if no worker has opened the job (yet), with its ``refusal`` if that is
        known; NotQueued, MaybeQueued and NotAnswered.
        """
        return self._broker.run(inquiries.status(self._broker.queue, self._request, timeout))
