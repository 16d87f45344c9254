"""What the store promises about files that were once in it, and about those that were not."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from archive.errors import ArchiveError, Contradiction, Damaged, Dangerous, Missing, NoSpace
from archive.store.directory import (
    ABANDONED_AFTER_SECONDS,
    INCOMING,
    DirectoryStore,
    Store,
    Stored,
    open_store,
)
from config.settings import ROOT

from .disks import small_disk

#: Stores a file from another filesystem and stops for ever while its copy is half made.
KILLED_WHILE_STORING = """
import signal, sys
from pathlib import Path
from archive.store.directory import DirectoryStore

def stop(_):
    print("copying", flush=True)
    signal.pause()

DirectoryStore(Path(sys.argv[1])).keep("a/big.zip", Path(sys.argv[2]), "0" * 64, on_bytes=stop)
"""


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """An archive whose folder is not there yet."""
    return DirectoryStore(tmp_path / "var" / "archive")


@pytest.fixture(scope="module")
def processes(new_store: Callable[[Path], Store]) -> Iterator[ProcessPoolExecutor]:
    """Four processes; they know the way to the buckets, whose server has started."""
    assert new_store
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def either(new_store: Callable[[Path], Store], tmp_path: Path) -> Store:
    """An empty archive: once in a directory, once in a bucket."""
    return new_store(tmp_path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem than the archive's."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def spooled(folder: Path, data: bytes, name: str = "x.part") -> tuple[Path, str]:
    """A finished download and its sum."""
    file = folder / name
    file.write_bytes(data)
    return file, hashlib.sha256(data).hexdigest()


def stray(store: DirectoryStore) -> list[Path]:
    """What lies among the files being stored."""
    incoming = store.root / INCOMING
    return list(incoming.iterdir()) if incoming.is_dir() else []


def held_in_memory(file: Path) -> float:
    """The share of a file's pages that can be read without its disk, as far as the system tells."""
    held, size, buffer = 0, file.stat().st_size, bytearray(1)
    offsets = range(0, size, 1 << 20)
    with file.open("rb") as opened:
        for offset in offsets:
            with contextlib.suppress(OSError, AttributeError):  # it would wait, or cannot tell
                held += os.preadv(opened.fileno(), [buffer], offset, os.RWF_NOWAIT)
    return held / len(offsets)


@pytest.mark.parametrize("kind", [Damaged, Dangerous, Missing, Contradiction, NoSpace])
def test_errors_say_which_file_and_travel(kind: type[ArchiveError]) -> None:
    """An error of the archive names its file, and is the same after a trip through a queue."""
    error = kind("india/a.zip", "is cut; fetch it again")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.path, again.reason) == ("india/a.zip", "is cut; fetch it again")
    assert str(again) == "india/a.zip: is cut; fetch it again"


def test_the_folder_of_a_filesystem_is_no_part_of_an_archive(tmp_path: Path) -> None:
    """At the root of a disk lies ``lost+found``, which nobody but root may list; elsewhere a folder
    of that name is one as any other.
    """
    store = DirectoryStore(tmp_path)
    for path in ("lost+found/#1", "india/lost+found/x"):
        store.create(path, b"bytes")
    assert list(store.paths(unlisted=True)) == ["india/lost+found/x"]


