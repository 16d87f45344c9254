"""What the events of a task say about its job: a field of our own, which Flower shows.

The field holds only what `docs/security.md` allows everywhere: ids, an account, a day, a state and
a time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Self

from celery import Task, current_app

from config.masking import mask_field
from ledger.core.job import Job
from tasks import errors

from .background import Background, StillRunning
from .redaction import is_day, known_account
from .redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)

#: The field of an event, and the key of the same mapping in a task's request.
FIELD = "earwitness"
#: The event that a person decided what became of a job whose tasks have failed. Outside the group
#: of `task-` events: every monitor takes each of those for a state of the task.
DECIDED = "earwitness-decided"
#: The key of a task's request under which the worker puts a weak reference to what sends events.
SENDER = "earwitness_sender"
#: The state of a task that waits for the job of another task.
JOINED = "joined"
#: How long a decision waits for Redis to take its event.
_PATIENCE_SECONDS = 2.0
#: The ids of applications, of days and of parts.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/#-]{1,200}")


class ShownArguments(str):
    """The arguments of a message, as people see them, and what its events say about its job."""

    __slots__ = ("job",)

    def __new__(cls, text: str, job: dict[str, Any]) -> Self:
        """Return the text with the job."""
        made = super().__new__(cls, text)
        made.job = job
        return made

    job: dict[str, Any]


def is_harmless_id(value: object) -> bool:
    """Return whether the value has the form of a request id and does not look like a number."""
    return (
        isinstance(value, str)
        and _REQUEST_ID.fullmatch(value) is not None
        and mask_field(value) == value
    )


def shown(
    *,
    account: object,
    request_id: object,
    day: object,
    job_id: str | None = None,
) -> dict[str, Any]:
    """Return what may be shown of these, without what is missing or must not be shown."""
    known = {
        "job_id": job_id,
        "account": account if known_account(account) else None,
        "request_id": request_id if is_harmless_id(request_id) else None,
        "day": day if is_day(day) else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def of_arguments(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what a message says about the job that it asks for, before it is accepted."""
    names = ("account", "request_id", "day")
    return shown(**{name: given.get(name) for name in names})


def send(task: Task, kind: str, **fields: Any) -> None:
    """Send an event of a running task, after those that its worker sent about it.

    Celery's own `Task.send_event` uses another connection, and overtakes events that wait for the
    flusher. Without a worker nothing is sent.
    """
    reference = task.request.get(SENDER)
    if reference is not None and (sender := reference()) is not None:
        sender(kind, **fields)


def note(task: Task, job: Job) -> None:
    """Let the further events of a running task show its job.

    Only the events of the task that opened the job follow its state: another one hears of the job's
    end alone.
    """
    about = shown(account=job.account, request_id=job.request_id, day=job.day, job_id=job.job_id)
    if job.ended:
        about["state"] = job.state
    elif task.request.id != job.task_id:
        about["state"] = JOINED
    else:
        about["state"] = job.state
        about["next_attempt_at"] = job.next_attempt_at
    if isinstance(noted := task.request.get(FIELD), dict):
        noted.update(about)


def announce_decision(job: Job) -> None:
    """Let Flower show a person's decision at every task of the job, all of which have failed.

    What the person wrote stays in the ledger and the receipt: a note names people. Redis that is
    away, or slow, is only logged: the ledger has the decision.
    """
    about = shown(account=job.account, request_id=job.request_id, day=job.day, job_id=job.job_id)
    told = {FIELD: {**about, "state": job.state}}
    what = f"decided: the call was {'not ' if job.error else ''}placed"
    said = f"{what}; run earwitness show {job.job_id[:8]}"
    error = errors.Rejected(f"not done: {said}") if job.error else errors.Uncertain(said)
    events = current_app.events

    def publish() -> None:
        with events.default_dispatcher() as dispatcher:
            dispatcher.send(DECIDED, uuid=job.task_id, exception=repr(error), **told)

    try:
        Background(publish, "decision-event").result(_PATIENCE_SECONDS)
    except (*BROKER_AWAY, StillRunning) as failure:
        why = str(failure) or "Redis does not answer"
        _log.info("Flower does not show the decision on job %s: %s", job.job_id, why)
