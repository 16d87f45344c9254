"""The files that the chains vouch for: the sum of each, and the entry that names it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from archive import paths as archive_paths
from archive.problem import Problem
from archive.store.directory import Store, Stored

from .chain_check import ChainCheck

#: So many files stay open in one process.
_MOST_OPEN = 64


@dataclass(frozen=True)
class ChainStatement:
    """One statement of a chain: the sum that a file must have, and the entry with it."""

    sha256: str
    entry: str


class ChainIndex:
    """The statements of all the given chains, without entries that cannot be believed. A
    context manager.
    """

    def __init__(self, store: Store, accounts: Iterable[str], heads: Mapping[str, str]) -> None:
        with ExitStack() as stack:
            self._chains = {
                account: stack.enter_context(ChainCheck(store, account, heads.get(account)))
                for account in accounts
            }
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def refresh(self, path: str) -> None:
        """Read the entries added since to the chains that may cover a file."""
        for check in self._about(path):
            check.refresh()

    def covers(self, path: str) -> list[ChainStatement]:
        """Return what the chains say about a file. Several chains may cover the ledger's
        identity.
        """
        return [
            ChainStatement(*cover) for check in self._about(path) for cover in check.covers(path)
        ]

    def contradicts(self, stored: Stored) -> bool:
        """Return whether a chain gives another sum for a file."""
        return any(cover.sha256 != stored.sha256 for cover in self.covers(stored.path))

    def is_damaged_about(self, path: str) -> bool:
        """Return whether a chain that may cover a file has entries that cannot be believed."""
        return not all(check.is_whole for check in self._about(path))

    def paths(self) -> Iterator[str]:
        """Return every file covered, sorted, each once."""
        merged = heapq.merge(*(check.paths() for check in self._chains.values()))
        return (path for path, _ in groupby(merged))

    @property
    def faults(self) -> list[Problem]:
        """The faults of all the chains, by account."""
        return [fault for check in self._chains.values() for fault in check.faults]

    @property
    def is_empty(self) -> bool:
        """Whether there is no chain."""
        return all(check.is_empty for check in self._about(archive_paths.IDENTITY_PATH))

    def save(self, folder: Path) -> dict[str, Path]:
        """Save the check of each account in a file of this folder; return the files by account."""
        saved = {}
        for number, (account, check) in enumerate(self._chains.items()):
            saved[account] = folder / f"{number}.sqlite3"
            check.save(saved[account])
        return saved

    def _about(self, path: str) -> Iterable[ChainCheck]:
        if path == archive_paths.IDENTITY_PATH:
            return list(self._chains.values())
        check = self._chains.get(archive_paths.account_of(path))
        return [] if check is None else [check]


class SavedIndex(ChainIndex):
    """The statements that another process saved, of which few accounts are open at once."""

    def __init__(self, store: Store, saved: Mapping[str, Path], heads: Mapping[str, str]) -> None:
        super().__init__(store, (), heads)
        self._store, self._saved, self._heads = store, saved, heads

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._chains:
            self._close_oldest()

    def _about(self, path: str) -> Iterator[ChainCheck]:
        if path == archive_paths.IDENTITY_PATH:
            yield from map(self._opened, self._saved)
        elif (account := archive_paths.account_of(path)) in self._saved:
            yield self._opened(account)

    def _opened(self, account: str) -> ChainCheck:
        check = self._chains.get(account)
        if check is None:
            while len(self._chains) >= _MOST_OPEN:
                self._close_oldest()
            saved, head = self._saved[account], self._heads.get(account)
            check = self._chains[account] = ChainCheck(self._store, account, head, saved=saved)
        return check

    def _close_oldest(self) -> None:
        self._chains.pop(next(iter(self._chains))).__exit__(None, None, None)
