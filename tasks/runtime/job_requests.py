"""Requests of jobs, from the validated arguments of a task."""

from __future__ import annotations

from typing import Any

from ledger.core.opening import Request

from .arguments import JobArguments


def job_request(
    kind: str, asked: JobArguments, task_id: str, parameters: dict[str, Any], *, queue: str
) -> Request:
    """Return the request of a job; if no request id is given, the task's id is the key."""
    return Request(
        kind=kind,
        account=asked.account,
        request_id=asked.request_id or task_id,
        parameters=parameters,
        queue=queue,
        task_id=task_id,
    )
