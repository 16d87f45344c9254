"""Receipts of certified calls, as they lie in the archive (docs/archive-format.md)."""

from __future__ import annotations

from typing import Any

from archive.errors import Contradiction
from archive.store.directory import Store, Stored

from .manifest import serialised


def keep(store: Store, path: str, receipt: dict[str, Any]) -> Stored:
    """Write a receipt, or find it written. Raises Contradiction where the file that stands there
    says something else.
    """
    content = serialised(receipt).encode()
    try:
        return store.create(path, content)
    except FileExistsError:
        if store.read(path) != content:
            raise Contradiction(path, "says something else than the ledger; compare them") from None
        return store.checksum(path)
