"""The front door: a message becomes a row or joins one; a hint becomes an attempt or an answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject

from config.logging import of_task
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.errors import LedgerAway, LedgerError
from tasks import errors

from . import caller_errors
from .arguments import Arguments, parse
from .context import ledger, stopping
from .dispatch import finished, heed, refuse_false_hint, replay, show_waiting
from .fields import check_task_id
from .messages import JOB_HEADER, NUMBER_HEADER, publish_first
from .not_after import unless_late
from .redis_errors import BROKER_AWAY
from .runner import Run
from .timing import Timing, refuse_later, timing

_log = logging.getLogger(__name__)

_SHORT_LIFE_SECONDS = 600

Opened = TypeVar("Opened")


class Opening(Protocol):
    """Opens or joins a job by a rule of its own: the job, and the number of its first hint where it
    was opened and is due. What it opens is ``timed`` as the message says.
    """

    def __call__(self, *, timed: Callable[[Request], Request]) -> tuple[Job, int | None]:
        """Open the job, or join it. Raises InvalidArgument, LedgerError."""


#: Makes a job's request from validated arguments and the id of the task that asks.
RequestOf = Callable[[Any, str], Request | Opening]


@dataclass(frozen=True)
class Kind:
    """A task that other applications may send: its arguments and, if it opens a job, its work."""

    name: str
    arguments: type[Arguments]
    run: Run | None


#: Every task of ours, for the catalogue.
KINDS: dict[str, Kind] = {}


class Called(Task):
    """A task whose arguments may have any name: Celery's own call has a ``self`` among its own."""

    abstract = True

    def __call__(self, /, *positional: Any, **given: Any) -> Any:
        """Carry it out; Celery's tracer has made its request known before."""
        return self.run(*positional, **given)


class JobTask(Called):
    """A task whose outcome, once Celery has stored it, is marked as answered in the ledger."""

    Request = "tasks.runtime.messages:Message"
    abstract = True
    throws = (errors.JobError,)

    def on_success(self, _retval: Any, task_id: str, _args: Any, _kwargs: Any) -> None:
        """Celery stored the result."""
        _answered(task_id)

    def on_failure(self, exc: Any, task_id: str, _args: Any, _kwargs: Any, _einfo: Any) -> None:
        """Celery stored the exception; where it is none of ours, it is not the job's outcome."""
        if isinstance(exc, errors.JobError) and exc.is_outcome:
            _answered(task_id)


def job_task(
    kind: str, arguments: type[Arguments], request_of: RequestOf, *, at_once: bool = False
) -> Callable[[Run], Task]:
    """Make an attempt's function a task that opens a job; ``at_once``: a short action, which runs
    in the slot of the task that opened it, where others wait for their first hint.
    """

    def decorate(run: Run) -> Task:
        # A short action looks at its not_after by itself, until nothing of it can be sent any more.
        work = run if at_once else unless_late(run)
        KINDS[kind] = Kind(kind, arguments, work)

        def body(self: Task, /, *positional: Any, **given: Any) -> Any:
            job_id = self.request.get(JOB_HEADER)
            if job_id:
                return heed(self, work, job_id, self.request.get(NUMBER_HEADER))
            # Of a job, the result backend keeps this to itself and answers later.
            with caller_errors.nothing_else(but=BROKER_AWAY):
                refuse_false_hint(self)
                if at_once:
                    return _asked_at_once(self, work, arguments, request_of, positional, given)
                return _asked(self, arguments, request_of, positional, given)

        body.__doc__ = run.__doc__
        return shared_task(name=f"earwitness.{kind}", bind=True, base=JobTask, typing=False)(body)

    return decorate


class ShortLived(Called):
    """A task whose result holds personal data, and is forgotten ten minutes after it was stored."""

    abstract = True

    def on_success(self, _retval: Any, task_id: str, _args: Any, _kwargs: Any) -> None:
        """Celery stored the result."""
        self.backend.expire(self.backend.get_key_for_task(task_id), _SHORT_LIFE_SECONDS)


def plain_task(
    kind: str, arguments: type[Arguments], base: type[Task] = Called
) -> Callable[[Callable[..., Any]], Task]:
    """Make a function of validated arguments a task that opens no job: it answers or fails."""

    def decorate(answer: Callable[..., Any]) -> Task:
        KINDS[kind] = Kind(kind, arguments, None)

        def body(self: Task, /, *positional: Any, **given: Any) -> Any:
            _refuse_positional(positional)
            with caller_errors.nothing_else():
                refuse_false_hint(self)
                try:
                    refuse_later(_timing(self), kind)
                    return answer(_parsed(arguments, given))
                except LedgerError as error:
                    raise caller_errors.of_ledger(error) from None

        body.__doc__ = answer.__doc__
        return shared_task(
            name=f"earwitness.{kind}",
            bind=True,
            base=base,
            Request="tasks.runtime.messages:Message",
            throws=(errors.JobError,),
            typing=False,
        )(body)

    return decorate


