"""What touches many rows writes them in short transactions, and continues where a process died."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, insert, select, update

from ledger.core import states
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.core.schema import days, jobs
from ledger.days import Day
from ledger.ledger import Ledger

from . import forked
from .ledger_calls import begun, sending, sends
from .ledgers import QUEUE, claim_job, opened, pass_time, running, steps, with_parts

FIRST = date(2023, 3, 1)
NIGHT = date(2026, 11, 30)


class Transactions:
    """How many statements each transaction of a ledger had that committed since."""

    def __init__(self, ledger: Ledger) -> None:
        self.sizes: list[int] = []
        self._statements = 0
        event.listen(ledger.database.engine, "before_cursor_execute", self._executed)
        event.listen(ledger.database.engine, "commit", self._committed)

    def _executed(self, *_: Any) -> None:
        self._statements += 1

    def _committed(self, _connection: Any) -> None:
        self.sizes.append(self._statements)
        self._statements = 0


def _die_at_commit(ledger: Ledger, number: int) -> None:
    """Let this process die right before its commit of this number, from now on."""
    seen: list[None] = []

    def die(_connection: Any) -> None:
        seen.append(None)
        if len(seen) == number:
            os._exit(9)

    event.listen(ledger.database.engine, "commit", die)


def _dies(act: Callable[..., None], url: str, *arguments: Any) -> None:
    """Act in a process of its own, which dies by it."""
    process = forked.context.Process(target=act, args=(url, *arguments))
    process.start()
    process.join(60)
    assert process.exitcode == 9


def test_many_parts_are_cancelled_in_short_transactions(ledger: Ledger) -> None:
    """Those that wait end, those that run are told, each once; and no transaction is long."""
    parent, parts = with_parts(ledger, 60)
    held = [claim_job(ledger, part.job_id)[1] for part in parts[:5]]
    transactions = Transactions(ledger)
    cancelled = ledger.operator_actions.cancel(parent.job_id, by="ana", why="not needed")
    assert cancelled.state == states.CANCELLED
    assert len(transactions.sizes) > 6
    assert max(transactions.sizes) < 250
    found = ledger.jobs.parts(parent.job_id)
    assert [part.state for part in found].count(states.CANCELLED) == 55
    assert {part.reason for part in found if part.state == states.CANCELLED} == {"not needed"}
    assert all(part.cancel_requested for part in found)
    for lease in held:
        assert steps(ledger, lease.job_id)[-1] == ("running", "running")
        ledger.execution.finish(lease, states.CANCELLED, reason="not done: cancelled")
    assert ledger.jobs.job(parent.job_id).open_parts == 0
    before = [ledger.jobs.history(part.job_id) for part in found]
    ledger.operator_actions.cancel(parent.job_id, by="ana")
    assert [ledger.jobs.history(part.job_id) for part in found] == before


def _cancel_and_die(url: str, job_id: str) -> None:
    ledger = Ledger(url)
    _die_at_commit(ledger, 3)
    ledger.operator_actions.cancel(job_id, by="ana")


@pytest.mark.parametrize("who", ["another worker", "the same command"])
def test_a_cancel_that_died_half_way_is_finished(ledger: Ledger, ledger_url: str, who: str) -> None:
    """No worker runs a part that was left: a worker that is sent to one ends it, and so does the
    command when it is given again.
    """
    parent, parts = with_parts(ledger, 40)
    _dies(_cancel_and_die, ledger_url, parent.job_id)
    assert ledger.jobs.job(parent.job_id).state == states.CANCELLED
    found = [part.state for part in ledger.jobs.parts(parent.job_id)]
    assert 0 < found.count(states.CANCELLED) < 40
    if who == "another worker":
        for hint in ledger.wakeups.due(QUEUE, room=99, queue_is_empty=True):
            assert ledger.execution.claim(hint.job_id, hint.number) is None
    else:
        ledger.operator_actions.cancel(parent.job_id, by="ana")
    assert {part.state for part in ledger.jobs.parts(parent.job_id)} == {states.CANCELLED}
    assert ledger.jobs.job(parent.job_id).open_parts == 0
    for part in parts:
        assert [step[1] for step in steps(ledger, part.job_id)] == ["pending", "cancelled"]


def test_a_job_that_is_not_cancelled_is_taken_up_as_before(ledger: Ledger) -> None:
    """Only what was marked ends at its claim: what is not due yet waits on."""
    job, lease = running(ledger)
    ledger.execution.postpone(lease, "not ready", seconds=60)
    assert ledger.execution.claim(job.job_id) is None
    assert ledger.jobs.job(job.job_id).state == states.WAITING


def _day(day: date, state: str = states.DAY_DUE) -> Day:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    return Day("india", day, start, start + 86400, {}, 7200, "UTC", state, 0, None, None, None)


def _wanted() -> list[Day]:
    """Days of almost four years, the last thirty of which are still exported."""
    span = (NIGHT - FIRST).days
    found = [FIRST + timedelta(days=n) for n in range(span)]
    late = NIGHT - timedelta(days=30)
    return [_day(day, states.DAY_GAVE_UP if day < late else states.DAY_DUE) for day in found]


def _request(day: Day) -> Request:
    request_id = f"day:{day.day}#{day.generation}"
    return Request("export.run", "india", request_id, {"day": day.day.isoformat()}, QUEUE)


def _plan(ledger: Ledger, wanted: list[Day]) -> list[str]:
    planned = ledger.days.plan(
        "india", wanted, night=NIGHT, catchup_days=30, request_for=_request, by="nightly plan"
    )
    return [job.request_id for job, _ in planned]


def _expected() -> list[str]:
    first = NIGHT - timedelta(days=30)
    return [f"day:{first + timedelta(days=n)}#1" for n in range(30)]


def test_a_long_plan_is_written_in_short_transactions(ledger: Ledger) -> None:
    """Almost four years that nobody planned: every day has its row, thirty are opened, the oldest
    first, and two alerts name those that no night catches up on.
    """
    transactions = Transactions(ledger)
    assert _plan(ledger, _wanted()) == _expected()
    assert len(transactions.sizes) >= 8
    assert max(transactions.sizes) < 100
    assert len(ledger.days.of("india")) == (NIGHT - FIRST).days
    assert [one["cause"] for one in ledger.alerts.all_open()] == [
        "day:india:2023-03-01..2025-11-24",
        "day:india:2025-11-25..2026-10-30",
    ]
    assert _plan(ledger, []) == []


def _plan_and_die(url: str, number: int) -> None:
    ledger = Ledger(url)
    _die_at_commit(ledger, number)
    _plan(ledger, _wanted())


@pytest.mark.parametrize("commit", [1, 2, 3, 5])
def test_a_plan_that_died_half_way_is_finished_by_the_next(
    ledger: Ledger, ledger_url: str, commit: int
) -> None:
    """Each day is opened once that night, whichever plan came to it, and none is left out."""
    _dies(_plan_and_die, ledger_url, commit)
    begun = [job.request_id for job in ledger.jobs.jobs(limit=999)]
    newest = ledger.days.newest("india")
    wanted = [day for day in _wanted() if newest is None or day.day > newest]
    assert sorted(begun + _plan(ledger, wanted)) == _expected()
    assert len(ledger.days.of("india")) == (NIGHT - FIRST).days
    assert len(ledger.jobs.jobs(limit=999)) == 30


def test_days_before_one_that_is_asked_for_are_there_first(ledger: Ledger) -> None:
    """Asked for by hand, a day brings the days that the plan has not reached yet."""
    *earlier, last = _wanted()
    job, _ = ledger.days.open(last, earlier=earlier, night=NIGHT, request_for=_request, by="ana")
    assert job.request_id == f"day:{last.day}#1"
    assert len(ledger.days.of("india")) == (NIGHT - FIRST).days
    assert len(ledger.alerts.all_open()) == 2
    assert _plan(ledger, []) == _expected()[:-1]


def _begun_calls(ledger: Ledger, count: int) -> list[Lease]:
    """Calls of an account each: some are held by a worker, some wait, one is being sent."""
    leases = [begun(ledger, "call", account=f"a{n}")[1] for n in range(count)]
    for lease in leases[::2]:
        ledger.execution.postpone(lease, "not now", seconds=0)
    sending(ledger, "call", account="sends")
    return leases


def _quarantine_and_die(url: str) -> None:
    ledger = Ledger(url)
    _die_at_commit(ledger, 3)
    ledger.identity.quarantine(by="ana")


def test_a_quarantine_withholds_many_calls_in_short_transactions(ledger: Ledger) -> None:
    """Each call that has not left needs a decision; what is being sent stays; each ends once."""
    _begun_calls(ledger, 30)
    transactions = Transactions(ledger)
    ledger.identity.quarantine(by="ana")
    assert len(transactions.sizes) > 3
    assert max(transactions.sizes) < 250
    assert ledger.jobs.counts() == {states.NEEDS_DECISION: 30, states.SENDING: 1}
    assert len(ledger.alerts.all_open()) == 31


@pytest.mark.parametrize("way", ["start", "lift", "again"])
def test_a_quarantine_that_died_half_way_sends_nothing_and_is_finished(
    ledger: Ledger, ledger_url: str, way: str
) -> None:
    """The calls that it did not reach cannot be claimed, sent or found dead. The next process that
    starts withholds them; lifting the quarantine or beginning it again does so too.
    """
    leases = _begun_calls(ledger, 30)
    _dies(_quarantine_and_die, ledger_url)
    counts = ledger.jobs.counts()
    assert 0 < counts[states.NEEDS_DECISION] < 30
    pass_time(ledger, 1000, jobs.c.lease_until)
    for lease in leases:
        assert ledger.execution.claim(lease.job_id) is None
        assert sends(ledger, lease) == "LeaseLost"
    ledger.lease_expiry.take_from_the_dead()
    assert ledger.wakeups.due(QUEUE, room=99, queue_is_empty=True) == []
    if way == "start":
        ledger.identity.prepare()
    elif way == "lift":
        ledger.identity.lift(by="ana", note="compared")
    else:
        ledger.identity.quarantine(by="ana")
    assert ledger.jobs.counts() == {states.NEEDS_DECISION: 31}
    for lease in leases:
        assert [to for _, to in steps(ledger, lease.job_id)].count(states.NEEDS_DECISION) == 1


def test_an_archive_that_lost_everything_damages_its_days_with_one_alert(ledger: Ledger) -> None:
    """A thousand days at once, in few statements: the change and its one alert are one
    transaction; and so they become whole again.
    """
    first = date(2024, 1, 1)
    found = [first + timedelta(days=n) for n in range(1000)]
    names = (
        "account",
        "day",
        "window_start",
        "window_end",
        "filters",
        "settle_seconds",
        "timezone",
    )
    rows = [
        {name: getattr(_day(day), name) for name in names}
        | {"state": states.DAY_COMPLETE, "generation": 1, "listings": 2}
        for day in found
    ]
    ledger.database.write(lambda connection: connection.execute(insert(days), rows))
    transactions = Transactions(ledger)
    gone = {day: [f"india/exports/{day}.zip"] for day in found}
    assert ledger.archive_record.note_gone("india", gone) == (found, [])
    assert len(transactions.sizes) == 1
    assert transactions.sizes[0] < 20
    assert len(ledger.alerts.all_open()) == 1
    assert len(ledger.archive_record.damaged()) == 1000
    assert ledger.archive_record.note_gone("india", {}) == ([], found)
    assert ledger.alerts.all_open() == []


def test_times_of_a_clock_that_was_ahead_are_mended_in_short_transactions(ledger: Ledger) -> None:
    """However many rows it wrote, each is mended, a bounded number at a time."""
    one = opened(ledger)

    def multiply(connection: Connection) -> None:
        row = dict(connection.execute(select(*jobs.c)).one()._mapping)
        copies = [{**row, "job_id": f"job {n}", "request_id": f"again {n}"} for n in range(1_200)]
        connection.execute(insert(jobs), copies)

    ledger.database.write(multiply)
    ahead = update(jobs).values(next_attempt_at=jobs.c.next_attempt_at + 3600)
    ledger.database.write(lambda connection: connection.execute(ahead))
    transactions = Transactions(ledger)
    assert len(ledger.future_times.mend()) == 1_201
    assert len(transactions.sizes) >= 3
    assert ledger.future_times.found() == []
    count = select(func.count()).select_from(jobs).where(jobs.c.hinted_at.is_(None))
    assert ledger.database.read(lambda c: c.execute(count).scalar_one()) == 1_201
    assert ledger.execution.claim(one.job_id) is not None
