"""The result of a retrieval, as callers, the export's own run and a rebuild read it."""

from __future__ import annotations

from typing import Any

from archive.store.directory import Stored


def retrieved(stored: Stored, members: int, provider_job_id: str) -> dict[str, Any]:
    """Return the result of the retrieval of a ZIP with so many members."""
    return {
        "provider_job_id": provider_job_id,
        "path": stored.path,
        "sha256": stored.sha256,
        "bytes": stored.bytes,
        "members": members,
    }
