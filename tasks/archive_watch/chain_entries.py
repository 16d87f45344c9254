"""Obligations to put files under their account's chain, many files in one entry."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache

from archive import chain
from archive.documents.chain_entry import Covered
from archive.store.directory import Store
from ledger.core.outbox import Obligation
from tasks.runtime import vouching
from tasks.runtime.context import ledger, store
from tasks.runtime.outbox import Handler, register

from .chain_heads import heads

_log = logging.getLogger(__name__)

#: The kind of these obligations.
CHAIN = "chain"


@lru_cache(maxsize=1)
def _writer(archive: Store) -> chain.Writer:
    return chain.Writer(archive)


def _is_whole(obligation: Obligation) -> bool:
    return {"path", "sha256"} <= set(obligation.payload)


def _append(account: str, obligations: Sequence[Obligation]) -> None:
    """Append one entry for all of these files. Raises ArchiveError, OSError, StoreAway."""
    vouching.refuse_fork(store(), ledger(), account)
    entries = {one.payload["path"]: one.payload["sha256"] for one in obligations}
    files = [Covered(path, entries[path]) for path in sorted(entries)]
    head = _writer(store()).append(account, files)  # type: ignore[arg-type] # a Protocol
    ledger().archive_record.note_head(account, head.n, head.sha256)
    heads.record(head)
    _log.info("chain head of %s: entry %d, %s", account, head.n, head.sha256)


register({CHAIN: Handler(_append, together=_is_whole, needs_archive=True)})
