"""Verification of an archive alone: every sum, every chain, with no configuration.

Chains vouch for manifests, receipts, the metadata of single recordings and the ledger's name; a
manifest for the ZIPs and the list beside it; metadata for its audio; each entry of the chain for
the one before, and a head kept elsewhere for the newest. `verify` uses every core; `processes`
describes how.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain as chain_of
from itertools import islice
from typing import TYPE_CHECKING

from archive import chain
from archive import paths as archive_paths
from archive.errors import ArchiveError
from archive.problem import Pending, Problem, Unvouched
from archive.store.directory import DirectoryStore, Store

from .chain_check import ChainCheck
from .chain_index import ChainIndex
from .inspection import PENDING_SECONDS, UNCOVERED, Finding, Inspection
from .manifest_claims import Manifests
from .path_checks import PathChecks
from .walk import listed, paths, stretches, weight_of

if TYPE_CHECKING:
    from .processes import Processes

__all__ = [
    "PENDING_SECONDS",
    "UNCOVERED",
    "Pending",
    "Problem",
    "Report",
    "Unvouched",
    "chains",
    "files",
    "still_wrong",
    "verify",
]

_MOST_KEPT = 10_000
#: As many small files take as long as the start of another process.
_FEWEST = 1000
#: So many small files are one piece of work.
_STRETCH = 64


@dataclass(frozen=True)
class Report:
    """The result of a verification.

    `heads` is the SHA-256 of each chain's newest entry, to be kept elsewhere and given next time;
    `notes` are files for which no document vouches and that are not a loss; `pending` are files
    stored in the last `PENDING_SECONDS` for which a document may vouch soon: no problem yet. If
    there are more than 10,000 of either, the rest is only counted.
    """

    problems: list[Problem]
    heads: dict[str, str]
    files: int
    bytes: int
    notes: list[Problem]
    pending: list[Problem] = field(default_factory=list)


class _Kept:
    """The problems found, of which 10,000 at most are kept: a forger may leave any number."""

    def __init__(self) -> None:
        self._some: list[Problem] = []
        self._more = 0

    def add(self, problem: Problem) -> None:
        if len(self._some) < _MOST_KEPT:
            self._some.append(problem)
        else:
            self._more += 1

    def all(self) -> list[Problem]:
        if not self._more:
            return list(self._some)
        have = "1 more file has" if self._more == 1 else f"{self._more} more files have"
        return [*self._some, Problem(".", f"{have} findings that are not listed here")]


def chains(
    store: Store, account: str | None = None, heads: Mapping[str, str] | None = None
) -> Iterator[Problem]:
    """Yield every fault of the chains.

    Parameters: `account`, None for all; `heads`, by account the SHA-256 of a former newest entry.
    The removal of the newest entries shows only with `heads`.
    """
    heads = heads or {}
    for name in _with_heads(_accounts(store, account), account, heads):
        with ChainCheck(store, name, heads.get(name)) as check:
            yield from check.faults


def files(
    store: Store,
    account: str | None = None,
    after: str = "",
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[tuple[str, Problem | None, int]]:
    """Yield every existing or expected file, with its problem and its size in bytes. If no document
    vouches for a file, its problem is Unvouched, or Pending if the file is young.

    Files come in the order of their paths, each once, so that a long verification can continue
    where it stopped: `after` is the last path seen. `on_bytes` is called with the number of bytes
    of each piece.
    """
    with _inspected(store, _accounts(store, account), {}) as (index, manifests):
        listing = listed(store, account, index)
        for path, finding in _findings(listing, store, index, manifests, after, on_bytes):
            yield path, _problem(path, finding), finding.bytes or 0


def still_wrong(
    store: Store, seen: Sequence[str], on_bytes: Callable[[int], None] | None = None
) -> Iterator[Problem]:
    """Yield the remaining problems of files that had a problem when they were last read; the same
    kinds of problems as in `files`.
    """
    with _inspected(store, _owners(seen), {}) as (index, manifests):
        path_checks = PathChecks(store, manifests, index)
        inspection = Inspection(store, index, manifests, path_checks, on_bytes)
        for path in seen:
            problem = _problem(path, inspection.inspect(path))
            if problem:
                yield problem


def verify(
    store: Store,
    account: str | None = None,
    heads: Mapping[str, str] | None = None,
    on_file: Callable[[str, int], None] | None = None,
    *,
    processes: int | None = None,
) -> Report:
    """Verify a whole archive, or one account's part of it.

    Parameters: `heads` as in `chains`; `on_file`, called with the path and the size in bytes of
    every file after it was read; `processes`, the number that inspects files, by default one for
    each core, or this one alone if the archive is small. Writes nothing to the archive.

    Raises ChildProcessError if one of the processes died: the result is unknown.
    """
    found = _Found(account)
    accounts, heads = _accounts(store, account), heads or {}
    named = _with_heads(accounts, account, heads)
    with _inspected(store, named, heads) as (index, manifests):
        for problem in index.faults:
            found.problems.add(problem)
        listing = listed(store, account, index)
        with _by_all(listing, store, index, manifests, heads, processes) as findings:
            for path, finding in findings:
                found.add(path, finding)
                if on_file and finding.bytes is not None:
                    on_file(path, finding.bytes)
    return found.report(_heads(store, accounts))


class _Found:
    """What a verification has found so far."""

    def __init__(self, account: str | None) -> None:
        self.problems, self._notes, self._pending = _Kept(), _Kept(), _Kept()
        self._account = account
        self._files = self._bytes = 0
        self._holds_any = False

    def add(self, path: str, finding: Finding) -> None:
        problem = _problem(path, finding)
        if problem:
            (self._pending if isinstance(problem, Pending) else self.problems).add(problem)
        if finding.note:
            self._notes.add(Problem(path, finding.note))
        if finding.bytes is None:
            return
        self._files, self._bytes = self._files + 1, self._bytes + finding.bytes
        # The ledger's name lies beside every account: alone it proves nothing about one. Files
        # with other names make no archive: another folder was meant.
        if archive_paths.kind_of(path) is not None:
            self._holds_any |= self._account in (None, archive_paths.account_of(path))

    def report(self, heads: dict[str, str]) -> Report:
        if not self._holds_any:
            empty = "contains nothing to verify"
            self.problems.add(Problem(self._account or ".", empty))
        notes, pending = self._notes.all(), self._pending.all()
        return Report(self.problems.all(), heads, self._files, self._bytes, notes, pending)


@contextmanager
def _inspected(
    store: Store, accounts: Sequence[str], heads: Mapping[str, str]
) -> Iterator[tuple[ChainIndex, Manifests]]:
    """Provide the statements of the chains and manifests of these accounts about files."""
    with ChainIndex(store, accounts, heads) as index, Manifests(store, index) as manifests:
        yield index, manifests


def _findings(
    listing: Iterable[str],
    store: Store,
    index: ChainIndex,
    manifests: Manifests,
    after: str = "",
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[tuple[str, Finding]]:
    path_checks = PathChecks(store, manifests, index)
    inspection = Inspection(store, index, manifests, path_checks, on_bytes)
    for path in paths(listing, store, manifests, path_checks, after):
        yield path, inspection.inspect(path)


@contextmanager
def _by_all(
    listing: Iterator[str],
    store: Store,
    index: ChainIndex,
    manifests: Manifests,
    heads: Mapping[str, str],
    processes: int | None,
) -> Iterator[Iterator[tuple[str, Finding]]]:
    """Provide the findings of as many processes as can work, or of this one alone."""
    if processes is None:
        some = list(islice(listing, _FEWEST))
        listing = chain_of(some, listing)
        processes = None if sum(map(weight_of, some)) >= _FEWEST else 1
    children = None if processes == 1 else _children(store, index, heads, processes)
    if children is None:
        yield _findings(listing, store, index, manifests)
        return
    with children:
        yield children.findings(stretches(listing, _STRETCH))


def _children(
    store: Store, index: ChainIndex, heads: Mapping[str, str], most: int | None
) -> Processes | None:
    """Return the processes of a verification, or None if this process has to work alone."""
    if not _is_plain(store) or not sys.executable:
        return None
    from .processes import Processes, cores  # noqa: PLC0415 - slow to import, and rarely needed

    most = most or cores()
    try:
        return Processes(store, index, heads, most) if most > 1 else None
    except (OSError, sqlite3.Error):
        return None  # without room for the chains, or a second process: slower, and as good


def _is_plain(store: Store) -> bool:
    """Return whether another process can open the same store. Others belong to this process, such
    as one that asks for the ledger.
    """
    if "://" not in store.address:
        return type(store) is DirectoryStore
    from archive.store.bucket import ObjectStore  # noqa: PLC0415 - its library, for a bucket alone

    return type(store) is ObjectStore


def _problem(path: str, finding: Finding) -> Problem | None:
    if finding.problems:
        unvouched = [finding.unvouched] if finding.unvouched and not finding.is_young else []
        return Problem(path, "; ".join([*unvouched, *finding.problems]))
    if finding.unvouched is None:
        return None
    return (Pending if finding.is_young else Unvouched)(path, finding.unvouched)


def _accounts(store: Store, account: str | None) -> list[str]:
    if account is not None:
        return [account]
    return _owners(store.paths(unlisted=True))


def _owners(seen: Iterable[str]) -> list[str]:
    return sorted({archive_paths.account_of(path) for path in seen} - {""})


def _with_heads(
    accounts: Iterable[str], account: str | None, heads: Mapping[str, str]
) -> list[str]:
    """Return these accounts, and those of which only a head is known."""
    wanted = heads.keys() if account is None else heads.keys() & {account}
    return sorted({*accounts, *wanted})


def heads_of(store: Store, account: str | None) -> dict[str, str]:
    """Return, by account, the SHA-256 of the newest entry of its chain; for all accounts of the
    archive if ``account`` is None.
    """
    return _heads(store, _accounts(store, account))


def _heads(store: Store, accounts: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in accounts:
        try:
            head = chain.head(store, name)
        except (ArchiveError, OSError):
            continue
        if head is not None:
            found[name] = head.sha256
    return found
