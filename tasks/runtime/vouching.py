"""Checks that the archive is the one that the ledger vouches for, by name and length of chains.

A disk that is not mounted, a mistyped address and an older copy each look like a working archive.
The ledger can tell: it knows its own identity and the newest entry of each chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

from archive import chain, paths
from archive.documents import identity as identity_document
from archive.documents.chain_entry import Covered
from archive.documents.identity import Identity
from archive.errors import ArchiveError, Damaged, Missing, Vanished
from archive.store.directory import Store
from ledger.archive_record import Chained, KnownHead
from ledger.ledger import Ledger

WAYS_OUT = (
    "mount the archive, correct EARWITNESS_ARCHIVE_URL, or restore the archive from its newest "
    "copy; to continue with an older copy, run: earwitness archive --accept --by WHO --note "
    "WHY; if every copy is lost, begin a new archive in an empty place: earwitness archive "
    "--begin --by WHO --note WHY"
)


def assure(store: Store, ledger: Ledger, *, writing: bool) -> None:
    """Raise Vanished if this is not the ledger's archive.

    Otherwise files would be read as missing, or written elsewhere. A ledger that has archived
    nothing yet begins an archive with its first file, in an empty place. An archive of another
    ledger may be read: a rebuild makes that ledger again.
    """
    named = named_ledger(store)
    if named is not None and not writing:
        return
    if not _is_ours(store, ledger, named) and writing:
        begin(store, _identity(ledger))


def refuse_other(store: Store, ledger: Ledger) -> None:
    """Raise Vanished if this is another ledger's archive, or is gone though files were archived."""
    _is_ours(store, ledger, named_ledger(store))


def _is_ours(store: Store, ledger: Ledger, named: str | None) -> bool:
    """Return whether the archive is there; it may be absent while nothing has been archived."""
    ours = _identity(ledger)
    if named is None and ledger.archive_record.anything():
        # Since the name was read, another worker may have begun the archive and stored its first
        # file.
        named = named_ledger(store)
        if named is None:
            raise Vanished(store.address, describe_absent())
    if named not in (None, ours):
        raise Vanished(
            store.address,
            f"belongs to ledger {named}, not to {ours}; nothing was stored; {WAYS_OUT}",
        )
    return named is not None


def describe_absent() -> str:
    """Return the message for an archive without an identity."""
    return (
        f"is not there: it has no {paths.IDENTITY_PATH}, although this ledger has archived files; "
        f"nothing was stored; {WAYS_OUT}"
    )


def named_ledger(store: Store) -> str | None:
    """Return the ledger that an archive names, or None.

    Raises Vanished if the name cannot be read.
    """
    try:
        return identity_document.read(store).ledger
    except Missing:
        return None
    except Damaged:
        raise Vanished(
            store.address,
            f"has a {paths.IDENTITY_PATH} that cannot be read; restore it from a copy, then run: "
            "earwitness verify",
        ) from None


def begin(store: Store, identity: str) -> None:
    """Begin an archive for this ledger in an empty place.

    Raises Vanished if the place is not empty, and what a store raises.
    """
    if holds_files(store) and named_ledger(store) is None:
        raise Vanished(
            store.address,
            f"holds files, but no {paths.IDENTITY_PATH} that names their ledger; nothing was "
            f"stored; {WAYS_OUT}",
        )
    try:
        store.create(paths.IDENTITY_PATH, Identity(identity).to_bytes())
    except FileExistsError:
        if named_ledger(store) != identity:
            raise Vanished(
                store.address, "was just begun by another ledger; nothing was stored"
            ) from None


def holds_files(store: Store) -> bool:
    """Return whether any file lies there except a ledger's name.

    Another worker may be writing the name at this moment.
    """
    return any(path != paths.IDENTITY_PATH for path in store.paths())


def missing_entries(store: Store, heads: Iterable[KnownHead]) -> list[str]:
    """Return what each chain lacks of the entries that the ledger knows, one sentence an account.

    The list is empty if the archive is as new as the ledger.
    """
    found = (chain_fault(store, head) for head in heads)
    return [why for why in found if why is not None]


def adopt(store: Store, ledger: Ledger, accounts: Iterable[str]) -> list[str]:
    """Note the newest entries of chains that the ledger does not know yet.

    An earlier version wrote these chains, or the ledger was rebuilt. A chain is adopted if it
    covers the last file that the ledger put under it. Returns one sentence for each chain that does
    not.
    """
    known = ledger.archive_record.heads()
    unknown = {account for account in accounts if account not in known}
    newest = ledger.archive_record.newest(unknown) if unknown else {}
    found = (_adopt(store, ledger, account, newest.get(account)) for account in sorted(unknown))
    return [why for why in found if why is not None]


def refuse_shorter(store: Store, ledger: Ledger, accounts: Iterable[str]) -> None:
    """Raise Vanished if the archive lacks entries of a chain that the ledger knows."""
    heads = ledger.archive_record.heads().values()
    lacking = missing_entries(store, heads) or adopt(store, ledger, accounts)
    if lacking:
        raise Vanished(store.address, describe_missing(lacking))


def describe_missing(lacking: Sequence[str]) -> str:
    """Return the message for chains that lack entries."""
    return f"lacks files that this ledger has archived: {'; '.join(lacking)}; {WAYS_OUT}"


def chain_fault(store: Store, known: KnownHead) -> str | None:
    """Return why an account's chain is not the one that the ledger knows, or None."""
    if known.n == 0:
        return None
    path = paths.chain_path(known.account, known.n)
    try:
        found = hashlib.sha256(store.read(path)).hexdigest()
    except Missing:
        newest = max(chain.numbers(store, known.account), default=0)
        return (
            f"the chain of {known.account} lacks entry {known.n}, which the ledger knows (the "
            f"newest entry there is {newest})"
        )
    if found != known.sha256:
        return (
            f"entry {known.n} of the chain of {known.account} has the SHA-256 {found}, but "
            f"the ledger knows {known.sha256}"
        )
    return None


def refuse_fork(store: Store, ledger: Ledger, account: str) -> None:
    """Raise Vanished if an account's chain must not be lengthened.

    Such a chain lacks entries that the ledger knows, whose numbers would be given a second time.
    """
    known = ledger.archive_record.head(account)
    why = None if known is None else chain_fault(store, known)
    if why is not None:
        raise Vanished(store.address, describe_missing([why]))


def _adopt(store: Store, ledger: Ledger, account: str, newest: Chained | None) -> str | None:
    try:
        head = chain.head(store, account)
        is_covered = newest is None or (
            head is not None and chain.covers(store, account, Covered(newest.path, newest.sha256))
        )
    except ArchiveError as error:
        return f"the chain of {account} cannot be read: {error}"
    if not is_covered:
        assert newest is not None
        return (
            f"the chain of {account} does not cover {newest.path}, which the ledger recorded as "
            f"covered (the newest entry there is {head.n if head else 0})"
        )
    if head is not None:
        ledger.archive_record.note_head(account, head.n, head.sha256)
    return None


@lru_cache(maxsize=1)
def _identity(ledger: Ledger) -> str:
    return ledger.identity.identity()
