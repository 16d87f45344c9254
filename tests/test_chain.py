"""The chain: one order of entries for everybody who writes, and nothing lost between them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archive import chain, paths
from archive.documents.chain_entry import ChainEntry, Covered
from archive.errors import Damaged, Missing
from archive.store.directory import DirectoryStore, Store
from archive.verify import verification
from config.settings import ROOT

from .archives import overwrite

#: Puts as many files under the chain as told, each by an entry of its own.
WRITER = """
import sys
from archive import chain
from archive.documents.chain_entry import Covered
from archive.store.directory import open_store

store, name, count = open_store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(count):
    stored = store.create(f"legal/{name}-{number}", b"")
    chain.append(store, "legal", [Covered.of(stored)])
"""


@pytest.fixture
def store(new_store: Callable[[Path], Store], tmp_path: Path) -> Store:
    """An archive with nothing in it."""
    return new_store(tmp_path)


EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture(autouse=True)
def files(store: Store) -> None:
    """The files that the tests put under the chain, all empty."""
    for name in ("one", "two", "three", "four", "five", "six"):
        store.create(f"legal/{name}", b"")


def entry(name: str, sha256: str = EMPTY) -> Covered:
    """A file that is to be covered."""
    return Covered(f"legal/{name}", sha256)


def vars_of(name: str) -> dict[str, str]:
    """The same as it is in the file."""
    return {"path": f"legal/{name}", "sha256": EMPTY}


def faults(store: Store) -> list[str]:
    """What verification of the chains alone names."""
    return [problem.path for problem in verification.chains(store)]


def test_entries_are_numbered_and_name_the_one_before(store: Store) -> None:
    """An entry has its number, the SHA-256 of the one before, and what it covers."""
    assert chain.head(store, "legal") is None
    first = chain.append(store, "legal", [entry("one")])
    second = chain.append(store, "legal", [entry("two"), entry("three")])

    data = store.read("legal/chain/00000001.json")
    assert json.loads(data) == {"n": 1, "previous": chain.NOTHING, "entries": [vars_of("one")]}
    assert first == chain.Head("legal", 1, hashlib.sha256(data).hexdigest())
    assert chain.read(store, "legal", 2) == ChainEntry(
        2, first.sha256, [entry("two"), entry("three")]
    )
    assert chain.head(store, "legal") == second
    assert list(chain.numbers(store, "legal")) == [1, 2]
    assert faults(store) == []


def test_the_first_entry_covers_the_ledgers_name(store: Store) -> None:
    """Each account's first entry vouches for ledger.json, so that no chain fits another archive."""
    stored = store.create(paths.IDENTITY_PATH, b'{"ledger": "0b5e"}')
    for account in ("legal", "india"):
        chain.append(store, account, [entry("one")])
        chain.append(store, account, [entry("two")])

        identity, one = chain.read(store, account, 1).entries
        assert identity == Covered("ledger.json", stored.sha256)
        assert one == entry("one")
        assert chain.read(store, account, 2).entries == [entry("two")]


def test_what_was_appended_before_a_crash_is_not_appended_again(store: Store) -> None:
    """Who asks again, because nobody noted that it was done, adds only what is not covered yet."""
    before = chain.append(store, "legal", [entry("one"), entry("two")])

    assert chain.append(store, "legal", [entry("two"), entry("one")]) == before
    after = chain.append(store, "legal", [entry("one"), entry("three"), entry("three")])
    assert after.n == 2
    assert chain.read(store, "legal", 2).entries == [entry("three")]


def test_another_sum_is_another_entry(store: Store) -> None:
    """Only the same path with the same sum counts as covered."""
    chain.append(store, "legal", [entry("one")])

    assert chain.append(store, "legal", [entry("one", "b" * 64)]).n == 2
    assert chain.covers(store, "legal", entry("one"))
    assert chain.covers(store, "legal", entry("one", "b" * 64))
    assert not chain.covers(store, "legal", entry("one", "c" * 64))
    assert not chain.covers(store, "india", entry("one"))


def test_nothing_to_append_is_no_entry(store: Store) -> None:
    """A chain does not grow by nothing, and does not begin with it."""
    with pytest.raises(ValueError, match="legal"):
        chain.append(store, "legal", [])
    before = chain.append(store, "legal", [entry("one")])

    assert chain.append(store, "legal", []) == before