def test_a_small_file_is_stored_once(either: Store) -> None:
    """What was created is there to read; a second creation fails and changes nothing."""
    stored = either.create("india/chain/00000001.json", b"{}")
    assert stored == Stored("india/chain/00000001.json", 2, hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(FileExistsError):
        either.create(stored.path, b"[]")
    assert either.read(stored.path) == b"{}"
    assert either.size(stored.path) == 2
    assert either.exists(stored.path)
    assert either.checksum(stored.path) == stored


def test_small_files_that_are_stored_together(either: Store) -> None:
    """Each is stored as if it came alone: a name that is taken and an impossible one keep no other
    file from its place, nor does a file where a folder should be.
    """
    either.create("india/receipts/1.json", b"first")
    given = [
        ("india/receipts/2.json", b"second"),
        ("india/receipts/1.json", b"another"),
        ("../outside.json", b"x"),
        ("india/receipts/3.json", b""),
        ("peru/receipts/1.json", bytes(100_000)),
        ("india/receipts/2.json", b"twice"),
    ]
    outcomes = either.create_all(given)
    for (path, data), outcome in zip(given, outcomes, strict=True):
        if isinstance(outcome, Stored):
            assert outcome == Stored(path, len(data), hashlib.sha256(data).hexdigest())
            assert either.read(path) == data
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds[1:5] == [FileExistsError, ValueError, Stored, Stored]
    assert sorted(kind.__name__ for kind in (kinds[0], kinds[5])) == ["FileExistsError", "Stored"]
    assert either.read("india/receipts/1.json") == b"first"
    assert either.create_all([]) == []


def test_a_folder_that_cannot_be_made_holds_up_no_file_of_another(store: DirectoryStore) -> None:
    """A file has the name of the folder: only what belongs into it is not stored, and nothing is
    left behind.
    """
    store.create("india/receipts", b"in the way")
    outcomes = store.create_all([("india/receipts/1.json", b"1"), ("peru/receipts/1.json", b"2")])
    assert isinstance(outcomes[0], NotADirectoryError)
    assert isinstance(outcomes[1], Stored)
    assert stray(store) == []


def test_a_large_file_is_stored_from_the_spool(store: DirectoryStore, tmp_path: Path) -> None:
    """On one filesystem nothing is copied; what is stored is read-only and seekable."""
    source, sha256 = spooled(tmp_path, b"0123456789" * 500_000)
    seen: list[int] = []
    stored = store.keep("india/a.zip", source, sha256, on_bytes=seen.append)
    assert stored == Stored("india/a.zip", 5_000_000, sha256)
    assert sum(seen) == 5_000_000
    kept = store.root / "india" / "a.zip"
    assert kept.samefile(source)
    assert kept.stat().st_mode & 0o222 == 0
    source.unlink()
    with store.open("india/a.zip") as file:
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"789"
    assert stray(store) == []


def test_a_large_file_does_not_stay_in_memory(store: DirectoryStore, tmp_path: Path) -> None:
    """A ZIP that is seldom read does not crowd out the ledger."""
    source, sha256 = spooled(tmp_path, bytes(64 << 20))
    if held_in_memory(source) < 0.5:
        pytest.skip("the system does not tell, or keeps no file in memory")
    store.keep("a/x.zip", source, sha256)
    assert held_in_memory(store.root / "a/x.zip") < 0.5


def test_a_large_file_is_stored_from_another_disk(store: DirectoryStore, elsewhere: Path) -> None:
    """From another filesystem the file is copied, and is read-only as well."""
    source, sha256 = spooled(elsewhere, b"0123456789" * 500_000)
    assert store.keep("india/a.zip", source, sha256).sha256 == sha256
    assert (store.root / "india" / "a.zip").stat().st_mode & 0o222 == 0
    assert source.stat().st_mode & 0o200
    assert stray(store) == []


def test_the_same_file_is_adopted(store: DirectoryStore, tmp_path: Path) -> None:
    """Who completes late finds the file there already, and gets it as if it had stored it."""
    first = store.keep("a/x.zip", *spooled(tmp_path, b"one", "1.part"))
    inode = (store.root / "a" / "x.zip").stat().st_ino
    assert store.keep("a/x.zip", *spooled(tmp_path, b"one", "2.part")) == first
    assert (store.root / "a" / "x.zip").stat().st_ino == inode


def test_another_file_is_a_contradiction(either: Store, tmp_path: Path) -> None:
    """Another file under the name is left as it is, and both sums are told."""
    first = either.keep("a/x.zip", *spooled(tmp_path, b"one", "1.part"))
    source, sha256 = spooled(tmp_path, b"two", "2.part")
    with pytest.raises(Contradiction) as caught:
        either.keep("a/x.zip", source, sha256)
    assert first.sha256 in str(caught.value)
    assert sha256 in str(caught.value)
    assert either.read("a/x.zip") == b"one"
    assert source.read_bytes() == b"two"


def test_a_file_with_another_sum_is_not_stored(either: Store, tmp_path: Path) -> None:
    """What does not read back with the sum of the download never gets its name."""
    source, _ = spooled(tmp_path, b"changed meanwhile")
    with pytest.raises(Damaged, match="fetch it again"):
        either.keep("a/x.zip", source, "0" * 64)
    assert not either.exists("a/x.zip")
    assert source.stat().st_mode & 0o200


@pytest.mark.parametrize("how", ["create", "keep"])
def test_bytes_are_durable_before_their_name(
    store: DirectoryStore, tmp_path: Path, how: str
) -> None:
    """A power cut leaves a complete file or none: flushed, then linked, then the folder flushed."""
    store.create("a/first.json", b"{}")
    source, sha256 = spooled(tmp_path, b"one")
    actions: dict[str, Callable[[], object]] = {
        "create": lambda: store.create("a/x.json", b"{}"),
        "keep": lambda: store.keep("a/x.zip", source, sha256),
    }
    calls = called(actions[how])
    named = len(calls) - 1 - calls[::-1].index("link")
    assert "fsync" in calls[:named]
    assert "fsync" in calls[named:]


@pytest.mark.parametrize("how", ["create", "keep", "adopt"])
def test_a_folder_that_a_killed_process_made_is_made_durable(
    store: DirectoryStore, tmp_path: Path, how: str
) -> None:
    """Who finds a folder can not know that its name outlives a power cut: every name down to the
    file's is flushed, once in a process.
    """
    store.create("first.json", b"{}")
    (store.root / "a" / "b").mkdir(parents=True)
    source, sha256 = spooled(tmp_path, b"one")
    if how == "adopt":
        (store.root / "a/b/x.zip").write_bytes(b"one")
    actions: dict[str, Callable[[], object]] = {
        "create": lambda: store.create("a/b/x.json", b"{}"),
        "keep": lambda: store.keep("a/b/x.zip", source, sha256),
        "adopt": lambda: store.keep("a/b/x.zip", source, sha256),
    }
    # The names of a, of b and of the file; before them the file itself, unless it is there.
    assert called(actions[how]).count("fsync") == (3 if how == "adopt" else 4)
    assert called(lambda: store.create("a/b/y.json", b"{}")).count("fsync") == 2


def called(action: Callable[[], object]) -> list[str]:
    """The names of the system calls of `os` that an action makes, in order."""
    calls: list[str] = []

    def watch(_: Any, event: str, argument: Any) -> None:
        if event == "c_call" and argument in (os.fsync, os.link):
            calls.append(argument.__name__)

    sys.setprofile(watch)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def create_all(address: str, count: int, worker: int) -> list[int]:
    """Try to be the first at so many names; which were won."""
    store, won = open_store(address), []
    for number in range(count):
        try:
            store.create(f"a/chain/{number:08}.json", b"%d" % worker)
            won.append(number)
        except FileExistsError:
            assert store.read(f"a/chain/{number:08}.json")
    return won


def keep_one(address: str, source: Path, sha256: str) -> Stored:
    """Store a file that others store as well."""
    return open_store(address).keep("a/x.zip", source, sha256)


def test_of_many_processes_one_creates_a_file(
    either: Store, processes: ProcessPoolExecutor
) -> None:
    """Processes that create the same names at once: each name has one winner, and its bytes."""
    count = 200 if isinstance(either, DirectoryStore) else 40
    won = list(processes.map(create_all, [either.address] * 4, [count] * 4, range(4)))
    assert sorted(number for numbers in won for number in numbers) == list(range(count))
    for worker, numbers in enumerate(won):
        for number in numbers:
            assert either.read(f"a/chain/{number:08}.json") == b"%d" % worker


def test_many_processes_store_the_same_file(
    either: Store, processes: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """Processes that complete the same download at once all get the one stored file."""
    copies = [spooled(tmp_path, b"0123456789" * 300_000, f"{n}.part") for n in range(4)]
    sources, sums = zip(*copies, strict=True)
    stored = set(processes.map(keep_one, [either.address] * 4, sources, sums))
    assert stored == {Stored("a/x.zip", 3_000_000, sums[0])}
    assert list(either.paths()) == ["a/x.zip"]


def test_what_a_killed_process_left_is_invisible_and_goes(
    store: DirectoryStore, elsewhere: Path
) -> None:
    """A half-made file never shows, and is removed by a later store; a young one stays."""
    source, _ = spooled(elsewhere, bytes(5_000_000))
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_STORING, str(store.root), str(source)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"copying\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (left,) = stray(store)
    assert list(store.paths()) == []
    store.create("a/x.json", b"{}")
    assert stray(store) == [left]
    old = int(time.time()) - ABANDONED_AFTER_SECONDS - 1
    left.rename(left.with_name(f"{old}-{left.name.partition('-')[2]}"))
    # A process looks for them with its first file, and then every ten minutes.
    DirectoryStore(store.root).create("a/y.json", b"{}")
    assert stray(store) == []
    assert list(store.paths()) == ["a/x.json", "a/y.json"]


@pytest.mark.parametrize(
    "path",
    [
        *["", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "a/./b", "a/", "a\\..\\b"],
        *["a\0b", INCOMING, f"{INCOMING}/x"],
    ],
)
def test_a_path_that_leaves_the_archive_is_refused(
    either: Store, tmp_path: Path, path: str
) -> None:
    """No operation follows a path to anywhere but a file of the archive."""
    source, sha256 = spooled(tmp_path, b"one")
    for action in (either.read, either.open, either.size, either.exists, either.checksum):
        with pytest.raises(ValueError, match=r"archive|being stored"):
            action(path)
    with pytest.raises(ValueError, match=r"archive|being stored"):
        either.create(path, b"")
    with pytest.raises(ValueError, match=r"archive|being stored"):
        either.keep(path, source, sha256)


def test_a_prefix_that_leaves_the_archive_is_refused(either: Store) -> None:
    """Listing does not leave the archive either."""
    with pytest.raises(ValueError, match="not a path inside"):
        next(either.paths("../"))


def test_only_plain_files_of_the_archive_are_read(store: DirectoryStore, tmp_path: Path) -> None:
    """Links that lead out, pipes and folders are told as dangers; none of them hangs a reader."""
    store.create("a/x.json", b"{}")
    spooled(tmp_path, b"secret", "secret")
    (store.root / "a" / "out").symlink_to(tmp_path / "secret")
    os.mkfifo(store.root / "a" / "pipe")
    (store.root / "a" / "folder").mkdir()
    for name in ("out", "pipe", "folder"):
        with pytest.raises(Dangerous, match=f"a/{name}"):
            store.checksum(f"a/{name}")
    assert list(store.paths()) == ["a/out", "a/pipe", "a/x.json"]


def test_what_is_absent_is_missing(either: Store) -> None:
    """An absent file is told by its name, under a file instead of a folder too."""
    either.create("a/x.json", b"{}")
    for path in ("b.json", "a/y.json", "a/x.json/z"):
        assert not either.exists(path)
        for action in (either.read, either.size, either.checksum):
            with pytest.raises(Missing, match=path):
                action(path)


def test_a_name_is_given_once(either: Store) -> None:
    """The trial says so, twice in a row, and leaves nothing that shows in the archive."""
    assert either.gives_names_once()
    assert either.gives_names_once()
    assert list(either.paths()) == []


def test_the_same_file_is_the_same_file(either: Store, tmp_path: Path) -> None:
    """Who completes late gets what is there, of any size, an empty one too."""
    for size in (0, 5, 34_000_000):
        source, sha256 = spooled(tmp_path, os.urandom(size))
        seen: list[int] = []
        first = either.keep(f"a/{size}.zip", source, sha256, on_bytes=seen.append)
        assert first == Stored(f"a/{size}.zip", size, sha256) == either.checksum(first.path)
        assert sum(seen) >= size
        again, _ = spooled(tmp_path, source.read_bytes(), "late.part")
        assert either.keep(first.path, again, sha256) == first


def test_a_file_is_seekable(either: Store, tmp_path: Path) -> None:
    """Any place of it is read, in any order, by lines too; beyond its end is nothing."""
    data = b"".join(b"%07d\n" % number for number in range(400_000))
    source, sha256 = spooled(tmp_path, data)
    either.keep("a/lines", source, sha256)
    with either.open("a/lines") as file:
        assert file.seek(-8, os.SEEK_END) == len(data) - 8
        assert file.read() == b"0399999\n"
        assert file.read(1) == b""
        for at in (0, 1_000_000, 999_000, 3_100_000, 5):
            file.seek(at)
            assert file.read(300_000) == data[at : at + 300_000]
        file.seek(len(data) + 5)
        assert file.read(3) == b""
        file.seek(0)
        assert sum(int(line) for line in file) == sum(range(400_000))
    with either.open("a/lines") as file:
        assert file.read() == data


def test_paths_come_sorted_and_by_prefix(either: Store) -> None:
    """Paths are sorted as strings, so that a long verification can go on after the last one."""
    names = [
        "a-b/x",
        "a/b-c",
        "a/b/x",
        "a/b/y",
        "a/b.json",
        "a/c",
        "ab",
        "ledger.json",
        "\u00fc~x/1",
    ]
    for name in names:
        either.create(name, b"")
    assert list(either.paths()) == sorted(names)
    for prefix in ("a", "a/", "a/b", "a/b/", "a/b/x", "a-", "nothing", "nothing/at/all", "ab/c"):
        expected = [name for name in sorted(names) if name.startswith(prefix)]
        assert list(either.paths(prefix)) == expected, prefix


def test_an_archive_that_is_not_there_is_empty(store: DirectoryStore) -> None:
    """Reading makes no folder: a mistyped path does not become an archive."""
    assert list(store.paths()) == []
    assert not store.exists("a/x.json")
    with pytest.raises(Missing):
        store.read("a/x.json")
    assert not store.root.parent.exists()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """With the archive's disk full nothing is stored, nothing is left, and the error says so."""
    source, sha256 = spooled(tmp_path, bytes(20_000_000))
    with small_disk(tmp_path) as disk:
        store = DirectoryStore(disk / "archive")
        store.create("a/x.json", b"{}")
        with pytest.raises(NoSpace, match=r"a/big\.zip: the archive's disk is full"):
            store.keep("a/big.zip", source, sha256)
        with pytest.raises(NoSpace):
            store.create("a/big.json", bytes(20_000_000))
        assert stray(store) == []
        assert list(store.paths()) == ["a/x.json"]
        assert shutil.disk_usage(disk).free > 4_000_000
        store.create("a/y.json", b"{}")


def test_an_archive_lies_in_a_directory_or_a_bucket(tmp_path: Path) -> None:
    """An archive's address is an absolute path or a bucket's; others are refused with a way out."""
    assert open_store(str(tmp_path)).address == str(tmp_path)
    assert open_store("s3://bucket/a/prefix/").address == "s3://bucket/a/prefix"
    assert open_store("s3://bucket").address == "s3://bucket"
    for url in ("ftp://host/x", "var/archive"):
        with pytest.raises(ValueError, match="absolute"):
            open_store(url)
    with pytest.raises(ValueError, match="names no bucket"):
        open_store("s3:///prefix")
