"""Whether the archive is the one that the ledger vouches for: its name, how long its chains are.

A disk that is not mounted, a mistyped address, an older copy: each looks like an archive that
works. The ledger knows better: whom the archive belongs to, and each chain's newest entry.
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
from ledger.archive_record import KnownHead
from ledger.ledger import Ledger

WAYS_OUT = (
    "mount the archive, correct EARWITNESS_ARCHIVE_URL, or put the archive back from its newest "
    "copy; to go on with an older copy: python -m worker archive --accept --by WHO --note WHY; if "
    "it is lost for good, in an empty place: python -m worker archive --begin --by WHO --note WHY"
)


def assure(store: Store, ledger: Ledger, *, writing: bool) -> None:
    """Raise Vanished where nothing must be read as missing, or written: this is not the ledger's
    archive. A ledger that has archived nothing yet begins one with its first file, where nothing
    lies. To be read, an archive may be another ledger's: a rebuild makes that ledger anew.
    """
    named = named_ledger(store)
    if named is not None and not writing:
        return
    if not _is_ours(store, ledger, named) and writing:
        begin(store, _identity(ledger))


def refuse_other(store: Store, ledger: Ledger) -> None:
    """Raise Vanished where something else lies there than this ledger's archive, or nothing though
    the ledger has archived files.
    """
    _is_ours(store, ledger, named_ledger(store))


def _is_ours(store: Store, ledger: Ledger, named: str | None) -> bool:
    """Whether the archive is there; it need not be where nothing was archived yet."""
    ours = _identity(ledger)
    if named is None and ledger.archive_record.anything():
        # Another worker may have begun it, and archived the first file, since the name was read.
        named = named_ledger(store)
        if named is None:
            raise Vanished(store.address, absent())
    if named not in (None, ours):
        raise Vanished(
            store.address,
            f"belongs to ledger {named}, not to {ours}; nothing was stored; {WAYS_OUT}",
        )
    return named is not None


def absent() -> str:
    """What it means that nothing says whose the archive is."""
    return (
        f"is not there: no {paths.IDENTITY_PATH} lies in it, though this ledger has archived "
        f"files; nothing was stored; {WAYS_OUT}"
    )


def named_ledger(store: Store) -> str | None:
    """The ledger that an archive names, None where it names none. Raises Vanished where that
    cannot be read.
    """
    try:
        return identity_document.read(store).ledger
    except Missing:
        return None
    except Damaged:
        raise Vanished(
            store.address,
            f"has a {paths.IDENTITY_PATH} that cannot be read; give it back from a copy; "
            "run: python -m worker verify",
        ) from None


def begin(store: Store, identity: str) -> None:
    """Begin an archive for this ledger, where nothing lies. Raises Vanished where something does,
    and what a store raises.
    """
    if holds_files(store) and named_ledger(store) is None:
        raise Vanished(
            store.address,
            f"holds files, but no {paths.IDENTITY_PATH} that says whose they are; nothing was "
            f"stored; {WAYS_OUT}",
        )
    try:
        store.create(paths.IDENTITY_PATH, Identity(identity).to_bytes())
    except FileExistsError:
        if named_ledger(store) != identity:
            raise Vanished(
                store.address, "was begun by another ledger just now; nothing was stored"
            ) from None


def holds_files(store: Store) -> bool:
    """Whether anything lies there beside the name of a ledger, which another worker may be writing
    at this moment.
    """
    return any(path != paths.IDENTITY_PATH for path in store.paths())


def shorter(store: Store, ledger: Ledger) -> list[str]:
    """What each chain lacks of the entries that the ledger knows, a sentence an account; empty
    where the archive is as new as the ledger.
    """
    found = (lacks(store, head) for head in ledger.archive_record.heads().values())
    return [why for why in found if why is not None]


def adopt(store: Store, ledger: Ledger, accounts: Iterable[str]) -> list[str]:
    """Note the newest entries of chains that the ledger does not know yet, since an earlier version
    wrote them or the ledger was rebuilt: where they cover what the ledger put under them last. A
    sentence for each that does not.
    """
    known = ledger.archive_record.heads()
    found = (_adopt(store, ledger, account) for account in accounts if account not in known)
    return [why for why in found if why is not None]


def refuse_shorter(store: Store, ledger: Ledger, accounts: Iterable[str]) -> None:
    """Raise Vanished where the archive lacks entries of a chain that the ledger knows."""
    lacking = shorter(store, ledger) or adopt(store, ledger, accounts)
    if lacking:
        raise Vanished(store.address, older(lacking))


def older(lacking: Sequence[str]) -> str:
    """What it means that chains lack entries."""
    return f"lacks what this ledger has archived: {'; '.join(lacking)}; {WAYS_OUT}"


def lacks(store: Store, known: KnownHead) -> str | None:
    """Why an account's chain is not the one that the ledger knows, or None."""
    if known.n == 0:
        return None
    path = paths.chain_path(known.account, known.n)
    try:
        found = hashlib.sha256(store.read(path)).hexdigest()
    except Missing:
        newest = max(chain.numbers(store, known.account), default=0)
        return (
            f"the chain of {known.account} lacks entry {known.n}, which the ledger knows (the "
            f"newest that is there is {newest})"
        )
    if found != known.sha256:
        return (
            f"entry {known.n} of the chain of {known.account} has the SHA-256 {found}, not "
            f"{known.sha256}, which the ledger knows"
        )
    return None


def refuse_fork(store: Store, ledger: Ledger, account: str) -> None:
    """Raise Vanished where an account's chain must not be lengthened: it lacks entries that the
    ledger knows, whose numbers would be given a second time.
    """
    known = ledger.archive_record.heads().get(account)
    why = None if known is None else lacks(store, known)
    if why is not None:
        raise Vanished(store.address, older([why]))


def _adopt(store: Store, ledger: Ledger, account: str) -> str | None:
    newest = ledger.archive_record.newest(account)
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
            f"the chain of {account} does not cover {newest.path}, which the ledger put under it "
            f"(the newest entry that is there is {head.n if head else 0})"
        )
    if head is not None:
        ledger.archive_record.note_head(account, head.n, head.sha256)
    return None


@lru_cache(maxsize=1)
def _identity(ledger: Ledger) -> str:
    return ledger.identity.identity()
