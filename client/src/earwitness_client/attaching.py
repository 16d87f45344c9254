"""Attaching to a job that was requested elsewhere or earlier, as steps for both clients."""

from __future__ import annotations

from contextlib import closing

from . import arguments as check
from .arguments import invalid
from .errors import NoSuchJob, NotAnswered
from .operations import Steps
from .recovery import AnswerRecovery
from .request import EVERY_ACCOUNT, Request, id_of_job
from .results import JobView
from .waiting import Waiting, Watch
from .worker_queue import WorkerQueue

#: The tasks that open a job under a caller's request id.
JOB_TASKS = (
    "certified_call.request",
    "recording.start",
    "recording.stop",
    "recording.collect",
    "recording.download",
    "recording.delete",
    "export.create",
    "export.retrieve",
    "export.run",
    "archive.verify",
)


def attached(
    queue: WorkerQueue,
    job_id: str | None,
    task_id: str | None,
    request_id: str | None,
    account: str | None,
    task: str | None,
    timeout: float | None,
) -> Steps[Request]:
    """Return the request of a job that is named by its ids. Raises InvalidArgument.

    Only a request id without its task needs the worker's answer: raises NoSuchJob, NotQueued,
    MaybeQueued and NotAnswered.
    """
    if (request_id is None) == (job_id is None and task_id is None):
        raise invalid("job_id", "give job_id or task_id, or request_id with account")
    if task is not None and task.removeprefix("earwitness.") not in JOB_TASKS:
        raise invalid("task", f"must be one of {', '.join(JOB_TASKS)}")
    named = EVERY_ACCOUNT if account is None else check.alias(account)
    if request_id is not None:
        key = check.text("request_id", request_id, 128)
        if task is None:
            view = yield from _find(queue, named, key, timeout)
            task, job_id = view["kind"], view["job_id"]
        else:
            task = task.removeprefix("earwitness.")
            job_id = id_of_job(named, f"earwitness.{task}", key)
    return Request(
        f"earwitness.{(task or 'job').removeprefix('earwitness.')}",
        {} if account is None else {"account": account},
        request_id=request_id,
        job_id=check.optional_text("job_id", job_id),
        task_id=check.optional_text("task_id", task_id) or "",
        arguments_known=False,
    )


def _find(
    queue: WorkerQueue, account: str, request_id: str, timeout: float | None
) -> Steps[JobView]:
    """Ask for the jobs that each task would open under a request id; return the only one."""
    questions = [
        Request(
            "earwitness.job.status",
            {"job_id": id_of_job(account, f"earwitness.{task}", request_id)},
            question=True,
        )
        for task in JOB_TASKS
    ]
    yield from queue.send(*questions)
    watches = [Watch(one, AnswerRecovery(queue, one)) for one in questions]
    waiting = Waiting(queue, watches, timeout)
    with closing(waiting):
        while waiting.pending:
            if not (yield from waiting.round()):
                raise NotAnswered(
                    f"unknown: the worker did not answer about the request id {request_id}; "
                    f"{(yield from waiting.why())}ask again: a question changes nothing"
                )
    views = []
    for one in watches:
        try:
            views.append(one.outcome.result())
        except NoSuchJob:
            continue
    if not views:
        raise NoSuchJob(f"not done: no job has the request id {request_id}")
    if len(views) > 1:
        kinds = " and ".join(view["kind"] for view in views)
        raise invalid(
            "task",
            f"several jobs have this request id ({kinds}); give the task of the one you mean",
        )
    found: JobView = views[0]
    return found
