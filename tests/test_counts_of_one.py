"""What people read about one thing says so: ``1 call needs``, not ``1 calls need``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archive import paths as archive_paths
from config.settings import ROOT
from ledger.core import states
from providers.interface import ExportProgress
from tasks.exports.progress import in_words
from tasks.rebuild.backup_check import describe

from .archives import DAY, Builder, age
from .certified_calls import call_house
from .deployment import Deployment
from .simulators import Simulators
from .waiting import eventually

RECEIPT = "legal/certified-calls/2026/11/0b5e.json"
MANIFEST = "india/exports/2026/11/20/0b5e/manifest.json"


def test_one_undecided_call_is_told_as_one(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path
) -> None:
    """By ``doctor``, by ``backup``, and by the ``rebuild`` of a ledger that was lost."""
    calls = call_house(deploy, simulators)
    house = calls.house
    calls.platform.fault("call", "answer", status=500, body="empty", when="after")
    worker = house.worker()
    with house.producer() as app:
        calls.ask(app, "r1").get(timeout=60, propagate=False)
    calls.in_state("r1", states.NEEDS_DECISION)
    eventually(lambda: not house.ledger.outbox.waiting(), what="something is owed")
    said = house.run("doctor").stdout
    assert "decisions: 1 waits for a person's decision, " in said
    assert "whether this paid call was placed is unknown, and it is not retried" in said
    kept = house.run("backup", "--to", str(tmp_path / "backup")).stdout
    assert "  ledger.sqlite3: 1 job, 0 days, 1 certified call\n" in kept
    assert "  heads.json: 1 chain\n" in kept

    worker.kill()
    house.without_ledger()
    for path in house.folder.glob("ledger.sqlite3*"):
        path.unlink()
    rebuilt = house.run("rebuild").stdout
    assert "\n1 call needs a decision: see earwitness status\n" in rebuilt


def test_one_problem_in_one_file_is_told_as_one(tmp_path: Path) -> None:
    """By ``verify``, in its last line."""
    builder = Builder(tmp_path)
    builder.store.create(archive_paths.receipt_path("legal", DAY, "0b5e", 1), b"{}")
    age(builder.store)
    command = [sys.executable, "-m", "worker", "verify", str(builder.root)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "verify: 1 problem in 1 file, 2 bytes"


@pytest.mark.parametrize(
    ("unknown", "counts"),
    [
        ([RECEIPT], "holds 1 receipt and 0 manifests of jobs"),
        ([MANIFEST], "holds 0 receipts and 1 manifest of jobs"),
        ([MANIFEST, RECEIPT, RECEIPT], "holds 2 receipts and 1 manifest of jobs"),
    ],
)
def test_one_file_that_an_old_ledger_does_not_know_is_told_as_one(
    unknown: list[str], counts: str
) -> None:
    """Each kind by its own number."""
    assert counts in describe(unknown)


@pytest.mark.parametrize(
    ("completed", "total", "words"),
    [
        (0, 1, "0 of 1 file, status s"),
        (1, 4, "1 of 4 files, status s"),
        (1, None, "1 file, status s"),
        (0, None, "0 files, status s"),
    ],
)
def test_the_one_file_of_an_export_is_told_as_one(
    completed: int, total: int | None, words: str
) -> None:
    """The noun follows the number next to it."""
    found = ExportProgress("s", is_ready=False, files_completed=completed, files_total=total)
    assert in_words(found) == words
