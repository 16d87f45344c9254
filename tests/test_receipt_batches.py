"""Receipts are written together; one that cannot be written holds up no other."""
# ruff: noqa: F811 - the fixture `here` is imported

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update

from archive import chain
from archive.verify import verification
from ledger.core.schema import obligations
from ledger.daily_quota import Cap
from ledger.ledger import Ledger
from tasks.runtime import context
from tasks.runtime.outbox import discharge_due

from .ledger_calls import SAID_OK, sending
from .ledgers import pass_time
from .test_outbox import here  # noqa: F401 - a fixture

COUNT = 40
CAP = Cap(COUNT, "Europe/Madrid")


@pytest.fixture
def placed(here: Ledger) -> list[str]:
    """The jobs of calls that were placed and whose receipts are pending."""
    ids = []
    for number in range(COUNT):
        job, lease = sending(here, f"r{number}", parameters=_asked(number), details=CAP)
        here.calls.store_outcome(lease, SAID_OK, own_task=None)
        ids.append(job.job_id)
    return ids


def _asked(number: int) -> dict[str, Any]:
    return {"country": "ES", "phone": f"+346601112{number:02}", "max_seconds": 60}


@pytest.fixture
def commits(here: Ledger) -> Iterator[list[None]]:
    """One element for each transaction that wrote to the ledger."""
    seen: list[None] = []
    engine = here.database.engine

    def note(_connection: Any) -> None:
        seen.append(None)

    event.listen(engine, "commit", note)
    yield seen
    event.remove(engine, "commit", note)


def owed(ledger: Ledger, kind: str) -> list[tuple[str, str | None]]:
    """The jobs of what is still pending, and why."""
    c = obligations.c
    wanted = select(c.job_id, c.reason).where(c.kind == kind, c.discharged_at.is_(None))
    return ledger.database.read(
        lambda connection: [(row.job_id, row.reason) for row in connection.execute(wanted)]
    )


def discharge() -> None:
    """Discharge everything that can be discharged now, what follows from it too."""
    while discharge_due():
        pass


def paths(tmp_path: Path, job_id: str) -> list[Path]:
    """The receipts of a call in the archive."""
    return list((tmp_path / "archive").rglob(f"{job_id}*.json"))


def test_many_receipts_take_few_transactions_and_one_entry(
    here: Ledger, placed: list[str], commits: list[None], tmp_path: Path
) -> None:
    """Forty receipts are in the archive under one entry of the chain, after a number of
    transactions that does not depend on theirs.
    """
    discharge()
    assert all(len(paths(tmp_path, job_id)) == 1 for job_id in placed)
    entry = chain.read(context.store(), "legal", 1)
    assert len([one for one in entry.entries if "certified-calls" in one.path]) == COUNT
    assert list(chain.numbers(context.store(), "legal")) == [1]
    assert list(verification.chains(context.store())) == []
    assert owed(here, "receipt") == owed(here, "chain") == []
    assert len(commits) < 10


def test_bad_receipts_stay_owed_alone(here: Ledger, placed: list[str], tmp_path: Path) -> None:
    """Of one call the path holds other bytes, of one the job is gone, of one the payload cannot be
    read, of one it is from another time: these four stay pending, each with its reason, and all
    others are written and chained.
    """
    discharge_one(here, placed[0])
    (taken,) = paths(tmp_path, placed[0])
    taken.chmod(0o644)
    taken.write_bytes(b"something else")
    c = obligations.c
    receipt = c.kind == "receipt"
    changes = (
        update(obligations)
        .where(receipt, c.job_id == placed[0])
        .values(discharged_at=None, due_at=0, attempts=0),
        update(obligations).where(receipt, c.job_id == placed[1]).values(job_id="gone"),
        update(obligations).where(receipt, c.job_id == placed[2]).values(payload={}),
        update(obligations)
        .where(receipt, c.job_id == placed[3])
        .values(payload={"number": 1, "sent_at": 1e18, "outcome": "placed"}),
    )
    here.database.write(lambda connection: [connection.execute(one) for one in changes])
    discharge()
    reasons = dict(owed(here, "receipt"))
    assert reasons.keys() == {placed[0], "gone", placed[2], placed[3]}
    assert all(reasons.values())
    assert "contradicts the ledger" in str(reasons[placed[0]])
    assert owed(here, "chain") == []
    covered = {
        one.path
        for number in chain.numbers(context.store(), "legal")
        for one in chain.read(context.store(), "legal", number).entries
    }
    for job_id in placed[4:]:
        (path,) = paths(tmp_path, job_id)
        assert str(path.relative_to(tmp_path / "archive")) in covered
    assert any("contradicts the ledger" in one["message"] for one in here.alerts.all_open())


def discharge_one(ledger: Ledger, job_id: str) -> None:
    """Discharge what one job owes, and nothing else."""
    c = obligations.c
    later = update(obligations).where(c.job_id != job_id)
    ledger.database.write(
        lambda connection: connection.execute(later.values(due_at=c.due_at + 3600))
    )
    discharge()
    pass_time(ledger, 3600, c.due_at)


def test_an_archive_that_is_away_is_asked_a_few_times_only(
    here: Ledger, placed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The archive's place is gone after the first receipt: all others stay pending with that
    reason, which is logged once, and are written once it is back.
    """
    discharge_one(here, placed[0])
    archive = tmp_path / "archive"
    archive.rename(tmp_path / "elsewhere")
    discharge_due()
    waiting = owed(here, "receipt")
    assert len(waiting) == COUNT - 1
    assert len({reason for _, reason in waiting}) == 1
    assert caplog.text.count("receipt of legal is pending") == 1
    (tmp_path / "elsewhere").rename(archive)
    pass_time(here, 60, obligations.c.due_at)
    discharge()
    assert owed(here, "receipt") == owed(here, "chain") == []
    assert all(len(paths(tmp_path, job_id)) == 1 for job_id in placed)
