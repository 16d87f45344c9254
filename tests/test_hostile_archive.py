"""An archive that somebody filled to do harm: every reader ends with a sentence, soon, in little
memory, and names the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from archive import chain
from archive.documents import reading
from archive.documents.chain_entry import Covered
from archive.documents.manifest import latest
from archive.errors import ArchiveError, Damaged
from archive.search import search, search_index
from archive.store.directory import DirectoryStore
from archive.verify import verification
from config.settings import ROOT

from .archive_kinds import made
from .archives import DAY, Builder, age, recording, zipped
from .hostile_archives import (
    DEEP,
    GIB,
    HOSTILE,
    LIST,
    METADATA,
    long_line,
    nested,
    put,
    resum,
    sparse,
)

#: Verifies and searches, and prints what was found and how much memory the process took at most.
PROGRAM = """
import json, sys
from pathlib import Path
from archive.search import search
from archive.verify import verification
from archive.store.directory import DirectoryStore
from tests.peak_memory import peak_mb

store = DirectoryStore(Path(sys.argv[1]))
report = verification.verify(store)
found, damage = search.found(store)
print(json.dumps([[problem.path for problem in report.problems], str(damage), peak_mb()]))
"""
#: MB, of which Python itself and its libraries are the most.
MOST_MEMORY = 250


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    """An export, a recording that was fetched singly for it, one that is missing."""
    made_one = made("exports_with_singles", tmp_path)
    yield made_one
    # Nothing of Python removes folders that are nested so deep.
    subprocess.run(["rm", "-rf", made_one.root], check=True)


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_stands_there_is_named(what: str, store: DirectoryStore, tmp_path: Path) -> None:
    """A verification names the file; a search, an extraction, a look for the newest manifest and
    another entry of the chain end as they should, or with an error that names a file.
    """
    change, named = HOSTILE[what]
    change(store)
    age_plain(store)
    report = verification.verify(store)
    shown = [str(problem) for problem in report.problems + report.notes]

    assert any(named in line for line in shown), shown
    assert all(line.isprintable() and len(line) < 6000 for line in shown)
    hits_found, damage = search.found(store)
    assert damage is None or isinstance(damage, ArchiveError | OSError)
    assert all(isinstance(hit, search_index.SearchResult) for hit in hits_found)
    for attempt in (
        lambda: search.extract(store, "101", tmp_path / "to"),
        lambda: search.extract(store, "102", tmp_path / "to"),
        lambda: latest(store, "india", DAY),
        lambda: chain.append(store, "india", [Covered("india/x", "a" * 64)]),
        lambda: chain.covers(store, "india", Covered("india/x", "b" * 64)),
    ):
        with suppress(ArchiveError, OSError):
            attempt()


def age_plain(store: DirectoryStore) -> None:
    """Let everything be old that can be reached by a path."""
    try:
        age(store)
    except (OSError, RecursionError):
        for path in (store.root / "india/chain").iterdir():
            os.utime(path, (0, 0))


def test_it_takes_little_memory(store: DirectoryStore) -> None:
    """Files of 20 GB in every place of a small one, and a line of 200 MB."""
    long_line(store)
    for path in (
        "india/chain/00000009.json",
        "india/certified-calls/2026/11/x.json",
        "india/exports/2026/11/21/x/manifest.json",
        "india/recordings/2026/11/21/x.json",
        "ledger.json",
    ):
        sparse(path, 20 * GIB)(store)
    age(store)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, store.root],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    problems, damage, most = json.loads(done.stdout)

    assert {LIST, "ledger.json", "india/recordings/2026/11/21/x.json"} <= set(problems)
    assert "recordings.jsonl" in damage or "manifest.json" in damage
    assert most < MOST_MEMORY


def test_a_line_that_is_too_long_hides_no_other(store: DirectoryStore) -> None:
    """The lines behind it are read, and it is named by its number."""
    data = store.read(LIST)
    with (store.root / "long").open("wb") as file:
        file.truncate(reading.SMALL.bytes + 10)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + data)
    (store.root / LIST).unlink()
    (store.root / "long").rename(store.root / LIST)
    resum(store)
    (problem,) = [one for one in verification.verify(store).problems if one.path == LIST]

    assert "line 1 is too long" in problem.message
    assert "line 2" not in problem.message
    with pytest.raises(Damaged, match=r"recordings\.jsonl"):
        list(search.find(store))


def test_names_are_shown_without_their_characters_of_control(tmp_path: Path) -> None:
    """Line feeds, escapes, marks that turn the direction of writing, bytes that are no UTF-8: what
    is printed is one line for each file, in letters that stand still.
    """
    builder = Builder(tmp_path)
    builder.identity()
    builder.receipt("india", "call-1")
    for name in (b"a\nhead: india=0", b"\x1b[2J", "\u202egpj.3pm".encode(), b"\xff\xfe", b"\x9b"):
        (builder.root / "india/recordings").mkdir(exist_ok=True)
        (builder.root / "india/recordings" / os.fsdecode(name)).touch()
    done = subprocess.run(
        [sys.executable, "-m", "worker", "verify", str(builder.root)],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    lines = done.stdout.decode().splitlines()

    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("head: ") for line in lines) == 1
    for shown in (r"a\nhead", r"\x1b[2J", r"\u202egpj", r"\xff\xfe", r"\x9b"):
        assert any(shown in line for line in lines), (shown, lines)


def test_one_damaged_file_hides_nothing_else(store: DirectoryStore, tmp_path: Path) -> None:
    """Everything else is found and extracted; the search says at its end what it could not read."""
    put(store, "india/recordings/2026/11/20/0.json", b"{")
    put(store, "india/exports/2026/11/20/0000/manifest.json", DEEP)
    found, damage = search.found(store)

    assert [hit.line.id for hit in found] == ["101", "102", "901"]
    assert isinstance(damage, Damaged)
    assert "0000/manifest.json" in str(damage)
    assert search.extract(store, "101", tmp_path / "to")
    with pytest.raises(Damaged):
        search.extract(store, "no such recording", tmp_path / "to")
    command = [sys.executable, "-m", "worker", "find", "--archive", str(store.root)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "101" in done.stdout
    assert "manifest.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_what_may_not_be_read_is_named(store: DirectoryStore) -> None:
    """A file and a folder without permission: problems of that path, and the rest is verified."""
    (store.root / METADATA).chmod(0)
    (store.root / "india/exports/2026").chmod(0)
    program = PROGRAM.replace("store =", "import os; os.setgid(65534); os.setuid(65534)\nstore =")
    for folder in [store.root, *store.root.parents]:
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to("/tmp"):
            folder.chmod(0o755)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, store.root],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        (store.root / "india/exports/2026").chmod(0o755)
    problems, damage, _ = json.loads(done.stdout)

    assert {METADATA, "india/exports/2026"} <= set(problems)
    assert "india/exports/2026" in damage or "ermission" in damage


def test_a_chain_without_room_says_so(store: DirectoryStore) -> None:
    """A forged entry with the last number there is: an error for a person, and no endless try."""
    put(store, "india/chain/99999999.json", b"{}")
    with pytest.raises(Damaged, match="forged"):
        chain.append(store, "india", [Covered("india/x", "a" * 64)])


def test_what_has_the_name_of_the_next_entry_is_named(store: DirectoryStore) -> None:
    """A folder in its place: an error for a person, and no endless try."""
    (store.root / "india/chain/00000002.json").mkdir()
    with pytest.raises(Damaged, match="00000002"):
        chain.append(store, "india", [Covered("india/x", "a" * 64)])


def test_a_recording_that_is_not_what_it_was_stays_json(tmp_path: Path) -> None:
    """A number that JSON cannot say, should a provider send one, is kept as a text."""
    builder = Builder(tmp_path)
    builder.identity()
    builder.export("india", "1111-one", [recording(101, quality=float("nan"))], {})

    assert verification.verify(builder.store).problems == []
    (hit,) = search.find(builder.store)
    assert hit.line.fields["quality"] == "nan"


def test_what_lies_beside_a_zip_is_not_said_of_it(store: DirectoryStore) -> None:
    """A ZIP with a member that is no audio is looked up in the lists of its day: of a folder that
    cannot be listed, and of a list that cannot be read, is spoken under their own names.
    """
    day = "india/exports/2026/11/20"
    part = zipped([("index.csv", b"a;b")])
    Builder(store.root.parent, store=store).export("india", "2222-two", [], {"p-2": part})
    nested(store, "n" * 200, 30, day)
    other = store.root / day / "other"
    (other / "recordings.jsonl").mkdir(parents=True)
    (other / "x").symlink_to("x")
    (other.parent / "third").mkdir()
    (other.parent / "third" / "recordings.jsonl").symlink_to("/etc/passwd")
    named = {problem.path for problem in verification.verify(store).problems}
    assert not [path for path in named if path.endswith(".zip")]
    assert f"{day}/third/recordings.jsonl" in named
