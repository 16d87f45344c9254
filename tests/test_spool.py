"""What the spool promises about a download that was begun and not finished."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from archive.errors import Damaged, NoSpace
from archive.spool.spool import Spool
from archive.store.directory import DirectoryStore
from config.settings import ROOT

from .disks import small_disk

MEBIBYTE = 1024 * 1024
CHUNK = bytes(range(256)) * 4096

#: Holds a part: writes a chunk for every line it is sent, and says how many bytes it has then.
HOLDER = """
import sys
from pathlib import Path
from archive.spool.spool import Spool

with Spool(Path(sys.argv[1]), 0).part("job") as part:
    if not part.held:
        part.begin('"v1"')
    for line in sys.stdin:
        part.write(bytes(range(256)) * 4096)
        print(part.held, part.path.name, flush=True)
"""


class Holder:
    """A process of its own that writes into the part "job"."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> None:
        """Ask it to write one more chunk."""
        assert self.process.stdin
        self.process.stdin.write("write\n")
        self.process.stdin.flush()

    def answer(self) -> tuple[int, str]:
        """The bytes it holds after a chunk, and its file's name."""
        assert self.process.stdout
        held, name = self.process.stdout.readline().split()
        return int(held), name

    def write(self) -> tuple[int, str]:
        """Have it write one more chunk."""
        self.ask()
        return self.answer()

    def freeze(self) -> None:
        """Pause it, and wait until it is paused."""
        self.process.send_signal(signal.SIGSTOP)
        while psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:
            os.sched_yield()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool whose folder is not there yet."""
    return Spool(tmp_path / "var" / "spool", 0)


@pytest.fixture
def holder(spool: Spool) -> Iterator[Callable[[], Holder]]:
    """Starts processes that hold the part "job", and ends them."""
    started: list[Holder] = []

    def start() -> Holder:
        started.append(Holder(spool.directory))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def sha256(data: bytes) -> str:
    """The sum in hex."""
    return hashlib.sha256(data).hexdigest()


def begun(spool: Spool, data: bytes, etag: str | None = '"v1"') -> Path:
    """A part that was begun and left with some bytes."""
    with spool.part("job") as part:
        part.begin(etag)
        part.write(data)
    return part.path


def test_a_download_goes_on_where_it_was_left(spool: Spool) -> None:
    """Bytes, their number and their validator survive; the sum is that of the whole file."""
    begun(spool, b"one ")
    seen: list[int] = []
    with spool.part("job", on_bytes=seen.append) as part:
        assert (part.held, part.etag) == (4, '"v1"')
        part.begin('"v1"')
        part.write(b"two")
        assert part.finish() == (7, sha256(b"one two"))
        assert part.path.read_bytes() == b"one two"
        part.discard()
    assert seen == [4]
    assert list(spool.directory.iterdir()) == []


def test_an_answer_without_a_validator_goes_on(spool: Spool) -> None:
    """A partial answer may leave the validator out; the one that it was asked with stays."""
    begun(spool, b"one ")
    with spool.part("job") as part:
        part.begin(None)
        part.write(b"two")
    with spool.part("job") as part:
        assert (part.held, part.etag) == (7, '"v1"')


@pytest.mark.parametrize("sidecar", [None, b"", b"{", b"[]", b'{"etag": 7}', b'{"etag": null}'])
def test_without_a_validator_it_starts_again(spool: Spool, sidecar: bytes | None) -> None:
    """Bytes of which nobody knows what file they are of are dropped, not added to."""
    path = begun(spool, b"one ")
    if sidecar is None:
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_bytes(sidecar)
    with spool.part("job") as part:
        assert (part.held, part.etag) == (0, None)
        part.begin(None)
        part.write(b"two")
        assert part.finish() == (3, sha256(b"two"))
    with spool.part("job") as part:
        assert part.held == 0


def test_a_restart_forgets_everything(spool: Spool) -> None:
    """After an answer from the start, nothing of the earlier bytes is left in file or sum."""
    begun(spool, b"one and more")
    with spool.part("job") as part:
        part.restart()
        assert (part.held, part.etag) == (0, None)
        part.begin('"v2"')
        part.write(b"two")
        assert part.finish() == (3, sha256(b"two"))
        assert part.path.read_bytes() == b"two"
    with spool.part("job") as part:
        assert (part.held, part.etag) == (3, '"v2"')


def test_two_files_are_never_mixed(spool: Spool) -> None:
    """An answer of another file than the bytes held is refused, and the next try starts at 0."""
    begun(spool, b"one ")
    with spool.part("job") as part:
        with pytest.raises(Damaged, match="changed during the download"):
            part.begin('"v2"')
        assert (part.held, part.etag) == (0, None)
    with spool.part("job") as part:
        assert part.held == 0


def test_a_killed_worker_leaves_what_it_had(spool: Spool, holder: Callable[[], Holder]) -> None:
    """After kill -9 the next worker takes the file itself, and its bytes count in the sum."""
    first = holder()
    first.write()
    held, name = first.write()
    first.process.kill()
    first.process.wait()
    with spool.part("job") as part:
        assert (part.held, part.path.name) == (held, name)
        part.write(b"end")
        assert part.finish() == (held + 3, sha256(CHUNK * 2 + b"end"))


def test_a_frozen_worker_is_overtaken_and_spoils_nothing(
    spool: Spool, holder: Callable[[], Holder]
) -> None:
    """Who takes over copies what a frozen holder has; a chunk it writes on waking is its own."""
    frozen = holder()
    held, name = frozen.write()
    frozen.freeze()
    frozen.ask()
    with spool.part("job") as part:
        assert part.path.name != name
        assert (part.held, part.etag) == (held, '"v1"')
        part.begin('"v1"')
        part.write(b"end")
        frozen.process.send_signal(signal.SIGCONT)
        assert frozen.answer() == (2 * held, name)
        part.write(b".")
        assert part.finish() == (held + 4, sha256(CHUNK + b"end."))
        assert part.path.read_bytes() == CHUNK + b"end."
        part.discard()
    assert (spool.directory / name).read_bytes() == CHUNK * 2
    assert sorted(file.name for file in spool.directory.iterdir()) == ["job.json", "job.part"]


def test_the_longest_part_is_taken_up(spool: Spool, holder: Callable[[], Holder]) -> None:
    """Where the one who took over is killed as well, the third continues with its longer file."""
    frozen, second = holder(), None
    frozen.write()
    second = holder()
    assert second.write()[0] == 2 * MEBIBYTE
    held, name = second.write()
    second.process.kill()
    second.process.wait()
    frozen.freeze()
    with spool.part("job") as part:
        assert (part.held, part.path.name) == (held, name)
        assert part.finish()[1] == sha256(CHUNK * 3)


def test_a_file_that_is_begun_anew_is_not_copied(spool: Spool) -> None:
    """Where the holder starts again with another file meanwhile, the copy is dropped."""
    with spool.part("job") as other:
        other.begin('"v1"')
        other.write(CHUNK * 3)

        def change(_: int) -> None:
            other.restart()
            other.begin('"v1"')
            other.write(b"another file")

        with spool.part("job", on_bytes=change) as part:
            assert (part.held, part.etag) == (0, None)
            assert part.path.read_bytes() == b""


def test_an_archived_file_is_never_written_to(spool: Spool, tmp_path: Path) -> None:
    """A worker killed after storing leaves a second name of the stored file; it is only copied."""
    store = DirectoryStore(tmp_path / "archive")
    path = begun(spool, CHUNK)
    store.keep("a/x.zip", path, sha256(CHUNK))
    with spool.part("job") as part:
        assert (part.held, part.etag) == (len(CHUNK), '"v1"')
        assert not part.path.samefile(path)
        part.restart()
        part.begin('"v2"')
        part.write(b"another file")
        assert part.finish() == (12, sha256(b"another file"))
    assert store.checksum("a/x.zip").sha256 == sha256(CHUNK)


def test_a_discarded_download_leaves_no_other_name_of_the_archived_file(
    spool: Spool, tmp_path: Path
) -> None:
    """A worker was killed after storing the file and before it removed the part."""
    DirectoryStore(tmp_path / "archive").keep("a/x.zip", begun(spool, CHUNK), sha256(CHUNK))
    with spool.part("job") as part:
        part.discard()
    assert not list(spool.directory.iterdir())


def test_a_discarded_download_leaves_no_part_of_a_killed_worker(
    spool: Spool, holder: Callable[[], Holder]
) -> None:
    """The shorter part goes with the longer one; parts of other downloads stay."""
    begun_by = [holder(), holder()]
    assert len({one.write()[1] for one in begun_by}) == 2
    for one in begun_by:
        one.process.kill()
        one.process.wait()
    with spool.part("job.1") as other, spool.part("job") as part:
        other.begin(None)
        part.discard()
    assert {file.name for file in spool.directory.iterdir()} == {"job.1.json", "job.1.part"}


def test_a_part_made_read_only_is_writable_again(spool: Spool) -> None:
    """A worker killed just before storing leaves its file read-only; it continues all the same."""
    path = begun(spool, b"one ")
    path.chmod(0o444)
    with spool.part("job") as part:
        part.write(b"two")
        assert part.path.stat().st_mode & 0o200
        assert part.finish() == (7, sha256(b"one two"))


def test_names_do_not_meet(spool: Spool) -> None:
    """A part is found under its own name only, not under one that begins alike."""
    with spool.part("job.1") as one, spool.part("job.1") as same, spool.part("job") as other:
        one.begin('"v1"')
        one.write(b"one")
        same.begin('"v1"')
        same.write(b"the same")
        assert (other.held, other.etag) == (0, None)
    with spool.part("job") as part:
        assert part.held == 0
    for name in ("", "a/b", "..", ".hidden", "a~b", "a" * 201, "a\0b"):
        with pytest.raises(ValueError, match="name in the spool"), spool.part(name):
            pass
        with pytest.raises(ValueError, match="name in the spool"):
            spool.scratch(name)


def test_the_reserve_is_not_touched(tmp_path: Path) -> None:
    """Where the disk has less than the reserve free, nothing is begun, and the error says so."""
    spool = Spool(tmp_path, 1 << 60)
    with spool.part("job") as part:
        with pytest.raises(NoSpace, match=r"job: .* free some space"):
            part.begin('"v1"')
        with pytest.raises(NoSpace):
            part.write(b"one")
        assert part.held == 0
        assert part.path.stat().st_size == 0


def test_a_download_stops_before_the_reserve(tmp_path: Path) -> None:
    """On a real disk the reserve stays free; with more room the download continues, whole."""
    with small_disk(tmp_path) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(2 * MEBIBYTE))
        spool = Spool(disk, 3 * MEBIBYTE)
        with spool.part("job") as part:
            part.begin('"v1"')
            part.write(CHUNK)
            part.write(CHUNK)
            with pytest.raises(NoSpace, match="has only its reserve of 3145728 bytes left"):
                part.write(CHUNK)
            assert part.held == part.path.stat().st_size == 2 * MEBIBYTE
            assert free(disk) >= 3 * MEBIBYTE
        ballast.unlink()
        with spool.part("job") as part:
            part.begin('"v1"')
            part.write(CHUNK)
            assert part.finish() == (3 * MEBIBYTE, sha256(CHUNK * 3))


def test_a_disk_that_fills_up_meanwhile_is_told(tmp_path: Path) -> None:
    """Where others take the room, the error is told alike, and no byte is miscounted."""
    with small_disk(tmp_path) as disk:
        spool, ballast = Spool(disk, 0), disk / "ballast"
        with spool.part("job") as part:
            part.begin('"v1"')
            part.write(CHUNK)
            ballast.write_bytes(bytes(free(disk) - MEBIBYTE // 2))
            with pytest.raises(NoSpace, match="disk is full"):
                part.write(CHUNK)
            held = part.held
            assert held == part.path.stat().st_size
            ballast.unlink()
            part.write(b"end")
            written = (CHUNK * 2)[:held] + b"end"
            assert part.finish() == (len(written), sha256(written))


def test_taking_over_does_not_fill_the_disk(tmp_path: Path) -> None:
    """Where there is no room for a copy of what another holds, no half of it is left."""
    with small_disk(tmp_path) as disk, Spool(disk, MEBIBYTE).part("job") as part:
        part.begin('"v1"')
        part.write(CHUNK * 4)
        with pytest.raises(NoSpace), Spool(disk, MEBIBYTE).part("job"):
            pass
        assert sorted(file.name for file in disk.iterdir()) == ["job.json", "job.part"]


def test_a_sweep_takes_what_nobody_holds(spool: Spool) -> None:
    """Old files go, whatever they are; those held, and the young ones, stay."""
    old = begun(spool, b"one")
    scratch = spool.scratch("job")
    assert scratch != spool.scratch("job")
    scratch.write_bytes(b"")
    with spool.part("held") as part:
        part.begin('"v1"')
        part.write(b"one")
        held = part.path
        for file in spool.directory.iterdir():
            os.utime(file, (0, 0))
        # What the receiver of notifications keeps beside them is its own.
        (spool.directory / "hooks").mkdir()
        os.utime(spool.directory / "hooks", (0, 0))
        begun_later = spool.directory / "young.part"
        begun_later.write_bytes(b"")
        assert spool.sweep(3600) == 3
        left = {file.name for file in spool.directory.iterdir()}
        assert left == {held.name, "held.json", "young.part", "hooks"}
    assert not old.exists()
    os.utime(held, (0, 0))
    assert spool.sweep(3600) == 2
    assert Spool(spool.directory / "absent", 0).sweep(0) == 0


def free(disk: Path) -> int:
    """The bytes that are free on a disk."""
    state = os.statvfs(disk)
    return state.f_bavail * state.f_frsize


def test_a_new_part_that_another_process_locks_first_is_left_to_it(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that removes parts can lock a new part first; the caller gets another."""
    flock, refused = fcntl.flock, list[str]()

    def contended(file: int, operation: int) -> None:
        name = str(Path(f"/proc/self/fd/{file}").readlink())
        if "~" in name and not refused:
            refused.append(name)
            raise BlockingIOError
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", contended)
    with spool.part("a"), spool.part("a") as part:
        assert refused
        assert str(part.path) not in refused


def test_a_cleanup_that_fails_does_not_hide_the_error(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that fails says why the download failed, not that it could not be looked at."""

    def stale(_: Path) -> bool:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with pytest.raises(NoSpace), spool.part("a"):  # noqa: PT012
        monkeypatch.setattr(Path, "exists", stale)
        raise NoSpace("a", "the disk is full")
