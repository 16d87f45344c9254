"""Tasks as Celery runs them: a message opens or joins a job, and a hint runs an attempt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject

from config.logging import of_task
from ledger.core.carried import NOTHING
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.errors import LedgerAway, LedgerError
from tasks import errors

from . import caller_errors, canvas
from .answers import answers
from .arguments import Arguments, parse
from .context import ledger, stopping
from .dispatch import handle_hint, refuse_false_hint, replay, run_inline, show_waiting
from .fields import check_task_id
from .kinds import Kind, Opening, RequestOf, register
from .messages import JOB_HEADER, JOB_OF_ANSWER, NUMBER_HEADER, publish_first
from .outbox import Handler
from .redis_errors import BROKER_AWAY
from .refusals import refusals
from .results import Result
from .runner import Run
from .timing import Timing, refuse_later, timing
from .unknown_accounts import passed_on

_log = logging.getLogger(__name__)

_SHORT_LIFE_SECONDS = 600

Opened = TypeVar("Opened")


class Called(Task):
    """A task whose arguments may have any name, even ``self``, which Celery's own call uses."""

    abstract = True

    def __call__(self, /, *positional: Any, **given: Any) -> Any:
        """Run the task; Celery's tracer has set its request before."""
        return self.run(*positional, **given)


class JobTask(Called):
    """A task that is marked as answered in the ledger once Celery has stored its outcome."""

    Request = "tasks.runtime.messages:Message"
    abstract = True
    throws = (errors.JobError,)

    def on_success(self, _retval: Any, task_id: str, _args: Any, _kwargs: Any) -> None:
        """Mark the task as answered: Celery stored its result."""
        _mark_answered(task_id)

    def on_failure(self, exc: Any, task_id: str, _args: Any, _kwargs: Any, _einfo: Any) -> None:
        """Mark the task as answered: Celery stored its exception.

        An exception that is none of ours is not the job's outcome.
        """
        if isinstance(exc, errors.JobError) and exc.is_outcome:
            _mark_answered(task_id)


def job_task(
    name: str,
    arguments: type[Arguments],
    request: RequestOf,
    result: type[Result],
    *,
    inline: bool = False,
    outbox: Mapping[str, Handler] | None = None,
) -> Callable[[Run], Task]:
    """Turn the work of an attempt into a task that opens a job, as `Kind` describes.

    Raises UnknownKind if the ledger has no hooks under this name.
    """

    def decorate(run: Run) -> Task:
        kind = Kind(
            name=name,
            arguments=arguments,
            request=request,
            result=result,
            description=run.__doc__ or "",
            run=run,
            inline=inline,
            outbox=outbox or {},
        )
        register(kind)

        def body(self: Task, /, *positional: Any, **given: Any) -> Any:
            job_id = self.request.get(JOB_HEADER)
            if job_id:
                return handle_hint(self, kind.work, job_id, self.request.get(NUMBER_HEADER))
            # The result backend does not store an error of the broker for a job's task; the answer
            # comes later.
            with (
                refusals.kept(self),
                caller_errors.only_known_errors(but=BROKER_AWAY),
                passed_on(),
            ):
                refuse_false_hint(self)
                return _open_and_answer(self, kind, positional, given)

        body.__doc__ = run.__doc__
        return shared_task(name=f"earwitness.{name}", bind=True, base=JobTask, typing=False)(body)

    return decorate


def part_task(name: str) -> Callable[[Run], Task]:
    """Make an attempt's function the task of jobs that other jobs open as their parts.

    The task carries out hints alone. A message from an application is refused with InvalidArgument.
    Raises UnknownKind if the ledger has no hooks under this name.
    """

    def decorate(run: Run) -> Task:
        kind = Kind(
            name=name,
            arguments=Arguments,
            result=Result,
            description=run.__doc__ or "",
            run=run,
        )
        register(kind)

        def body(self: Task, /, *_: Any, **__: Any) -> Any:
            job_id = self.request.get(JOB_HEADER)
            if job_id:
                return handle_hint(self, kind.work, job_id, self.request.get(NUMBER_HEADER))
            with refusals.kept(self), caller_errors.only_known_errors():
                refuse_false_hint(self)
                raise errors.InvalidArgument(
                    f"not done: earwitness.{name} is internal: other jobs open such jobs as their "
                    "parts; no job was opened; send a task that the catalogue lists"
                )

        body.__doc__ = run.__doc__
        return shared_task(name=f"earwitness.{name}", bind=True, base=JobTask, typing=False)(body)

    return decorate


class ShortLived(Called):
    """A task whose result holds personal data and is deleted ten minutes after it was stored."""

    abstract = True

    def on_success(self, _retval: Any, task_id: str, _args: Any, _kwargs: Any) -> None:
        """Limit the life of the result that Celery stored."""
        self.backend.expire(self.backend.get_key_for_task(task_id), _SHORT_LIFE_SECONDS)


