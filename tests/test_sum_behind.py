"""A download's sum is computed from its file, behind the writer, and the archive relies on it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from archive.errors import ArchiveFull, Damaged, NoSpace
from archive.spool.spool import Spool
from archive.spool.sum_behind import SumBehind
from archive.store.directory import DirectoryStore
from archive.store.protocol import FileState
from config.settings import ROOT

from .disks import small_disk

MEBIBYTE = 1024 * 1024
DATA = os.urandom(MEBIBYTE) * 3 + b"end"
SHA256 = hashlib.sha256(DATA).hexdigest()

#: Downloads a file, verifies it and keeps it; waits at the phase that it is given, to be killed.
PHASES = """
import sys
import threading
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from archive.spool.member_lists import MemberLists
from archive.spool.spool import Spool
from archive.store.directory import DirectoryStore
from archive.zip.verification import Limits, members

root, wanted = Path(sys.argv[1]), sys.argv[2]

def phase(name):
    if name == wanted:
        print(name, flush=True)
        sys.stdin.readline()

spool, store = Spool(root / "spool", 0), DirectoryStore(root / "archive")
with spool.part("job") as part:
    if not part.held:
        part.begin('"v1"')
    data = (root / "source.zip").read_bytes()
    part.write(data[part.held : part.held + 300])
    phase("downloading")
    part.write(data[part.held :])
    phase("written")
    _, sha256 = part.finish()
    phase("summed")
    found = members(part.path, Limits(100, 10**9, 200), path="a.zip")
    for number, _ in enumerate(MemberLists(spool).recorded(sha256, "unheard", found)):
        if number == 1:
            phase("verifying")
    phase("verified")
    store.keep("a/a.zip", part.path, sha256, state=part.state)
    phase("kept")
    part.discard()
