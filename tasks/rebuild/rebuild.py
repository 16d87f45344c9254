"""Rebuilding the ledger from the archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from archive import chain, paths
from archive.documents import identity as identity_document
from archive.errors import ArchiveError
from ledger.core import states
from ledger.errors import NotPossible
from ledger.identity import refuse_foreign
from ledger.rebuild.snapshots import KnownDay, KnownJob, OwedEntry
from tasks.runtime.context import ledger, store

from .calls import calls
from .exports import exported, exports
from .recordings import single_recordings
from .verified_archive import VerifiedArchive, verify_archive

#: How many records one transaction takes: it takes some ten milliseconds, and workers may write.
_AT_ONCE = 20

Known = KnownJob | KnownDay | OwedEntry


@dataclass
class Rebuilt:
    """The result of a rebuild.

    ``identity`` is the ledger's; ``jobs`` counts by kind and state and ``days`` by state what was
    taken; ``uncovered`` are files that no chain covered yet and that are put under it;
    ``not_taken`` says by path what was not taken, and why.
    """

    identity: str
    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    uncovered: list[str] = field(default_factory=list)
    not_taken: dict[str, str] = field(default_factory=dict)

    @property
    def undecided(self) -> int:
        """The number of calls that await a decision."""
        return sum(n for (_, state), n in self.jobs.items() if state == states.NEEDS_DECISION)

    def count(self, known: Known) -> None:
        """Count a record that was taken."""
        if isinstance(known, KnownJob):
            self.jobs[known.kind, known.state] += 1
        elif isinstance(known, KnownDay):
            self.days[known.day.state] += 1
        else:
            self.uncovered.append(known.path)


def rebuild(
    *, by: str, restored: bool = False, on_file: Callable[[str, int], None] | None = None
) -> Rebuilt:
    """Make a new ledger from the archive, under its identity and in quarantine.

    The archive is verified first (``on_file`` as in `archive.verify.verification.verify`) and not
    changed. With ``restored``, the ledger comes from a backup: it is quarantined, and what the
    archive knows beyond it is added.

    Raises NotPossible if the ledger holds anything already (or, restored, holds nothing), and if
    the archive names no ledger; Foreign if it belongs to another ledger.
    """
    identity = archived_identity()
    ours = ledger().identity.prepare()
    if restored:
        refuse_foreign(ours, identity, "the archive", "restore the ledger that belongs to it")
        ledger().identity.quarantine(by=by, note="it was restored from a backup")
    else:
        ledger().rebuilding.refuse_used()
    trusted = verify_archive(on_file)
    if paths.IDENTITY_PATH in trusted.damaged:
        raise NotPossible(
            f"not done: {paths.IDENTITY_PATH} {trusted.damaged[paths.IDENTITY_PATH]}; no ledger "
            "was rebuilt, because the archive may belong to another ledger; restore the original "
            "file"
        )
    done = Rebuilt(identity)
    found = _found(trusted)
    while some := list(islice(found, _AT_ONCE)):
        for known in ledger().rebuilding.take(some, by=by):
            done.count(known)
    done.not_taken = {**trusted.damaged, **trusted.refused}
    for alias in trusted.accounts:
        _note_head(alias)
    if not restored:
        ledger().rebuilding.finish(identity, by=by)
    return done


def archived_identity() -> str:
    """Return the ledger that the archive names. Raises NotPossible if it names none."""
    try:
        return identity_document.read(store()).ledger
    except ArchiveError:
        raise NotPossible(
            f"not done: the archive has no readable {paths.IDENTITY_PATH} that names its ledger; "
            "nothing was changed; check EARWITNESS_ARCHIVE_URL, or restore that file from a copy"
        ) from None


def _note_head(alias: str) -> None:
    """Let the ledger vouch for the archived part of the chain from now on."""
    try:
        head = chain.head(store(), alias)
    except ArchiveError:
        return  # a damaged entry, which the verification has reported
    if head is not None:
        ledger().archive_record.note_head(alias, head.n, head.sha256)


def _found(trusted: VerifiedArchive) -> Iterator[Known]:
    """Yield every record that the archive's files prove."""
    for alias in trusted.accounts:
        yield from exports(alias, trusted)
        yield from single_recordings(alias, trusted, exported(alias, trusted))
        yield from calls(alias, trusted)
    yield from _uncovered(trusted)


def _uncovered(trusted: VerifiedArchive) -> Iterator[OwedEntry]:
    """Yield files that were written but not yet under their chain when the ledger was lost."""
    for path in sorted(trusted.uncovered):
        if trusted.trusts(path) and paths.kind_of(path) != "identity":
            parts = path.split("/")
            name = parts[-2] if parts[-1] == "manifest.json" else parts[-1].partition(".")[0]
            stored = store().checksum(path)
            yield OwedEntry(name, paths.account_of(path), path, stored.sha256)
