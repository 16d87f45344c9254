"""The chain: numbered entries per account, each with the SHA-256 of the one before.

The number is the lock: an entry is created only under a free number; a writer that loses takes the
next number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import paths
from .documents import chain_entry, reading
from .documents.chain_entry import NOTHING, ChainEntry, Covered
from .errors import ArchiveError, Damaged
from .store.directory import Store

__all__ = ["NOTHING", "Covered", "Head", "append", "covers", "head", "numbers", "read"]

#: The number of newest entries that are searched for one that was appended just before a crash.
_REMEMBERED = 100

_NAME = re.compile(r"[0-9]{8}\.json")
_LAST = 99_999_999


@dataclass(frozen=True)
class Head:
    """The newest entry of an account's chain: its number and its SHA-256."""

    account: str
    n: int
    sha256: str


def append(store: Store, account: str, files: Sequence[Covered]) -> Head:
    """Put files under an account's chain, and return its head afterwards.

    Files that the newest entries already cover are left out, so that the same call may be repeated.
    A damaged entry does not keep new files from being put under the chain: `verify` reports it.

    Raises NoSpace; Damaged if a forged entry has the last possible number, or something else has
    the next entry's name; ValueError if there is neither a file nor a chain.
    """
    while True:
        current = head(store, account)
        left = _uncovered(store, account, files, current)
        if not left:
            if current is None:
                raise ValueError(f"nothing to put under the chain of {account}")
            return current
        number = 1 if current is None else current.n + 1
        if number > _LAST:
            raise Damaged(
                paths.chain_path(account, _LAST),
                "has the last possible number of an entry, so nothing more can be put under the "
                "chain; it is forged: run verify, and move it out of the archive",
            )
        entry = ChainEntry(number, NOTHING if current is None else current.sha256, left)
        try:
            stored = store.create(paths.chain_path(account, number), entry.to_bytes())
        except FileExistsError:
            _refuse_no_entry(store, account, number)
            continue
        return Head(account, number, stored.sha256)


def _refuse_no_entry(store: Store, account: str, number: int) -> None:
    """Raise Damaged if something other than an entry, such as a folder, has the next entry's name:
    it would block the chain for ever.
    """
    if number > max(numbers(store, account), default=0):
        raise Damaged(
            paths.chain_path(account, number),
            "is not an entry but has the name of the next one, so nothing can be put under the "
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


def _uncovered(
    store: Store, account: str, files: Sequence[Covered], current: Head | None
) -> list[Covered]:
    """Return the files that the newest entries of the chain do not cover yet, each once."""
    if current is None:
        covered: set[Covered] = set()
        files = [*_identity(store), *files]
    else:
        covered = _covered_lately(store, account, current.n)
    return [file for file in dict.fromkeys(files) if file not in covered]


def _covered_lately(store: Store, account: str, newest: int) -> set[Covered]:
    covered: set[Covered] = set()
    for number in range(max(newest - _REMEMBERED, 0) + 1, newest + 1):
        try:
            covered.update(read(store, account, number).entries)
        except ArchiveError:
            continue
    return covered


def _identity(store: Store) -> list[Covered]:
    """Return the file that names the ledger, which each chain covers with its first entry."""
    if not store.exists(paths.IDENTITY_PATH):
        return []
    return [Covered.of(store.checksum(paths.IDENTITY_PATH))]
