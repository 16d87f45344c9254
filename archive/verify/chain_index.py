"""What the chains vouch for: which file has which sum, by which entry."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Self

from archive import paths as archive_paths
from archive.store.directory import Store, Stored

from .chain_check import ChainCheck


@dataclass(frozen=True)
class ChainStatement:
    """One statement of a chain: the sum that a file must have, and the entry that says so."""

    sha256: str
    entry: str


class ChainIndex:
    """The statements of all the chains given. A context manager. Entries that are not to be
    believed are left out.
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
        """Read the entries that were added since to the chains that may speak of a file."""
        for check in self._about(path):
            check.refresh()

    def covers(self, path: str) -> list[ChainStatement]:
        """What the chains say about a file; several of them may speak of the ledger's name."""
        return [
            ChainStatement(*cover) for check in self._about(path) for cover in check.covers(path)
        ]

    def contradicts(self, stored: Stored) -> bool:
        """Whether a chain says another sum of a file."""
        return any(cover.sha256 != stored.sha256 for cover in self.covers(stored.path))

    def is_damaged_about(self, path: str) -> bool:
        """Whether a chain that may speak of a file has entries that are not to be believed."""
        return not all(check.is_whole for check in self._about(path))

    def paths(self) -> Iterator[str]:
        """Every file covered, sorted, each once."""
        merged = heapq.merge(*(check.paths() for check in self._chains.values()))
        return (path for path, _ in groupby(merged))

    @property
    def is_empty(self) -> bool:
        """Whether there is no chain."""
        return all(check.is_empty for check in self._chains.values())

    def _about(self, path: str) -> list[ChainCheck]:
        if path == archive_paths.IDENTITY_PATH:
            return list(self._chains.values())
        check = self._chains.get(archive_paths.account_of(path))
        return [] if check is None else [check]
