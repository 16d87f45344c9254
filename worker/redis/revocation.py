"""Celery's ``revoke`` and ``terminate``, which also cancel the job in the ledger at once.

Celery keeps revoked ids in its workers' memory for three hours, and checks them when a message
arrives. The message of a waiting job has arrived before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery import states as celery_states
from celery.exceptions import TaskRevokedError
from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from config.logging import bind
from ledger.core import states
from ledger.errors import LedgerError
from tasks.jobs.tasks import cancel_revoked, refuse_revoked
from tasks.runtime.answers import answers
from tasks.runtime.context import ledger
from tasks.runtime.messages import JOB_HEADER, Message
from tasks.runtime.redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)


def install_revocation() -> None:
    """Make this process' worker cancel the jobs of revoked and terminated tasks."""
    for name, ids in (("revoke", 0), ("terminate", 1)):
        Panel.data[name] = _cancelling(Panel.data[name], ids)


def _cancelling(original: Callable[..., Any], position: int) -> Callable[..., Any]:
    def run(state: Any, *arguments: Any, **named: Any) -> Any:
        given = named["task_id"] if "task_id" in named else arguments[position]
        ids = [one for one in maybe_list(given) or () if isinstance(one, str)]
        answer = original(state, *arguments, **named)
        # The calling thread receives messages and must not wait for the ledger.
        threading.Thread(target=_cancel, args=(ids,), daemon=True).start()
        return answer

    return run


def _cancel(ids: list[str]) -> None:
    for task_id in ids:
        cancel_revoked(task_id)


def take_back(message: Message) -> None:
    """Cancel the job of a revoked task's message.

    Celery has stored the task as revoked and told its chord, if the message had one. The answer of
    a task that waited has none: its chord is in the ledger.
    """
    refuse_revoked(message.id, message.name)
    if not message.is_hint:
        return
    with bind(task_id=message.id, **message.log_fields):
        try:
            _end_revoked(message)
        except (*BROKER_AWAY, LedgerError) as error:
            _log.warning("the task was revoked, and is answered again later: %s", error)


def _end_revoked(message: Message) -> None:
    job, waiting = ledger().waiters.hinted(message.request_dict[JOB_HEADER], message.id)
    if job.state != states.CANCELLED or waiting.job_id != job.job_id:
        return
    request = message._context  # noqa: SLF001 - as Celery itself passes it to the backend
    chord = (ledger().waiters.canvas(message.id) or {}).get("chord")
    if chord:
        request.chord = chord
        revoked = TaskRevokedError("revoked")
        message.task.backend.on_chord_part_return(request, celery_states.REVOKED, revoked)
    answers.add(message.id)
