"""What the worker answers, as it stands in the contract; fields may be added."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class JobView(TypedDict):
    """A job as the worker's ledger has it."""

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
    ]
    reason: str | None
    attempts: int
    next_attempt_at: str | None
    created_at: str
    updated_at: str
    result: dict[str, Any] | None


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
    """A recording of a call that goes on, started or stopped; a stop tells no format."""

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
    """An export that was run to a reconciled archive, in numbers of recordings."""

    job_id: str
    manifest: str
    listed: int
    archived: int
    missing: int


class Verified(TypedDict):
    """An archive in which everything is as it was stored; the heads of its chains by account, and
    how many files were so young that nothing vouched for them yet (later versions tell it).
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
    """One page of the provider's list of recordings, every field of the vendor's."""

    total_items: int
    total_pages: int
    set_aside: list[dict[str, Any]]


class Call(TypedDict):
    """A call that goes on; without a call_id where the server's cannot be read."""

    call_id: str | None
    state: str | None
    source: str | None
    destination: str | None
    caller: str | None
    started_at: str | None
    views: list[Any]


class CallList(TypedDict):
    """The calls that go on."""

    calls: list[Call]