def _asked(
    task: Task,
    arguments: type[Arguments],
    request_of: RequestOf,
    positional: tuple[Any, ...],
    given: dict[str, Any],
) -> Any:
    """Open the row or join it, and answer at once where the job has ended already."""
    _refuse_positional(positional)
    asked = _parsed(arguments, given)
    notify = asked.notify.model_dump() if getattr(asked, "notify", None) else None
    try:
        job, number = _patiently(
            lambda: _opened(_made(request_of, asked, task), _timing(task), task, notify)
        )
    except LedgerError as error:
        raise caller_errors.of_ledger(error) from None
    of_task(job_id=job.job_id, account=job.account)
    if job.ended:
        return replay(job)
    _log.info("%s %s", job.kind, "accepted" if number is not None else _joined(job, task))
    show_waiting(task, job)
    if number is not None:
        publish_first(job, number)
    raise Ignore


def _asked_at_once(
    task: Task,
    run: Run,
    arguments: type[Arguments],
    request_of: RequestOf,
    positional: tuple[Any, ...],
    given: dict[str, Any],
) -> Any:
    """Open the row and do its work here and now, or join it where it is there; where its sender
    asked for a later time, it waits.
    """
    _refuse_positional(positional)
    asked = _parsed(arguments, given)
    notify = asked.notify.model_dump() if getattr(asked, "notify", None) else None
    made = _made(request_of, asked, task)
    assert isinstance(made, Request)
    by = f"task {task.request.id}"
    try:
        job, lease = _patiently(
            lambda: ledger().execution.begin(_timing(task).of(made), by=by, notify=notify)
        )
    except LedgerError as error:
        raise caller_errors.of_ledger(error) from None
    of_task(job_id=job.job_id, account=job.account)
    if lease is not None:
        return finished(task, run, job, lease)
    if job.ended:
        return replay(job)
    _log.info("%s %s", job.kind, _joined(job, task))
    show_waiting(task, job)
    raise Ignore


def _joined(job: Job, task: Task) -> str:
    is_own = job.task_id == task.request.id and job.attempts == 0
    return f"accepted; it {job.reason}" if is_own and job.reason else "joined"


def _made(request_of: RequestOf, asked: Any, task: Task) -> Request | Opening:
    """What the task asks for. Raises InvalidArgument, also where its id can not stand for it."""
    task_id = task.request.id
    check_task_id(task_id, is_key=False)
    made = request_of(asked, task_id)
    if isinstance(made, Request) and made.request_id == task_id:
        check_task_id(task_id, is_key=True)
    return made


def _timing(task: Task) -> Timing:
    """When the message is to be carried out. Raises InvalidArgument, LedgerAway."""
    return timing(task.request.eta, task.request.expires)


def _opened(
    made: Request | Opening, when: Timing, task: Task, notify: dict[str, str] | None
) -> tuple[Job, int | None]:
    by = f"task {task.request.id}"
    if isinstance(made, Request):
        return ledger().opening.open(when.of(made), by=by, notify=notify)
    job, number = made(timed=when.of)
    return ledger().opening.join(job, task.request.id, notify), number


def _answered(task_id: str) -> None:
    try:
        check_task_id(task_id, is_key=False)
        ledger().waiters.answered(task_id)
    except errors.InvalidArgument:
        return  # the ledger can not know it
    except LedgerAway as error:
        _log.info("task %s is answered once more later (%s)", task_id, error)


def _patiently(work: Callable[[], Opened]) -> Opened:
    """With the ledger away a front-door task waits in its slot, unacknowledged."""
    while True:
        try:
            return work()
        except LedgerAway as error:
            if stopping.is_set():
                raise Reject(str(error), requeue=True) from None
            _log.warning("%s; the message is kept and tried again", error)
            time.sleep(1)


def _parsed(arguments: type[Arguments], given: dict[str, Any]) -> Any:
    """The validated arguments; from now on the task's lines say whose account it is."""
    asked = parse(arguments, given)
    of_task(account=getattr(asked, "account", None))
    return asked


def _refuse_positional(positional: tuple[Any, ...]) -> None:
    if positional:
        raise errors.InvalidArgument(
            "not done: arguments: send keyword arguments only (kwargs={...}); nothing was opened"
        )
