"""Replacing the ledger's archive: by a new one, or by a copy that is older than the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from archive import chain, paths
from archive.documents.chain_entry import Covered
from archive.documents.identity import Identity
from archive.errors import ArchiveError
from archive.store.directory import Store
from archive.verify.chain_index import ChainIndex
from ledger.errors import NotPossible
from ledger.ledger import Ledger
from tasks.runtime import archive_alerts, vouching
from tasks.runtime.context import bare_store, ledger

from . import watch
from .watch import Comparison


def begin(*, by: str, note: str) -> Comparison:
    """Begin a new archive in an empty place; files archived before count as lost. Audited.

    Raises NotPossible if the place is not empty, and what a store raises.
    """
    store = bare_store()
    if vouching.named_ledger(store) is not None or vouching.holds_files(store):
        raise NotPossible(
            f"not done: {store.address} is not empty; nothing was changed; set "
            "EARWITNESS_ARCHIVE_URL to an empty place, or accept the files that are there: "
            "earwitness archive --accept --by WHO --note WHY"
        )
    vouching.begin(store, ledger().identity.identity())
    return _taken(store, by=by, note=f"a new archive was begun at {store.address}: {note}")


def accept(*, by: str, note: str) -> Comparison:
    """Take the files at the archive's address as the ledger's archive, however old. Audited.

    Files that they lack count as lost. Raises NotPossible if the archive belongs to another ledger
    or is no archive at all, and what a store raises.
    """
    store, ours = bare_store(), ledger().identity.identity()
    named = vouching.named_ledger(store)
    if named is None and not _is_ours_without_its_name(store, ours):
        raise NotPossible(
            f"not done: {store.address} is not an archive of this ledger: it has no "
            f"{paths.IDENTITY_PATH}; nothing was changed; check EARWITNESS_ARCHIVE_URL, or begin a "
            "new archive in an empty place: earwitness archive --begin --by WHO --note WHY"
        )
    if named not in (None, ours):
        raise NotPossible(
            f"not done: {store.address} belongs to ledger {named}, not to {ours}; nothing was "
            "changed; check EARWITNESS_ARCHIVE_URL"
        )
    if named is None:
        store.create(paths.IDENTITY_PATH, Identity(ours).to_bytes())
    return _taken(store, by=by, note=f"{store.address} was accepted as the archive: {note}")


def _is_ours_without_its_name(store: Store, identity: str) -> bool:
    """Return whether the chain of any account covers the identity file that is gone."""
    sha256 = hashlib.sha256(Identity(identity).to_bytes()).hexdigest()
    entry = Covered(paths.IDENTITY_PATH, sha256)
    for account in {paths.account_of(path) for path in store.paths()} - {""}:
        try:
            if chain.covers(store, account, entry):
                return True
        except ArchiveError:
            continue
    return False


def _taken(store: Store, *, by: str, note: str) -> Comparison:
    accounts = watch.accounts()
    heads = {}
    for account in accounts:
        head = chain.head(store, account)
        # If the account has no chain, no entries of one are expected any more.
        heads[account] = (0, chain.NOTHING) if head is None else (head.n, head.sha256)
    ledger().archive_record.replace(heads, by=by, note=note)
    ledger().alerts.close(archive_alerts.VANISHED)
    for account in accounts:
        _chain_again(store, ledger(), account)
    return watch.compare()


def _chain_again(store: Store, ledger: Ledger, account: str) -> None:
    """Add entries for files that are there and that the chain no longer covers."""
    with ChainIndex(store, [account], {}) as chains:
        for ids in _uncovered(store, ledger, account, chains):
            ledger.archive_record.chain_again(ids)


def _uncovered(
    store: Store, ledger: Ledger, account: str, chains: ChainIndex
) -> Iterable[list[int]]:
    before = None
    while page := ledger.archive_record.chained(account, before=before):
        before = page[-1].id
        yield [one.id for one in page if not chains.covers(one.path) and store.exists(one.path)]
