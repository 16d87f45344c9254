"""What other programs are sent about jobs and alerts, declared for the catalogue.

`notifications` and `alerts` build these as plain dictionaries; the tests validate what they send.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tasks.errors import BY_NAME

from .results import Result

ERROR_NAMES = sorted(BY_NAME.keys() - {"JobError"})


class ErrorBody(Result):
    """An error of the closed list."""

    type: str = Field(json_schema_extra={"enum": list(ERROR_NAMES)})
    message: str = Field(pattern="^(done|not done|unknown): ")
    """Begins with what is known of the work: *done*, *not done* or *unknown*."""


class NotificationBody(Result):
    """The end of a job, or its need for a decision, as ``notify`` asks for it.

    It is sent at least once: ``job_id`` and ``state`` tell repetitions.
    """

    job_id: str
    request_id: str
    kind: str
    """The name of the job's task without ``earwitness.``."""
    state: Literal["done", "failed", "cancelled", "needs_decision"]
    result: dict[str, Any] | None
    """The task's result without ``job_id``, and with ``chain_head``, the checksum of the newest
    entry of the account's chain. Some failed jobs have a result too."""
    error: ErrorBody | None
    """Null if the job is done."""


class AlertBody(Result):
    """An alert that opened or was resolved."""

    schema_version: Literal[1] = Field(alias="schema")
    id: str
    """The same each time this message is sent."""
    state: Literal["open", "resolved"]
    cause: str
    """The alert's permanent name, the key to group by."""
    kind: str
    account: str
    """The account's alias; ``*`` for every account."""
    job_id: str | None
    """The last job that met the cause."""
    message: str
    since: str
    """When the alert opened, ISO 8601 in UTC."""
    repeated: int = Field(ge=0)
    """How often the cause occurred again."""
    closed_by: str | None = None
    """Present in ``resolved``: who closed the alert; null if it closed by itself."""
    note: str | None = None
    """Present in ``resolved``: why it was closed by hand."""
    deployment: str
    """The ledger's identity."""
    version: str
