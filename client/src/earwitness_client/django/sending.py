"""Requests that are sent after the transaction has been committed.

The row that is written in the caller's transaction is the promise to send the request. It is sent
right after the commit; if the process dies between the two, or Redis is away, ``earwitness_follow``
sends it. To send it twice is harmless, since the request id names the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec

from asgiref.sync import sync_to_async
from django.db import router, transaction

from earwitness_client import many
from earwitness_client.answers import Job as SentJob
from earwitness_client.arguments import invalid
from earwitness_client.async_answers import AsyncJob
from earwitness_client.errors import NotSent, RequestConflict
from earwitness_client.request import Request

from .clients import get_client, loop_client
from .configuration import configuration
from .states import NOT_ACCEPTED, State

if TYPE_CHECKING:
    from django.db.models import Model

    from .models import Job

Given = ParamSpec("Given")

_log = logging.getLogger("earwitness_client")

#: What may differ between two requests of the same id: it does not name the work.
_ASIDE = frozenset({"not_after", "notify"})


def send_on_commit(
    function: Callable[Given, SentJob[Any]], /, *args: Given.args, **arguments: Given.kwargs
) -> Job:
    """Write a request into the database, and send it once the transaction has been committed.

    ``function`` is a task's of ``get_client()`` that opens a job, such as
    ``get_client().certified_call.request``, and ``arguments`` are its own. Without a transaction
    the request is sent at once. If Redis does not take it within two seconds, that is logged, and
    ``manage.py earwitness_follow`` sends it later.

    Returns the row. For a request id that has one already it is that row, and nothing is sent
    again, unless it is still to be sent or the worker has refused it. Raises InvalidArgument, and
    RequestConflict if the id was used with other arguments.
    """
    return send_for(None, function, args, arguments)


def send_for(
    subject: Model | None,
    function: Callable[..., Any],
    args: Sequence[Any],
    arguments: Mapping[str, Any],
) -> Job:
    """Do what ``send_on_commit`` does, for an object if one is given."""
    job = _written(subject, function, args, arguments)
    if job.state == State.TO_SEND:
        database = router.db_for_write(type(job), instance=job)
        transaction.on_commit(partial(try_to_send, job), using=database, robust=True)
    return job


async def asend(
    function: Callable[Given, Coroutine[Any, Any, AsyncJob[Any]]],
    /,
    *args: Given.args,
    **arguments: Given.kwargs,
) -> Job:
    """Write a request into the database and send it, from an asynchronous view.

    ``function`` is a task's of ``get_async_client()``. The row is committed first: Django has no
    asynchronous transactions. Inside ``sync_to_async``, use ``send_on_commit``. Sending uses no
    thread. Everything else is as with ``send_on_commit``.
    """
    job: Job = await sync_to_async(_written)(None, function, args, arguments)
    if job.state == State.TO_SEND:
        try:
            async with loop_client() as client:
                broker = client._broker  # noqa: SLF001 - of this package
                await broker.run(broker.queue.send(job.request()))
        except NotSent as error:
            await sync_to_async(_note_not_sent)(job, error)
        else:
            await sync_to_async(job.record)(State.SENT, reason="")
    return job


def send_now(job: Job) -> None:
    """Send a row's request, under its own ids. Raises NotSent, after which it is still to send."""
    broker = get_client()._broker  # noqa: SLF001 - of this package
    try:
        broker.run(broker.queue.send(job.request()))
    except NotSent as error:
        _note_not_sent(job, error)
        raise
    job.record(State.SENT, reason="")


def try_to_send(job: Job) -> None:
    """Send a row's request, or leave it to ``earwitness_follow``."""
    try:
        send_now(job)
    except NotSent as error:
        _log.warning("%s", error)


def _note_not_sent(job: Job, error: NotSent) -> None:
    job.reason = str(error)
    rows = type(job).objects.using(router.db_for_write(type(job), instance=job))
    rows.filter(pk=job.pk, state=State.TO_SEND).update(reason=job.reason)


def _written(
    subject: Model | None,
    function: Callable[..., Any],
    args: Sequence[Any],
    arguments: Mapping[str, Any],
) -> Job:
    """Return the row of a request, written now unless there is one."""
    from .models import Job, account_of  # noqa: PLC0415 - once the applications are loaded

    if args:
        raise TypeError("give the arguments of the task as keyword arguments")
    request = _drafted(function, arguments)
    fields = {"arguments": dict(request.arguments), "task_id": request.task_id}
    job: Job
    job, is_new = Job.objects.get_or_create(
        account=account_of(request),
        task=request.task.removeprefix("earwitness."),
        request_id=request.request_id or f"day:{request.arguments['day']}#1",
        defaults={**fields, "job_id": request.job_id, **_subject(subject)},
    )
    if not is_new:
        _join(job, request)
    return job


def _drafted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Request:
    notify = configuration().notify
    queue = get_client()._broker.queue  # noqa: SLF001 - of this package
    request = many.draft(queue, function, arguments)
    if request.job_id is None:
        raise invalid("function", "opens no job; call it itself")
    if notify is None or "notify" in request.arguments:
        return request
    return many.draft(queue, function, {**arguments, "notify": notify})


def _subject(subject: Model | None) -> dict[str, Any]:
    if subject is None:
        return {}
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - once loaded

    if subject.pk is None:
        raise ValueError("save the object before you request a job for it")
    kind = ContentType.objects.get_for_model(subject, for_concrete_model=False)
    return {"subject_type": kind, "subject_id": str(subject.pk)}


def _join(job: Job, request: Request) -> None:
    """Join a request to the row of its id. Raises RequestConflict."""
    if job.state == State.REFUSED:
        # No job was opened: the id may be used again, also with other arguments.
        job.request_again(dict(request.arguments))
    elif job.state in NOT_ACCEPTED and _named(job.arguments) != _named(request.arguments):
        raise RequestConflict(
            f"not done: request_id: {job.request_id!r} was used before for {job.task} with other "
            "arguments; nothing was written or sent; use a new id"
        )


def _named(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in _ASIDE}
