"""The result of verifying an archive."""

from __future__ import annotations

from pydantic import Field

from tasks.runtime.results import JobResult


class VerifiedArchive(JobResult):
    """An archive that was read whole and in which nothing was found wrong."""

    files: int = Field(ge=0)
    bytes: int = Field(ge=0)
    heads: dict[str, str]
    """The SHA-256 of the newest entry of each account's chain."""
    pending: int = Field(ge=0)
    """Files so new that nothing vouches for them yet."""
