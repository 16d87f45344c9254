"""Files that the ledger vouches for are missed by their own names, whatever format they have."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from archive import paths
from archive.audio.detection import ENDINGS
from archive.store.directory import DirectoryStore
from ledger.core import states
from ledger.ledger import Ledger
from tasks.archive_watch.presence import gone

from .ledgers import running

DAY = date(2026, 11, 20)


@pytest.mark.parametrize("ending", ["mp3", "wav", "ogg", ENDINGS[-1]])
@pytest.mark.parametrize("kind", ["recording.download", "export.run"])
def test_a_recording_of_any_format_is_there_until_it_is_lost(
    ledger: Ledger, tmp_path: Path, kind: str, ending: str
) -> None:
    """Of a download the ledger knows audio and metadata, of a night's gaps the metadata alone."""
    store = DirectoryStore(tmp_path / "archive")
    audio = store.create(paths.recording_path("india", DAY, "7", ending), b"sound")
    metadata = store.create(paths.recording_json_path("india", DAY, "7"), b"{}")
    parameters = {"day": DAY.isoformat()} if kind == "export.run" else {"recording_id": "7"}
    _, lease = running(ledger, kind=kind, account="india", parameters=parameters)
    result = {} if kind == "export.run" else {"path": audio.path, "bytes": audio.bytes}
    entry = {"path": metadata.path, "sha256": metadata.sha256}
    ledger.execution.finish(lease, states.DONE, result=result, obligations=[("chain", entry)])
    assert gone(store, ledger, "india").paths() == []
    (tmp_path / "archive" / audio.path).unlink()
    assert gone(store, ledger, "india").paths() != []
