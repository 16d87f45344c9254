"""Celery's revoke cancels a job as soon as it is said.

By itself Celery keeps revoked ids in the memory of its workers, for three hours, and looks at them
when a message comes. The message of a job that waits has come before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from tasks.jobs.tasks import cancel_revoked


def cancel_at_once() -> None:
    """Let the workers of this process cancel the jobs of tasks that are revoked or terminated."""
    for name, ids in (("revoke", 0), ("terminate", 1)):
        Panel.data[name] = _cancelling(Panel.data[name], ids)


def _cancelling(keep: Callable[..., Any], place: int) -> Callable[..., Any]:
    def act(state: Any, *arguments: Any, **named: Any) -> Any:
        given = named["task_id"] if "task_id" in named else arguments[place]
        ids = [one for one in maybe_list(given) or () if isinstance(one, str)]
        answer = keep(state, *arguments, **named)
        # It is told by the thread that receives messages, which must not wait for the ledger.
        threading.Thread(target=_cancel, args=(ids,), daemon=True).start()
        return answer

    return act


def _cancel(ids: list[str]) -> None:
    for task_id in ids:
        cancel_revoked(task_id)
