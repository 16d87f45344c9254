"""The results of the tasks on exports."""

from __future__ import annotations

from pydantic import Field

from tasks.runtime.results import JobResult
from tasks.transfers.results import StoredFile


class CreatedExport(JobResult):
    """An export that was created at the provider."""

    provider_job_ids: list[str]
    """The provider's ids: one, or two for an account with both kinds of recordings."""


class RetrievedExport(StoredFile):
    """An export's ZIP in the archive."""

    provider_job_id: str
    members: int = Field(ge=0)
    """How many files the ZIP holds."""


class ArchivedExport(JobResult):
    """An archived and reconciled export, with its numbers of recordings."""

    manifest: str
    """The manifest's path below the archive's address."""
    listed: int = Field(ge=0)
    archived: int = Field(ge=0)
    missing: int = Field(ge=0)
