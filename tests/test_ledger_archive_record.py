"""What a ledger knows of its archive: how long the chains are, and which days lack files."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import insert

from ledger.core import schema, states
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.core.schema import days
from ledger.days import Day
from ledger.ledger import Ledger

from .ledger_calls import owed
from .ledgers import QUEUE, opened, pass_time, running

DAY = date(2026, 11, 20)
NEXT = DAY + timedelta(days=1)


def a_day(ledger: Ledger, day: date = DAY, state: str = states.DAY_COMPLETE) -> None:
    """A day that was archived."""
    row: dict[str, Any] = dict.fromkeys(Day.__dataclass_fields__)
    row |= {"account": "india", "day": day, "window_start": 0.0, "window_end": 1.0}
    row |= {"filters": {}, "settle_seconds": 0, "timezone": "UTC", "state": state}
    row |= {"generation": 1, "listings": 2, "completed_by": "a job", "manifest": "m1"}
    ledger.database.write(lambda connection: connection.execute(insert(days).values(**row)))


def state(ledger: Ledger, day: date = DAY) -> str:
    """The state of a day."""
    (row,) = ledger.days.of("india", day, day)
    return row.state


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """The causes that people were told of, and whether they opened or are over."""
    return [(one["cause"], one["state"]) for one in owed(ledger, "alert")]


def reopened(ledger: Ledger, day: date = DAY) -> Job:
    """The job of the next generation of a day."""
    (row,) = ledger.days.of("india", day, day)
    job, _ = ledger.days.open(
        row,
        night=NEXT,
        request_for=lambda found: Request(
            kind="export.run",
            account="india",
            request_id=f"day:{found.day}#{found.generation}",
            parameters={"day": found.day.isoformat()},
            queue=QUEUE,
        ),
        by="test",
    )
    return job


def completed(ledger: Ledger, job: Job) -> None:
    """The job ends well."""
    lease = ledger.execution.claim(job.job_id)
    assert lease is not None
    result = {"manifest": "m2", "listed": 1, "archived": 1, "missing": 0}
    ledger.execution.finish(lease[1], states.DONE, result=result)


def test_a_chain_only_grows(ledger: Ledger) -> None:
    """An older entry than is known, which a slower worker notes, changes nothing."""
    assert not ledger.archive_record.anything()
    ledger.archive_record.note_head("india", 2, "b" * 64)
    ledger.archive_record.note_head("india", 1, "a" * 64)
    ledger.archive_record.note_head("legal", 1, "c" * 64)
    found = {one.account: (one.n, one.sha256) for one in ledger.archive_record.heads().values()}
    assert found == {"india": (2, "b" * 64), "legal": (1, "c" * 64)}
    assert ledger.archive_record.anything()
    ledger.archive_record.replace({"india": (1, "a" * 64)}, by="ana", note="an older copy")
    assert {one.account: one.n for one in ledger.archive_record.heads().values()} == {"india": 1}
    last = ledger.jobs.history(ledger.identity.identity())[-1]
    assert (last["by"], last["why"]) == ("ana", "an older copy")


def test_what_is_owed_is_not_archived_yet(ledger: Ledger) -> None:
    """A receipt that waits for the disk says nothing of an archive; a written one does."""
    ledger.outbox.owe("a job", "legal", "receipt", {"number": 1})
    assert not ledger.archive_record.anything()
    (one,) = ledger.outbox.due(limit=9)
    ledger.outbox.discharged([one.id])
    assert ledger.archive_record.anything()
    assert ledger.archive_record.owe_again({"a job": [1, 2], "another": [1]}) == 1
    assert [again.id for again in ledger.outbox.due(limit=9)] == [one.id]


def test_a_stored_file_counts_before_its_chain_entry(ledger: Ledger) -> None:
    """A file is in the archive as soon as its job owes the chain entry, written or not."""
    job = opened(ledger)
    ledger.outbox.owe(job.job_id, "legal", "notify", {})
    assert not ledger.archive_record.anything()
    ledger.outbox.owe(job.job_id, "legal", "chain", {"path": "a", "sha256": "b" * 64})
    assert ledger.archive_record.anything()


def test_a_day_is_damaged_and_complete_again(ledger: Ledger) -> None:
    """Told once for days in a row, and once when it is over; found again it changes nothing."""
    for day in (DAY, NEXT, NEXT + timedelta(days=2)):
        a_day(ledger, day)
    gone = {DAY: {"a.zip"}, NEXT: {"b.zip"}, NEXT + timedelta(days=2): {"c.zip"}}
    for _ in range(2):
        broken, mended = ledger.archive_record.note_gone("india", gone)
    assert (broken, mended) == ([], [])
    assert [state(ledger, day) for day in gone] == [states.DAY_DAMAGED] * 3
    span, single = f"day:india:{DAY}..{NEXT}", f"day:india:{NEXT + timedelta(days=2)}"
    assert told(ledger) == [(span, "open"), (single, "open")]
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip"}}) == (
        [],
        [NEXT, NEXT + timedelta(days=2)],
    )
    assert told(ledger)[2:] == [(single, "resolved")]
    assert ledger.archive_record.note_gone("india", {}, day=DAY) == ([], [DAY])
    assert told(ledger)[3:] == [(span, "resolved")]
    assert ledger.archive_record.damaged() == []


def test_a_damaged_day_that_was_exported_again_does_without_what_was_lost(ledger: Ledger) -> None:
    """Another loss is damage again; and what comes back and is lost once more is, too."""
    a_day(ledger)
    ledger.archive_record.note_gone("india", {DAY: {"a.zip"}})
    completed(ledger, reopened(ledger))
    assert state(ledger) == states.DAY_COMPLETE
    assert told(ledger)[-1] == (f"day:india:{DAY}", "resolved")
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip"}}) == ([], [])
    assert ledger.archive_record.given_up("india") == {DAY: {"a.zip"}}
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip", "b.zip"}}) == ([DAY], [])
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip"}}) == ([], [DAY])
    ledger.archive_record.note_gone("india", {})
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip"}}) == ([DAY], [])


def test_an_export_of_a_damaged_day_that_fails_leaves_no_complete_day(ledger: Ledger) -> None:
    """What completed the day is gone: the failed try does not bring it back."""
    a_day(ledger)
    ledger.archive_record.note_gone("india", {DAY: {"a.zip"}})
    job = reopened(ledger)
    ledger.operator_actions.cancel(job.job_id, by="test")
    assert state(ledger) == states.DAY_INCOMPLETE


def test_a_day_that_is_not_complete_stays_so(ledger: Ledger) -> None:
    """It is no news that it lacks something; exported again, it does without what was lost."""
    a_day(ledger, state=states.DAY_INCOMPLETE)
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip"}}) == ([], [])
    assert (state(ledger), told(ledger)) == (states.DAY_INCOMPLETE, [])
    completed(ledger, reopened(ledger))
    assert ledger.archive_record.note_gone("india", {DAY: {"a.zip"}}) == ([], [])
    assert state(ledger) == states.DAY_COMPLETE


def test_one_process_in_a_day_compares(ledger: Ledger) -> None:
    """Whoever asks first."""
    assert [ledger.archive_record.take_turn(1000) for _ in range(3)] == [True, False, False]
    pass_time(ledger, 1001, schema.ledger.c.archive_checked_at)
    assert ledger.archive_record.take_turn(1000)


def test_a_retry_that_is_done_stands_in_for_what_was_lost(ledger: Ledger) -> None:
    """Not while it runs."""
    first, lease = running(ledger, "r1", kind="recording.download")
    ledger.execution.finish(lease, states.DONE, result={"path": "a.mp3"})
    again, _ = ledger.operator_actions.again(first.job_id, by="ana", note="lost", is_lost=True)
    assert ledger.archive_record.superseded({first.job_id}) == set()
    held = ledger.execution.claim(again.job_id)
    assert held is not None
    ledger.execution.finish(held[1], states.DONE, result={"path": "a.mp3"})
    assert ledger.archive_record.superseded({first.job_id, again.job_id}) == {first.job_id}