def plain_task(
    name: str,
    arguments: type[Arguments],
    result: type[Result],
    base: type[Task] = Called,
    *,
    may_expire: bool = False,
) -> Callable[[Callable[..., Any]], Task]:
    """Turn a function of validated arguments into a task that opens no job.

    The task answers or fails. With ``may_expire``, an expired message is dropped without an answer.
    """

    def decorate(answer: Callable[..., Any]) -> Task:
        description = answer.__doc__ or ""
        register(Kind(name=name, arguments=arguments, result=result, description=description))

        def body(self: Task, /, *positional: Any, **given: Any) -> Any:
            _refuse_positional(positional)
            with caller_errors.only_known_errors(), passed_on():
                refuse_false_hint(self)
                try:
                    refuse_later(_timing(self), name)
                    return answer(_parse_arguments(arguments, given))
                except LedgerError as error:
                    raise caller_errors.of_ledger(error) from None

        body.__doc__ = answer.__doc__
        return shared_task(
            name=f"earwitness.{name}",
            bind=True,
            base=base,
            Request="tasks.runtime.messages:Message",
            throws=(errors.JobError,),
            typing=False,
            may_expire=may_expire,
        )(body)

    return decorate


def _open_and_answer(
    task: Task, kind: Kind, positional: tuple[Any, ...], given: dict[str, Any]
) -> Any:
    """Open or join a job, and return its outcome if it has ended.

    An inline job that was opened just now is carried out first.
    """
    _refuse_positional(positional)
    asked = _parse_arguments(kind.arguments, given)
    try:
        job, number, lease = _retry_while_ledger_away(lambda: _open_or_join(task, kind, asked))
    except LedgerError as error:
        raise caller_errors.of_ledger(error) from None
    task.request.update({JOB_OF_ANSWER: job.job_id})
    of_task(job_id=job.job_id, account=job.account)
    if lease is not None:
        return run_inline(task, kind.work, job, lease)
    if job.ended:
        return replay(task, job)
    _log.info("%s %s", job.kind, "accepted" if number is not None else _joined(job, task))
    show_waiting(task, job)
    if number is not None:
        publish_first(job, number)
    raise Ignore


def _open_or_join(task: Task, kind: Kind, asked: Any) -> tuple[Job, int | None, Lease | None]:
    """Open or join a job.

    Returns the job, the number of its hint if there is one to publish, and the lease if the job is
    to be carried out here. Raises InvalidArgument, LedgerError.
    """
    made, when, by = _request_of(kind, asked, task), _timing(task), f"task {task.request.id}"
    notify = asked.notify.stored() if getattr(asked, "notify", None) else None
    carried = canvas.carried(task)
    if not isinstance(made, Request):
        job, number = made(timed=when.of)
        return ledger().opening.join(job, task.request.id, notify, carried), number, None
    if carried is not NOTHING:
        made = replace(made, carried=carried)
    if kind.inline:
        job, lease = ledger().execution.begin(when.of(made), by=by, notify=notify)
        return job, None, lease
    job, number = ledger().opening.open(when.of(made), by=by, notify=notify)
    return job, number, None


def _joined(job: Job, task: Task) -> str:
    is_own = job.task_id == task.request.id and job.attempts == 0
    return f"accepted; it {job.reason}" if is_own and job.reason else "joined"


def _request_of(kind: Kind, asked: Any, task: Task) -> Request | Opening:
    """Return what the task asks for. Raises InvalidArgument, also if the task's id cannot serve."""
    task_id = task.request.id
    check_task_id(task_id, is_key=False)
    assert kind.request is not None
    made = kind.request(asked, task_id)
    if isinstance(made, Request) and made.request_id == task_id:
        check_task_id(task_id, is_key=True)
    return made


def _timing(task: Task) -> Timing:
    """Return when the message is to be carried out. Raises InvalidArgument, LedgerAway."""
    return timing(task.request.eta, task.request.expires)


def _mark_answered(task_id: str) -> None:
    try:
        check_task_id(task_id, is_key=False)
    except errors.InvalidArgument:
        return  # the ledger cannot know it
    answers.add(task_id)


def _retry_while_ledger_away(work: Callable[[], Opened]) -> Opened:
    """Call ``work`` until the ledger answers; the task waits in its slot, unacknowledged."""
    while True:
        try:
            return work()
        except LedgerAway as error:
            if stopping.is_set():
                raise Reject(str(error), requeue=True) from None
            _log.warning("%s; the message is kept and retried", error)
            time.sleep(1)


def _parse_arguments(arguments: type[Arguments], given: dict[str, Any]) -> Any:
    """Return the validated arguments, and add their account to the task's log lines."""
    asked = parse(arguments, given)
    of_task(account=getattr(asked, "account", None))
    return asked


def _refuse_positional(positional: tuple[Any, ...]) -> None:
    if positional:
        raise errors.InvalidArgument(
            "not done: arguments: send keyword arguments only (kwargs={...}); no job was opened"
        )
