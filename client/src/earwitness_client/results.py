"""The worker's answers by contract; later versions may add fields."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class JobErrorView(TypedDict):
    """The name and the message of the exception with which a job ended or was refused."""

    type: str
    message: str


class JobView(TypedDict):
    """A job as the worker's ledger has it.

    ``job.status`` by task id also answers for a request that opened no job: its ``state`` is
    "refused", its ``job_id`` empty. ``error`` is None unless the job ended with an exception; older
    workers leave it out.
    """

    job_id: str
    kind: str
    account: str
    request_id: str
    state: Literal[
        "pending",
        "running",
        "sending",
        "waiting",
        "done",
        "failed",
        "needs_decision",
        "cancelled",
        "refused",
    ]
    reason: str | None
    attempts: int
    next_attempt_at: str | None
    created_at: str
    updated_at: str
    result: dict[str, Any] | None
    error: NotRequired[JobErrorView | None]


class CertifiedCall(TypedDict):
    """A certified call that was placed."""

    job_id: str
    state: Literal["done"]
    platform_phone: str


class _LiveRecording(TypedDict):
    job_id: str
    call_id: str
    format: str | None
    collected: bool


class LiveRecording(_LiveRecording, total=False):
    """A recording of a live call, started or stopped; after a stop, ``format`` is None."""

    view_id: str
    recording_since: str | None
    collect_job_id: str
    not_collected_because: str


class StoredFile(TypedDict):
    """A file in the archive."""

    job_id: str
    path: str
    sha256: str
    bytes: int


class StoredExport(StoredFile):
    """An export's ZIP in the archive."""

    members: int


class Deleted(TypedDict):
    """A recording that was deleted at the provider."""

    job_id: str
    recording_id: str
    deleted: bool
    archived_as: str | None


class CreatedExport(TypedDict):
    """An export that was created at the provider."""

    job_id: str
    provider_job_ids: list[str]


class RunExport(TypedDict):
    """An archived and reconciled export, with its numbers of recordings."""

    job_id: str
    manifest: str
    listed: int
    archived: int
    missing: int


class Verified(TypedDict):
    """A verified archive.

    ``heads`` are the heads of its chains by account. ``pending`` counts files so new that nothing
    vouches for them yet (later versions).
    """

    job_id: str
    files: int
    bytes: int
    heads: dict[str, str]
    pending: NotRequired[int]


class _RecordingPage(TypedDict):
    recordings: list[dict[str, Any]]
    page: int
    page_size: int


class RecordingPage(_RecordingPage, total=False):
    """One page of the provider's list of recordings, with all fields of the vendor."""

    total_items: int
    total_pages: int
    set_aside: list[dict[str, Any]]


class Call(TypedDict):
    """A live call; ``call_id`` is None if the server's id cannot be read."""

    call_id: str | None
    state: str | None
    source: str | None
    destination: str | None
    caller: str | None
    started_at: str | None
    views: list[Any]


class CallList(TypedDict):
    """The live calls."""

    calls: list[Call]
