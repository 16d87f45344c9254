"""The chain: numbered entries per account, each with the SHA-256 of the one before.

The number is the lock: an entry is created only under a free number; a writer that loses takes the
next number.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from . import paths
from .documents import chain_entry, reading
from .documents.chain_entry import NOTHING, ChainEntry, Covered
from .errors import ArchiveError, Damaged
from .store.directory import Store

__all__ = ["NOTHING", "Covered", "Head", "Writer", "append", "covers", "head", "numbers", "read"]

#: The number of newest entries that are searched for one that was appended just before a crash.
_REMEMBERED = 100
#: How long a writer relies on what it knows of a chain.
_LOOK_SECONDS = 60.0

_NAME = re.compile(r"[0-9]{8}\.json")
_LAST = 99_999_999


@dataclass(frozen=True)
class Head:
    """The newest entry of an account's chain: its number and its SHA-256."""

    account: str
    n: int
    sha256: str


def append(store: Store, account: str, files: Sequence[Covered]) -> Head:
    """Put files under an account's chain, and return its head afterwards; see `Writer.append`."""
    return Writer(store).append(account, files)


@dataclass
class _Known:
    """What a writer knows of a chain: its head, when it looked, what the newest entries cover."""

    head: Head
    looked_at: float
    covered: deque[frozenset[Covered]]


class Writer:
    """Lengthens the chains of an archive, and remembers how they end.

    Any number of writers may lengthen the same chain: one that is too late looks again. A writer
    also looks again now and then, so that it notices what others did to the archive. Not for
    several threads at once.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def append(self, account: str, files: Sequence[Covered]) -> Head:
        """Put files under an account's chain, and return its head afterwards.

        Files that the newest entries already cover are left out, so that the same call may be
        repeated. A damaged entry does not keep new files from being put under the chain: `verify`
        reports it.

        Raises NoSpace; Damaged if a forged entry has the last possible number, or something else
        has the next entry's name; ValueError if there is neither a file nor a chain.
        """
        while True:
            known = self._look(account)
            left = self._uncovered(files, known)
            if not left:
                if known is None:
                    raise ValueError(f"nothing to add to the chain of {account}")
                self._known[account] = known
                return known.head
            number, previous = (1, NOTHING)
            if known is not None:
                number, previous = known.head.n + 1, known.head.sha256
            _refuse_last(account, number)
            data = ChainEntry(number, previous, left).to_bytes()
            try:
                stored = self._store.create(paths.chain_path(account, number), data)
            except FileExistsError:
                _refuse_no_entry(self._store, account, number)
                continue
            return self._remember(Head(account, number, stored.sha256), known, left)

    def _look(self, account: str) -> _Known | None:
        """Return how the chain ends; None without a chain.

        What was known is forgotten, and comes back once something was appended to it.
        """
        known = self._known.pop(account, None)
        if known is not None and self._is_current(known):
            return known
        found = head(self._store, account)
        if found is None:
            return None
        newest = range(max(found.n - _REMEMBERED, 0) + 1, found.n + 1)
        covered = deque((_files_of(self._store, account, n) for n in newest), _REMEMBERED)
        return _Known(found, self._clock(), covered)

    def _is_current(self, known: _Known) -> bool:
        if self._clock() - known.looked_at > _LOOK_SECONDS:
            return False
        try:
            path = paths.chain_path(known.head.account, known.head.n)
            return hashlib.sha256(reading.read(self._store, path)).hexdigest() == known.head.sha256
        except ArchiveError:
            return False

    def _uncovered(self, files: Sequence[Covered], known: _Known | None) -> list[Covered]:
        """Return the files that the newest entries do not cover yet, each once."""
        if known is None:
            return list(dict.fromkeys([*_identity(self._store), *files]))
        return [
            file
            for file in dict.fromkeys(files)
            if not any(file in entry for entry in known.covered)
        ]

    def _remember(self, found: Head, before: _Known | None, files: Sequence[Covered]) -> Head:
        looked_at = self._clock() if before is None else before.looked_at
        covered = deque(maxlen=_REMEMBERED) if before is None else before.covered
        covered.append(frozenset(files))
        self._known[found.account] = _Known(found, looked_at, covered)
        return found


def _refuse_last(account: str, number: int) -> None:
    if number > _LAST:
        raise Damaged(
            paths.chain_path(account, _LAST),
            "has the highest possible entry number, so nothing more can be added to the "
            "chain; it is forged: run verify, and move it out of the archive",
        )


def _refuse_no_entry(store: Store, account: str, number: int) -> None:
    """Raise Damaged if something other than an entry, such as a folder, has the next entry's name:
    it would block the chain for ever.
    """
    if number > max(numbers(store, account), default=0):
        raise Damaged(
            paths.chain_path(account, number),
            "is not a chain entry but has the name of the next one, so nothing can be added to the "
            "chain; run verify, and move it out of the archive",
        )


def head(store: Store, account: str) -> Head | None:
    """Return the newest entry of an account's chain, or None without a chain."""
    newest = max(numbers(store, account), default=0)
    if newest == 0:
        return None
    data = reading.read(store, paths.chain_path(account, newest))
    return Head(account, newest, hashlib.sha256(data).hexdigest())


def covers(store: Store, account: str, file: Covered) -> bool:
    """Return whether an account's chain covers a file with this sum. Raises Damaged if an entry
    cannot be read before the file is found.
    """
    return any(
        file in read(store, account, number).entries
        for number in reversed(list(numbers(store, account)))
    )


def read(store: Store, account: str, number: int) -> ChainEntry:
    """Read one entry of the chain. Raises Missing, and Damaged if it cannot be read as one."""
    return chain_entry.read(store, account, number)


def numbers(store: Store, account: str, *, unlisted: bool = False) -> Iterator[int]:
    """Yield the numbers of existing entries, in order; ``unlisted`` as in `Store.paths`."""
    for path in store.paths(f"{paths.chain_folder(account)}/", unlisted=unlisted):
        name = path.removeprefix(f"{paths.chain_folder(account)}/")
        if _NAME.fullmatch(name):
            yield int(name.removesuffix(".json"))


def _files_of(store: Store, account: str, number: int) -> frozenset[Covered]:
    """Return the files that an entry covers; none if it cannot be read."""
    try:
        return frozenset(read(store, account, number).entries)
    except ArchiveError:
        return frozenset()


def _identity(store: Store) -> list[Covered]:
    """Return the file that names the ledger, which each chain covers with its first entry."""
    if not store.exists(paths.IDENTITY_PATH):
        return []
    return [Covered.of(store.checksum(paths.IDENTITY_PATH))]
