"""Jobs: their state, and people's decisions about them."""

from __future__ import annotations

from typing import Any, Literal

from . import arguments as check
from .answers import Answer, Job
from .arguments import invalid
from .attaching import attached
from .group import Group
from .results import JobView


class Jobs(Group):
    """Jobs: their state, and people's decisions about them.

    Name a job by its ``job_id``, or by the ``task_id`` of a task that requested it.
    """

    def status(self, *, job_id: str | None = None, task_id: str | None = None) -> Answer[JobView]:
        """Ask for the job as the worker's ledger has it.

        By ``task_id``, for a day, also for a request that opened no job: its state is "refused",
        and ``error`` says why. NoSuchJob then means that it is not accepted yet.
        """
        return self.ask("job.status", **_job(job_id, task_id))

    def attach(
        self,
        *,
        job_id: str | None = None,
        task_id: str | None = None,
        request_id: str | None = None,
        account: str | None = None,
        task: str | None = None,
        timeout: float | None = 10,
    ) -> Job[Any]:
        """Return the job that was requested elsewhere or earlier, by any of its ids.

        ``task_id`` serves best: the result backend has the task's end for a day, refusals too, so
        that ``state``, ``ready``, ``accepted`` and ``wait`` need no worker. With ``job_id`` alone,
        the worker is asked; one that is older than this library does not name the exception of a
        failed job, which is then a JobFailed. ``request_id``
        goes with the ``account`` (omitted for a verification of all) and the ``task``, such as
        "certified_call.request"; without the task, the worker is asked within ``timeout`` seconds.

        Only that asking sends anything; it raises NoSuchJob, NotQueued, MaybeQueued and
        NotAnswered, and InvalidArgument if several tasks have a job of this request id.
        """
        steps = attached(self._broker.queue, job_id, task_id, request_id, account, task, timeout)
        return Job(self._broker, self._broker.run(steps))

    def cancel(self, *, job_id: str | None = None, task_id: str | None = None) -> Answer[JobView]:
        """Cancel a job that has not ended; an export is cancelled with its parts."""
        return self.ask("job.cancel", question=False, **_job(job_id, task_id))

    def retry(
        self, *, by: str, note: str, job_id: str | None = None, task_id: str | None = None
    ) -> Answer[JobView]:
        """Repeat a failed or cancelled job as a new job, which is the answer.

        A certified call cannot be repeated. ``by`` says who decided, ``note`` why.
        """
        return self.ask(
            "job.retry",
            question=False,
            by=check.text("by", by),
            note=check.text("note", note, 1000),
            **_job(job_id, task_id),
        )

    def resolve(
        self,
        *,
        outcome: Literal["placed", "not_placed"],
        by: str,
        note: str,
        job_id: str | None = None,
        task_id: str | None = None,
    ) -> Answer[JobView]:
        """Record the outcome of a certified call that needs a decision.

        ``by`` says who decided, ``note`` how the outcome is known.
        """
        if outcome not in {"placed", "not_placed"}:
            raise invalid("outcome", 'must be "placed" or "not_placed"')
        return self.ask(
            "job.resolve",
            question=False,
            outcome=outcome,
            by=check.text("by", by),
            note=check.text("note", note, 1000),
            **_job(job_id, task_id),
        )


def _job(job_id: str | None, task_id: str | None) -> dict[str, Any]:
    if (job_id is None) == (task_id is None):
        raise invalid("job_id", "give either job_id or task_id")
    return {
        "job_id": check.optional_text("job_id", job_id),
        "task_id": check.optional_text("task_id", task_id),
    }
