"""A verification by several processes finds what one process finds, or says that it did not end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from archive import paths as archive_paths
from archive.store.directory import DirectoryStore, Store
from archive.verify import verification
from archive.verify.chain_index import ChainIndex
from archive.verify.inspection import Finding, Inspection
from archive.verify.manifest_claims import Manifests
from archive.verify.path_checks import PathChecks
from archive.verify.processes import cores
from archive.verify.walk import Stretch, listed, paths, stretches
from config.settings import ROOT

from .archive_kinds import made
from .archives import Builder, age, full_archive, overwrite, recording, zipped
from .hostile_archives import HOSTILE, LIST, put, sparse
from .test_command_line import HEAVY
from .test_hostile_archive import age_plain

#: Verifies an archive by this process alone and by three, and prints the most memory, in MB, that
#: any process but this one took.
MEMORY = """
import resource, sys
from pathlib import Path
from archive.store.directory import DirectoryStore
from archive.verify import verification

report = verification.verify(DirectoryStore(Path(sys.argv[1])), processes=3)
print(len(report.problems), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
MOST_MEMORY = 250
#: As many that several processes are started.
MANY = 1200
#: What is raised where a thread or a process ends while it is looked at.
GONE = (FileNotFoundError, ProcessLookupError)
several_cores = pytest.mark.skipif(cores() < 2, reason="one core: one process")


@pytest.fixture
def many(tmp_path: Path) -> DirectoryStore:
    """An archive with many small files for which nothing vouches."""
    builder = Builder(tmp_path)
    builder.identity()
    builder.receipt("india", "call-1")
    assert isinstance(builder.store, DirectoryStore)
    for number in range(MANY):
        put(builder.store, f"india/x/{number:04}", b"")
    age(builder.store)
    return builder.store


def spoil(builder: Builder) -> Store:
    """Two accounts, two exports, 120 recordings, and faults of many kinds all over them."""
    builder.identity()
    store = builder.store
    builder.export("india", "1111-one", [recording(n) for n in range(1000, 1120)], {})
    builder.export("india", "2222-two", [], {"p": zipped([("1.mp3", b"not audio")])})
    for number in range(20):
        builder.receipt("legal_es", f"call-{number}")
    present = list(store.paths())
    for place, path in enumerate(present):
        if path.startswith("india/recordings"):
            if place % 7 == 0:
                overwrite(store, path, None)
            elif place % 11 == 0:
                overwrite(store, path, b"changed")
    overwrite(store, "legal_es/chain/00000007.json", None)
    for path in ("india/exports/2026/11/20/1111-one/sub/x", "india/recordings/2026/11/20/1100.jt"):
        store.create(path, b"stray")
    age(store)
    return store


def everything(store: Store, processes: int) -> tuple[verification.Report, list[tuple[str, int]]]:
    """What is reported, and the files in the order in which they were shown."""
    seen: list[tuple[str, int]] = []
    report = verification.verify(
        store, on_file=lambda path, size: seen.append((path, size)), processes=processes
    )
    return report, seen


def in_stretches(store: Store, most: int | None) -> list[tuple[str, Finding]]:
    """Every finding, where each stretch is inspected without knowledge of any other; or by one walk
    without stretches.
    """
    accounts = sorted({archive_paths.account_of(path) for path in store.paths()} - {""})
    with ChainIndex(store, accounts, {}) as index:
        listing = listed(store, None, index)
        if most is None:
            return list(inspected(store, index, Stretch("", [], list(listing), is_last=True)))
        return [
            found
            for stretch in stretches(listing, most)
            for found in inspected(store, index, stretch)
        ]


def inspected(store: Store, index: ChainIndex, one: Stretch) -> Iterator[tuple[str, Finding]]:
    """The findings of one stretch."""
    with ExitStack() as stack:
        manifests = stack.enter_context(Manifests(store, index))
        path_checks = PathChecks(store, manifests, index)
        inspection = Inspection(store, index, manifests, path_checks)
        listing = [*one.before, *one.listed]
        walk = paths(listing, store, manifests, path_checks, one.after, is_last=one.is_last)
        for path in walk:
            yield path, inspection.inspect(path)


def children_of(pid: int) -> list[int]:
    """The processes of a verification that a process started, and none that others started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children: list[int] = []
        with suppress(*GONE):
            children = [int(child) for child in (task / "children").read_text().split()]
        for child in children:
            with suppress(*GONE):
                if b"archive.verify.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
    return found


def readers_of(path: str, pid: int) -> list[int]:
    """The processes that a process started and that have a file open now."""
    found = []
    for child in children_of(pid):
        with suppress(*GONE):
            names = [str(one.readlink()) for one in Path(f"/proc/{child}/fd").iterdir()]
            found += [child] if any(name.endswith(path) for name in names) else []
    return found


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens soon."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_several_processes_find_what_one_finds(
    new_store: Callable[[Path], Store], tmp_path: Path
) -> None:
    """In a directory and in a bucket: the same problems, notes, sums and heads, in the same order,
    and the same files shown one after the other.
    """
    store = spoil(Builder(tmp_path, new_store(tmp_path)))
    alone, shown = everything(store, 1)

    assert len(alone.problems) > 30
    assert everything(store, 3) == (alone, shown)
    heads = {"india": "0" * 64, "legal_es": alone.heads["legal_es"], "gone": "1" * 64}
    for account in (None, "legal_es"):
        several = verification.verify(store, account, heads, processes=2)
        assert several == verification.verify(store, account, heads, processes=1)


@pytest.mark.parametrize("what", [*HOSTILE, None])
def test_a_cut_anywhere_changes_no_finding(what: str | None, tmp_path: Path) -> None:
    """Any archive, however it is cut into stretches: the findings of one walk, in its order."""
    store = made("exports_with_singles", tmp_path)
    if what is not None:
        HOSTILE[what][0](store)
    # Files before the missing ones that others name, and beside them.
    put(store, "india/exports/2026/11/20/1111-one/p/x", b"")
    put(store, "india/recordings/2026/11/20/102.k", b"")
    (store.root / "india/recordings/2026/11/20/102.mp3").unlink()
    if what is None:
        (store.root / LIST).unlink()
    age_plain(store)
    try:
        whole = in_stretches(store, None)
        for most in (1, 2, 5):
            assert in_stretches(store, most) == whole
    finally:
        subprocess.run(["rm", "-rf", store.root], check=True)


def test_a_missing_file_is_found_once_wherever_the_cut_is(tmp_path: Path) -> None:
    """Each file of an archive is removed in turn; it is named where one walk names it."""
    whole = full_archive(tmp_path)
    age(whole)
    for path in list(whole.paths()):
        data = whole.read(path)
        overwrite(whole, path, None)
        assert in_stretches(whole, 1) == in_stretches(whole, None), path
        put(whole, path, data)
        os.utime(whole.root / path, (0, 0))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_verification_whose_process_dies_has_no_result(
    many: DirectoryStore, number: signal.Signals
) -> None:
    """Its processes are killed: an error that says so, and no process is left."""
    killed: list[int] = []

    def kill(*_: object) -> None:
        if not killed:
            killed.extend(children_of(os.getpid()))
            for child in killed:
                os.kill(child, number)

    with pytest.raises(ChildProcessError, match=rf"{number.name}; whether the archive is intact"):
        verification.verify(many, on_file=kill, processes=2)
    assert killed
    assert not set(killed) & set(children_of(os.getpid()))


@several_cores
@pytest.mark.parametrize(
    ("who", "number", "status"),
    [("child", signal.SIGKILL, 1), ("parent", signal.SIGINT, 130), ("parent", signal.SIGKILL, -9)],
)
def test_the_command_ends_with_all_its_processes(
    many: DirectoryStore, tmp_path: Path, who: str, number: int, status: int
) -> None:
    """A child is killed: one sentence and the status of a failure, not that the archive is whole.
    The command is interrupted, or killed: its processes end, even within a file without end.
    """
    sparse("india/x/0000", 1 << 40)(many)
    age(many)
    folder = tmp_path / "temporary"
    folder.mkdir()
    # What runs in the background, as these tests may, ignores an interrupt.
    command = ["env", "--default-signal=INT", sys.executable]
    command += ["-m", "worker", "verify", str(many.root)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        until(lambda: readers_of("india/x/0000", started.pid))
        children = children_of(started.pid)
        (reader,) = readers_of("india/x/0000", started.pid)
        os.kill(reader if who == "child" else started.pid, number)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
        out, err = started.communicate(timeout=120)
    assert (started.returncode, out) == (status, "")
    assert ("did not finish" in err) == (who == "child")
    assert "Traceback" not in err
    assert list(folder.iterdir()) == []


def test_it_takes_little_memory(many: DirectoryStore) -> None:
    """Files of 20 GB in place of small ones: no process reads one into memory."""
    for path in ("india/chain/00000009.json", "india/recordings/2026/11/21/x.json", "ledger.json"):
        sparse(path, 20 << 30)(many)
    age(many)
    command = [sys.executable, "-c", MEMORY, str(many.root)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    problems, most = map(int, done.stdout.split())
    assert problems >= 3
    assert 0 < most < MOST_MEMORY


def test_a_process_of_a_verification_loads_the_archive_alone() -> None:
    """Its start costs little: no module that knows a ledger, a queue, a network or a setting."""
    heavy = (*HEAVY, "config.settings", "worker")
    program = (
        "import sys, archive.verify.child; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_program_that_verifies_needs_no_guard(many: DirectoryStore, tmp_path: Path) -> None:
    """A script without a main guard, where the folder `archive` is an archive, runs once."""
    assert many.root == tmp_path / "archive"
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.append({str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from archive.store.directory import DirectoryStore\n"
        "from archive.verify import verification\n"
        "report = verification.verify(DirectoryStore(Path('archive')), processes=2)\n"
        "print('verified', report.files)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout == f"verified {MANY + 3}\n"


def test_a_place_without_other_processes_is_verified_alone(
    many: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python is part of another program, which cannot be started like it: the same result."""
    expected = verification.verify(many, processes=1)
    for _ in range(3):  # fewer pieces of work than processes
        assert verification.verify(many, "none", processes=4) == verification.verify(
            many, "none", processes=1
        )
    false = shutil.which("false")
    assert false is not None
    for executable in (false, "/nowhere/python", ""):
        monkeypatch.setattr(sys, "executable", executable)
        assert verification.verify(many, processes=2) == expected
