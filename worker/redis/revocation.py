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

_SOON = "; what runs stops at its next step, and a call that is being placed is not interrupted"


def install_revocation() -> None:
    """Make this process' worker cancel the jobs of revoked and terminated tasks."""
    revoke = _cancelling(Panel.data["revoke"])

    def terminate(state: Any, signal: Any, task_id: Any, **_named: Any) -> Any:  # noqa: ARG001
        return revoke(state, task_id, terminate=True)

    Panel.data["revoke"] = revoke
    Panel.data["terminate"] = terminate


def _cancelling(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return Celery's ``revoke`` that cancels the jobs, and ends no thread.

    Celery cannot end a thread: it would raise an error, or store for a call that is being placed
    that it was revoked.
    """

    def run(
        state: Any,
        task_id: Any,
        terminate: bool = False,
        signal: Any = None,  # noqa: ARG001 - Celery's signature
        **named: Any,
    ) -> Any:
        ids = [one for one in maybe_list(task_id) or () if isinstance(one, str)]
        answer = original(state, task_id, **named)
        # The calling thread receives messages and must not wait for the ledger.
        threading.Thread(target=_cancel, args=(ids,), daemon=True).start()
        tasks_are = f"task {ids[0]} is" if len(ids) == 1 else f"tasks {', '.join(ids)} are"
        return {"ok": f"{tasks_are} cancelled{_SOON}"} if terminate else answer

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
