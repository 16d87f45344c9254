"""Whether a chain vouches for a file."""

from __future__ import annotations

from archive import chain
from archive.documents.chain_entry import Covered
from tasks.runtime.context import store


def is_chained(alias: str, path: str) -> bool:
    """Return whether the account's chain covers a file with its current checksum."""
    return chain.covers(store(), alias, Covered.of(store().checksum(path)))
