"""What a healthy archive holds is never called gone: files of every format, a day without calls."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive import paths as archive_paths
from archive.audio.detection import ENDINGS
from archive.store.directory import DirectoryStore
from ledger.core import states
from ledger.ledger import Ledger
from tasks.archive_watch import presence

from .archives import overwrite
from .hostile_archives import nested
from .ledgers import running

DAY = date(2026, 11, 20)
OTHER = DAY + timedelta(days=1)


class Kept:
    """An archive in a folder, and a ledger in which an export of a day has put it there."""

    def __init__(self, ledger: Ledger, root: Path) -> None:
        self.ledger, self.store = ledger, DirectoryStore(root)
        self.job, self.lease = running(
            ledger,
            f"day:{DAY}#1",
            kind="export.run",
            parameters={"day": DAY.isoformat(), "folder_day": DAY.isoformat()},
        )
        self.folder = archive_paths.export_folder("india", DAY, self.job.job_id)

    def single(self, name: str, ending: str, day: date = DAY, content: bytes = b"sound") -> str:
        """A recording fetched singly, of which the ledger knows the metadata; its audio's path."""
        path = archive_paths.recording_path("india", day, name, ending)
        beside = archive_paths.recording_json_path("india", day, name)
        self.store.create(path, content)
        self.store.create(beside, f'{{"path": "{path}"}}'.encode())
        self.chained(beside)
        return path

    def chained(self, path: str) -> None:
        """The file is put under the chain for this job."""
        entry = {"path": path, "sha256": "0" * 64}
        self.ledger.outbox.owe(self.job.job_id, "india", "chain", entry)

    def sealed(self, lines: bytes = b"") -> str:
        """The run's end, with this list; the list's path."""
        manifest = archive_paths.manifest_path(self.folder)
        self.store.create(archive_paths.recordings_path(self.folder), lines)
        self.store.create(manifest, b"{}")
        self.chained(manifest)
        result: Mapping[str, Any] = {"manifest": manifest, "listed": 0, "archived": 0, "missing": 0}
        self.ledger.execution.finish(self.lease, states.DONE, result=dict(result))
        return archive_paths.recordings_path(self.folder)

    def gone(self) -> set[str]:
        """What three ways of asking call gone, which must agree."""
        found = presence.gone(self.store, self.ledger, "india")
        assert (found.receipts, found.others) == ({}, {})
        assert found.days.keys() <= {DAY}
        of_day = presence.gone_of_day(self.store, self.ledger, "india", DAY)
        of_job = presence.gone_of_job(
            self.store, self.ledger, self.ledger.jobs.job(self.job.job_id)
        )
        assert found.days.get(DAY, set()) == of_day == of_job
        return of_day


@pytest.fixture
def kept(ledger: Ledger, tmp_path: Path) -> Kept:
    """A run that has not ended, and an empty archive."""
    return Kept(ledger, tmp_path / "archive")


def test_a_day_without_recordings_is_whole(kept: Kept) -> None:
    """Its list is an empty file. Without the list it is not whole."""
    path = kept.sealed()
    assert kept.store.size(path) == 0
    assert kept.gone() == set()
    (kept.store.root / path).unlink()
    assert kept.gone() == {path}


def test_audio_of_every_format_is_there(kept: Kept) -> None:
    """Whatever its ending; removed or emptied, it is named as its metadata names it."""
    paths = [kept.single(f"r{number}", ending) for number, ending in enumerate(ENDINGS)]
    kept.sealed()
    assert kept.gone() == set()
    for path in paths[::2]:
        (kept.store.root / path).unlink()
    for path in paths[1::2]:
        overwrite(kept.store, path, b"")
    assert kept.gone() == set(paths)


def test_names_that_begin_alike_are_told_apart(kept: Kept) -> None:
    """Ids have dots, and a later one does not stand in for an earlier."""
    first, second = kept.single("a", "wav"), kept.single("a.b", "flac")
    third = kept.single("a-b", "mp3")
    kept.sealed()
    assert kept.gone() == set()
    (kept.store.root / first).unlink()
    assert kept.gone() == {first}
    (kept.store.root / second).unlink()
    (kept.store.root / third).unlink()
    assert kept.gone() == {first, second, third}


def test_a_recording_under_another_day_is_found_there(kept: Kept) -> None:
    """The account's time zone may have been another one when it was fetched."""
    path = kept.single("r1", "mp3", OTHER)
    kept.sealed()
    assert kept.gone() == set()
    (kept.store.root / path).unlink()
    assert kept.gone() == {path}


def test_what_others_put_among_the_files_hides_nothing(kept: Kept) -> None:
    """Names that are no text, links that lead nowhere, folders with the names of files."""
    path = kept.single("r1", "mp3")
    list_ = kept.sealed()
    folder = kept.store.root / path.rpartition("/")[0]
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.mp3")).write_bytes(b"x")
    (folder / "r2.mp3").symlink_to("r2.mp3")
    (folder / "r3.mp3").mkdir()
    nested(kept.store, "n" * 200, 30, path.rpartition("/")[0])
    try:
        assert kept.gone() == set()
    finally:
        # Nothing of Python removes folders that are nested so deep.
        subprocess.run(["rm", "-rf", folder / ("n" * 200)], check=True)
    for one in (path, list_):
        (kept.store.root / one).unlink()
        (kept.store.root / one).mkdir()
    assert kept.gone() == {path, list_}


def test_audio_and_metadata_that_are_both_gone_are_both_named(kept: Kept) -> None:
    """Of the audio nobody knows the format any more."""
    path = kept.single("r1", "ogg")
    kept.sealed()
    beside = archive_paths.metadata_path(path)
    for one in (path, beside):
        (kept.store.root / one).unlink()
    assert kept.gone() == {beside, path.removesuffix("ogg") + "*"}


def test_a_link_within_the_archive_is_the_file_it_leads_to(kept: Kept) -> None:
    """Programs that save space put one in the place of a second copy; readers follow it."""
    first, second = kept.single("r1", "mp3"), kept.single("r2", "mp3")
    kept.sealed()
    whole = kept.store.root / second
    whole.unlink()
    whole.symlink_to((kept.store.root / first).name)
    assert kept.store.size(second) == 5
    assert dict(kept.store.sizes())[second] == 5
    assert kept.gone() == set()
    (kept.store.root / first).unlink()
    assert kept.gone() == {first, second}
    (kept.store.root / first).symlink_to(second)
    assert kept.gone() == {first, second}