known = MemberLists(spool).read(sha256, "unheard")
print(sha256, len(list(known or ())))
"""

#: Does the same four times at once; prints the sums, and by how many MB the peak of memory grew.
FOUR = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from archive.spool.spool import Spool
from archive.store.directory import DirectoryStore
from archive.zip.verification import Limits, members
from tests.peak_memory import peak_mb

root = Path(sys.argv[1])
spool, store = Spool(root / "spool", 0), DirectoryStore(root / "archive")

def keep(number):
    with spool.part(f"job{number}") as part, (root / "source.zip").open("rb") as source:
        part.begin(None)
        while piece := source.read(1024 * 1024):
            part.write(piece)
        _, sha256 = part.finish()
        assert len(list(members(part.path, Limits(100, 10**9, 200), path="a.zip"))) == 2
        store.keep(f"a/{number}.zip", part.path, sha256, state=part.state)
        part.discard()
    return store.checksum(f"a/{number}.zip").sha256

idle = peak_mb()
with ThreadPoolExecutor(4) as pool:
    print(*pool.map(keep, range(4)))
print(peak_mb() - idle)
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool", 0)


def spooled(spool: Spool) -> tuple[Path, FileState]:
    """A whole download, and the state of its file when its sum was computed."""
    with spool.part("job") as part:
        part.begin('"v1"')
        part.write(DATA)
        assert part.finish() == (len(DATA), SHA256)
    assert part.state is not None
    return part.path, part.state


def until_later(probe: Path, state: FileState) -> None:
    """Wait until the clock of the files, which ticks every few milliseconds, has moved on."""
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > state.changed_ns:
            return


@pytest.mark.parametrize("left", [0, MEBIBYTE, 2 * MEBIBYTE])
def test_a_file_that_was_cut_meanwhile_is_fetched_again(spool: Spool, left: int) -> None:
    """Whether its bytes were read back before the cut or not: none of them is believed, and the
    next attempt begins at the first byte.
    """
    with spool.part("job") as part:
        part.begin('"v1"')
        part.write(DATA)
        os.truncate(part.path, left)
        with pytest.raises(Damaged, match=r"job: .* fetch it again from the start"):
            part.finish()
        assert (part.held, part.etag, part.state) == (0, None, None)
    with spool.part("job") as part:
        assert part.held == 0
        part.begin('"v1"')
        part.write(DATA)
        assert part.finish() == (len(DATA), SHA256)


def test_a_file_that_cannot_be_read_back_names_itself(tmp_path: Path) -> None:
    """The writer gets the system's error with the file's name, however often it asks."""
    path = tmp_path / "job.part"
    path.write_bytes(DATA)
    file = os.open(path, os.O_WRONLY)
    behind = SumBehind(file, path, "job")
    try:
        with suppress(OSError):
            behind.written(1)
        finish = partial(behind.finish, len(DATA))
        for ask in (finish, partial(behind.written, len(DATA)), finish):
            with pytest.raises(OSError, match=r"job\.part") as caught:
                ask()
            assert caught.value.filename == str(path)
    finally:
        behind.close()
        os.close(file)


def test_bytes_that_were_held_count_in_the_sum(spool: Spool) -> None:
    """They are read first, wherever the download broke off; and again after a restart."""
    for end in (1, MEBIBYTE, MEBIBYTE + 1):
        with spool.part("job") as part:
            part.begin('"v1"')
            part.write(DATA[part.held : end])
    with spool.part("job") as part:
        part.write(DATA[part.held :])
        assert part.finish() == (len(DATA), SHA256)
        part.restart()
        part.begin('"v2"')
        part.write(DATA[:7])
        assert part.finish() == (7, hashlib.sha256(DATA[:7]).hexdigest())


def test_a_download_leaves_no_thread_behind(spool: Spool) -> None:
    """Whatever ends it: the file is closed after its threads."""
    before = set(threading.enumerate())
    for _ in range(3):
        with pytest.raises(TimeoutError), spool.part("job") as part:  # noqa: PT012
            part.begin('"v1"')
            part.write(DATA)
            raise TimeoutError
    # Others, such as those of an earlier test, may end meanwhile.
    assert set(threading.enumerate()) <= before


def test_the_archive_does_not_read_what_nobody_changed(spool: Spool, tmp_path: Path) -> None:
    """The stored file is the summed one itself: no byte is read a third time."""
    path, state = spooled(spool)
    read: list[int] = []
    store = DirectoryStore(tmp_path / "archive")
    stored = store.keep("a/x.zip", path, SHA256, read.append, state=state)
    assert (stored.bytes, stored.sha256, read) == (len(DATA), SHA256, [])
    assert (tmp_path / "archive/a/x.zip").samefile(path)
    assert store.checksum("a/x.zip") == stored
    assert path.stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("change", ["written", "longer", "another"])
def test_a_file_that_changed_after_its_sum_is_read_back(
    spool: Spool, tmp_path: Path, change: str
) -> None:
    """A written byte, a byte more or another file in its place, each with the time of before: the
    sum is computed again, and nothing is stored.
    """
    path, state = spooled(spool)
    until_later(tmp_path / "probe", state)
    if change == "another":
        path.unlink()
        path.write_bytes(DATA[:-1] + b"!")
    else:
        with path.open("r+b") as file:
            file.seek(-1 if change == "written" else 0, os.SEEK_END)
            file.write(b"!")
    os.utime(path, ns=(state.modified_ns, state.modified_ns))
    store = DirectoryStore(tmp_path / "archive")
    with pytest.raises(Damaged, match="nothing was stored"):
        store.keep("a/x.zip", path, SHA256, state=state)
    assert list(store.paths()) == []


def test_a_copy_is_read_back(spool: Spool, tmp_path: Path) -> None:
    """An archive on another disk holds other bytes than those that were summed."""
    path, state = spooled(spool)
    with small_disk(tmp_path) as disk:
        store, read = DirectoryStore(disk / "archive"), list[int]()
        stored = store.keep("a/x.zip", path, SHA256, read.append, state=state)
        assert stored.sha256 == SHA256
        assert sum(read) == 2 * len(DATA)
        with path.open("r+b") as file:
            file.write(b"!")
        with pytest.raises(Damaged, match="nothing was stored"):
            store.keep("a/y.zip", path, SHA256, state=state)


@pytest.mark.parametrize(
    ("phase", "resumed"),
    [
        ("downloading", 300),
        ("written", None),
        ("summed", None),
        ("verifying", None),
        ("verified", None),
        ("kept", None),
    ],
)
def test_a_process_killed_between_two_phases_is_resumed(
    tmp_path: Path, phase: str, resumed: int | None
) -> None:
    """Kill -9: the next process finds every byte, computes sum and members again, and the archive
    holds the file once.
    """
    source = tmp_path / "source.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for number in range(70):
            archive.writestr(f"{number}.mp3", os.urandom(1000))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    command = [sys.executable, "-c", PHASES, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*command, phase], cwd=ROOT, text=True, **pipes) as first:  # type: ignore[call-overload]
        assert first.stdout.readline() == f"{phase}\n"
        first.kill()
    held = (tmp_path / "spool" / "job.part").stat().st_size
    assert held == (source.stat().st_size if resumed is None else resumed)
    second = subprocess.run(
        [*command, "none"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert second.stdout.split() == [sha256, "70"]
    store = DirectoryStore(tmp_path / "archive")
    assert list(store.paths()) == ["a/a.zip"]
    assert store.checksum("a/a.zip").sha256 == sha256


def test_a_full_archive_keeps_the_download(spool: Spool, tmp_path: Path) -> None:
    """Nothing is stored, the error names the archive's disk, and with room the same download is."""
    path, state = spooled(spool)
    with small_disk(tmp_path) as disk:
        store, ballast = DirectoryStore(disk / "archive"), disk / "ballast"
        ballast.write_bytes(bytes(6 * MEBIBYTE))
        with pytest.raises(ArchiveFull, match="free some space"):
            store.keep("a/x.zip", path, SHA256, state=state)
        assert list(store.paths()) == []
        ballast.unlink()
        assert store.keep("a/x.zip", path, SHA256, state=state).sha256 == SHA256


def test_bytes_before_a_full_disk_count_in_the_sum(tmp_path: Path) -> None:
    """A chunk that the disk took only in part: the sum is that of the bytes in the file."""
    with small_disk(tmp_path) as disk:
        spool, ballast = Spool(disk / "spool", 0), disk / "ballast"
        with spool.part("job") as part:
            part.begin('"v1"')
            part.write(DATA[:10])
            ballast.write_bytes(bytes(6 * MEBIBYTE + MEBIBYTE // 2))
            with pytest.raises(NoSpace):
                part.write(DATA[10:])
            assert 10 < part.held < len(DATA)
            assert part.finish() == (part.held, hashlib.sha256(DATA[: part.held]).hexdigest())


def test_four_downloads_at_once_take_little_memory(tmp_path: Path) -> None:
    """Written, summed, verified by members and kept, 80 MB each, in one process: each has its own
    sum, and the process takes at most 64 MB more than when it is idle.
    """
    source = tmp_path / "source.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(2):
            archive.writestr(f"{number}.mp3", os.urandom(40 * MEBIBYTE))
    run = subprocess.run(
        [sys.executable, "-c", FOUR, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *sums, above = run.stdout.split()
    with source.open("rb") as file:
        assert sums == [hashlib.file_digest(file, "sha256").hexdigest()] * 4
    assert int(above) <= 64
