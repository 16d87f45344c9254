"""Writers that remember how a chain ends: they never fork it, whatever others do to it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from archive import chain, paths
from archive.documents.chain_entry import Covered
from archive.errors import Damaged
from archive.store.directory import DirectoryStore, Store
from archive.verify import verification

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def store(new_store: Callable[[Path], Store], tmp_path: Path) -> Store:
    """An archive with nothing in it."""
    return new_store(tmp_path)


class Reads:
    """A store that counts the listings of its paths."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.listings = 0

    def __getattr__(self, name: str) -> object:
        self.listings += name == "paths"
        return getattr(self._store, name)


def put(store: Store, number: int) -> Covered:
    """A file that is to be covered."""
    return Covered.of(store.create(f"legal/file-{number}", b""))


def entries(store: Store) -> list[list[str]]:
    """The names that each entry covers."""
    return [
        [one.path for one in chain.read(store, "legal", number).entries]
        for number in chain.numbers(store, "legal")
    ]


def test_two_writers_in_turn_make_one_chain(store: Store) -> None:
    """Each file is covered once, and every entry names the one before it."""
    writers = [chain.Writer(store), chain.Writer(store)]
    for number in range(8):
        file = put(store, number)
        # Two sweepers may be about to cover the same file.
        for writer in writers if number % 3 else reversed(writers):
            head = writer.append("legal", [file])
    assert entries(store) == [[f"legal/file-{number}"] for number in range(8)]
    assert head.n == 8
    assert list(verification.chains(store)) == []


def test_a_writer_lists_a_chain_once(store: Store) -> None:
    """A chain grows for years: its entries are not listed for each new one."""
    counting = Reads(store)
    writer = chain.Writer(counting)  # type: ignore[arg-type] # a store in all that is used
    for number in range(5):
        writer.append("legal", [put(store, number)])
    assert counting.listings == 1
    assert len(entries(store)) == 5


def test_a_writer_looks_again_after_a_while(store: Store) -> None:
    """Somebody forges the last possible entry: a minute later nothing more is appended."""
    seconds = 0.0
    writer = chain.Writer(store, clock=lambda: seconds)
    writer.append("legal", [put(store, 1)])
    store.create(paths.chain_path("legal", 99_999_999), b"{}")
    writer.append("legal", [put(store, 2)])
    seconds = 61.0
    with pytest.raises(Damaged, match="forged"):
        writer.append("legal", [put(store, 3)])


def test_a_writer_does_not_leave_a_gap_over_an_older_copy(tmp_path: Path) -> None:
    """The archive is put back from an older copy while the writer runs: the next entry follows the
    copy's last one.
    """
    store = DirectoryStore(tmp_path / "archive")
    writer = chain.Writer(store)
    writer.append("legal", [put(store, 1)])
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    writer.append("legal", [put(store, 2)])
    shutil.rmtree(tmp_path / "archive")
    (tmp_path / "copy").rename(tmp_path / "archive")
    assert writer.append("legal", [put(store, 3)]).n == 2
    assert entries(store) == [["legal/file-1"], ["legal/file-3"]]
    assert list(verification.chains(store)) == []
