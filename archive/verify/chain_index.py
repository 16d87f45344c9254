"""The files that the chains vouch for: the sum of each, and the entry that names it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Self

from archive import paths as archive_paths
from archive.problem import Problem
from archive.store.directory import Store, Stored

from .chain_check import ChainCheck


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
        return all(check.is_empty for check in self._chains.values())

    def _about(self, path: str) -> list[ChainCheck]:
        if path == archive_paths.IDENTITY_PATH:
            return list(self._chains.values())
        check = self._chains.get(archive_paths.account_of(path))
        return [] if check is None else [check]
