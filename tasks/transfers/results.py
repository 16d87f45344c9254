"""The results of tasks that store one file."""

from __future__ import annotations

from pydantic import Field

from tasks.runtime.results import JobResult


class StoredFile(JobResult):
    """A file in the archive."""

    path: str
    """The file's path below the archive's address."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