def test_processes_that_append_at_once_lose_nothing(store: Store) -> None:
    """Three writers at once make one chain without gaps that covers everything once."""
    count = 30 if isinstance(store, DirectoryStore) else 6
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, store.address, name, str(count)], cwd=ROOT)
        for name in ("a", "b", "c")
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    numbers = list(chain.numbers(store, "legal"))
    assert numbers == list(range(1, 3 * count + 1))
    covered = [one.path for n in numbers for one in chain.read(store, "legal", n).entries]
    assert sorted(covered) == sorted(f"legal/{w}-{n}" for w in "abc" for n in range(count))
    assert faults(store) == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_entry_that_was_changed_is_named(store: Store, number: int) -> None:
    """A sum replaced in an entry shows by the one after it; in the newest, by the file itself."""
    for name in ("one", "two", "three"):
        chain.append(store, "legal", [entry(name)])
    path = paths.chain_path("legal", number)
    known = chain.read(store, "legal", number)
    forged = [entry("one", "b" * 64), *known.entries[1:]]
    overwrite(store, path, replace(known, entries=forged).to_bytes())

    assert path in faults(store)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_gap_is_named(store: Store, number: int) -> None:
    """An entry that is gone is missed; of the newest that takes the head that it had."""
    for name in ("one", "two", "three", "four"):
        head = chain.append(store, "legal", [entry(name)])
    overwrite(store, paths.chain_path("legal", number), None)

    problems = list(verification.chains(store, "legal", {"legal": head.sha256}))
    assert problems[0].path == paths.chain_path("legal", number)
    assert bool(faults(store)) == (number < 4)


def test_nobody_appends_into_a_gap(store: Store) -> None:
    """An entry that was removed is never replaced by a new one, which would hide it."""
    for name in ("one", "two", "three", "four", "five"):
        chain.append(store, "legal", [entry(name)])
    for number in (2, 4):
        overwrite(store, paths.chain_path("legal", number), None)

    assert chain.append(store, "legal", [entry("six")]).n == 6
    assert {paths.chain_path("legal", number) for number in (2, 4)} <= set(faults(store))
    assert paths.chain_path("legal", 6) not in faults(store)


def test_a_damaged_entry_does_not_stop_the_chain(store: Store) -> None:
    """New files still come under the chain, and the damage is still found afterwards."""
    chain.append(store, "legal", [entry("one")])
    damaged = paths.chain_path("legal", 2)
    chain.append(store, "legal", [entry("two")])
    overwrite(store, damaged, b"{")

    assert chain.append(store, "legal", [entry("three")]).n == 3
    assert damaged in faults(store)
    with pytest.raises(Damaged):
        chain.read(store, "legal", 2)
    with pytest.raises(Damaged):
        chain.covers(store, "legal", entry("one"))
    with pytest.raises(Missing):
        chain.read(store, "legal", 9)


def test_a_head_that_was_noted_may_be_an_older_one(store: Store) -> None:
    """A chain that has grown since its head was noted is whole; another head is not its own."""
    noted = chain.append(store, "legal", [entry("one")])
    chain.append(store, "legal", [entry("two")])

    assert list(verification.chains(store, None, {"legal": noted.sha256.upper()})) == []
    (problem,) = verification.chains(store, None, {"legal": "c" * 64})
    assert problem.path == paths.chain_path("legal", 3)
    (problem,) = verification.chains(store, None, {"gone": noted.sha256})
    assert problem.path == paths.chain_path("gone", 1)


@pytest.mark.parametrize(
    "path", ["india/x", "../x", "legal", "legal/../ledger.json/x", "/legal/one"]
)
def test_an_entry_can_not_speak_of_others_files(store: Store, path: str) -> None:
    """A chain covers its own account's files and ledger.json only."""
    chain.append(store, "legal", [Covered(path, EMPTY)])

    assert paths.chain_path("legal", 1) in faults(store)
    assert verification.verify(store).problems


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b'{"n": 2, "previous": "", "entries": [7]}',
        b'{"n": 2, "previous": "", "entries": [{"path": 1, "sha256": 2}]}',
        b'{"n": 3, "previous": "", "entries": []}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_entry_is_named(store: Store, data: bytes) -> None:
    """Whatever stands where an entry should be, it is found and nothing breaks."""
    chain.append(store, "legal", [entry("one")])
    store.create(paths.chain_path("legal", 2), data)

    assert paths.chain_path("legal", 2) in faults(store)
    with pytest.raises(Damaged):
        chain.read(store, "legal", 2)
