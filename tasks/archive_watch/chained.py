"""Whether the chain vouches for a file."""

from __future__ import annotations

from archive import chain
from tasks.runtime.context import store


def is_chained(alias: str, path: str) -> bool:
    """Return whether the account's chain covers a file with the sum that it has now."""
    stored = store().checksum(path)
    return chain.covers(store(), alias, {"path": path, "sha256": stored.sha256})
