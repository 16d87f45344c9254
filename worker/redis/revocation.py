"""Celery's ``revoke`` and ``terminate``, which also cancel the job in the ledger at once.

Celery keeps revoked ids in its workers' memory for three hours, and checks them when a message
arrives. The message of a waiting job has arrived before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from tasks.jobs.tasks import cancel_revoked


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
