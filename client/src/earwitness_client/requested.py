"""What both kinds of clients' answers and jobs have in common: the request, and what is known."""

from __future__ import annotations

from .request import Request
from .stored import Outcome


class Requested:
    """A request that was sent, or a job that was attached."""

    def __init__(self, request: Request) -> None:
        self._request = request
        #: Where a wait for many requests has seen it already.
        self._outcome: Outcome | None = None

    @property
    def task_id(self) -> str:
        """Celery's id of the task, under which Flower shows it.

        Empty if the job was attached without it.
        """
        return self._request.task_id

    def __repr__(self) -> str:
        """Name the task and its ids, without what the arguments say."""
        return f"<{type(self).__name__} {self._request.shown}>"


class RequestedJob(Requested):
    """The ids of a requested job."""

    @property
    def id(self) -> str:
        """The job's id in the ledger, known before any worker knows the job.

        For a day's export it is the id of the day's first run; if the day was exported again,
        ``status`` and the result name the later run. Empty if the job was attached by its task id.
        """
        return self._request.job_id or ""

    @property
    def request_id(self) -> str | None:
        """The id under which the request may be sent again at any time.

        None for a day's export, whose key is the day, and for a job that was attached without it.
        """
        return self._request.request_id


def request_of(one: Requested) -> Request:
    """Return the request of an answer or a job."""
    return one._request  # noqa: SLF001 - of this package


def settle(one: Requested, outcome: Outcome) -> None:
    """Give an answer or a job its outcome, which ``wait`` returns from then on."""
    one._outcome = outcome  # noqa: SLF001 - of this package
