"""Obligations of jobs whose files are stored."""

from __future__ import annotations

from typing import Any

from archive.store.directory import Stored


def under_chain(stored: Stored) -> tuple[str, dict[str, Any]]:
    """Return the obligation (kind, payload) to put a stored file under its account's chain."""
    return "chain", {"path": stored.path, "sha256": stored.sha256}
