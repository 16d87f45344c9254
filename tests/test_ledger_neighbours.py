"""What happens to one job changes its own rows, and those of no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.core.schema import call_days, calls, jobs
from ledger.daily_quota import Cap
from ledger.days import Day
from ledger.ledger import Ledger

from .ledger_calls import NO_ANSWER, NOTHING_LEFT, SAID_KO, SAID_OK, begun, everything, sending
from .ledgers import NOTIFY, QUEUE, claim_job, opened, request, running, with_parts

#: In the names of everything that the job of a test owns, and in nobody else's.
MINE = "mine"
OWN: dict[str, Any] = {"account": MINE, "queue": f"{MINE}.due"}
MANY = Cap(9, "UTC")
YESTERDAY, TODAY = date(2026, 11, 19), date(2026, 11, 20)
DONE = {"manifest": "there.json", "listed": 1, "archived": 1, "missing": 0}


def _plan(ledger: Ledger, account: str, *wanted: date) -> list[Job]:
    """The jobs of an account's days, opened by the plan of the night."""

    def day(day: date) -> Day:
        return Day(
            account=account,
            day=day,
            window_start=0,
            window_end=86400,
            filters={},
            settle_seconds=0,
            timezone="UTC",
            state=states.DAY_DUE,
            generation=0,
            job_id=None,
            manifest=None,
            counts=None,
        )

    def asked(day: Day) -> Request:
        return Request(
            kind="export.run",
            account=account,
            request_id=f"day:{day.day}#{day.generation}",
            parameters={"day": day.day.isoformat()},
            queue=OWN["queue"] if account == MINE else QUEUE,
        )

    opened = ledger.days.plan(
        account,
        [day(one) for one in wanted],
        night=date(2026, 11, 21 if account == MINE else 20),
        catchup_days=7,
        request_for=asked,
        by="plan",
    )
    return [job for job, _ in opened]


def _dies(ledger: Ledger, job: Job) -> None:
    """Let this one's worker be dead."""
    late = update(jobs).where(jobs.c.job_id == job.job_id).values(lease_until=1)
    ledger.database.write(lambda connection: connection.execute(late))
    ledger.lease_expiry.take_from_the_dead()


def _neighbours(ledger: Ledger) -> None:
    """Jobs of every state that can be left, with waiters, parts, days and what they owe."""
    for answer in (SAID_OK, SAID_KO, NO_ANSWER):
        ended, lease = sending(ledger, answer.outcome, NOTIFY, details=MANY, task_id=answer.outcome)
        ledger.calls.store_outcome(lease, answer, own_task=None)
    ledger.operator_actions.resolve(ended.job_id, placed=True, by="ana", note="seen")
    for name in ("dead", "sending"):
        died, _ = sending(ledger, name, NOTIFY, details=MANY, task_id=name)
        if name == "dead":
            _dies(ledger, died)
    begun(ledger, "begun", NOTIFY, details=MANY, task_id="begun")
    _, lease = begun(ledger, "held back", details=MANY)
    ledger.execution.postpone(lease, "held back", seconds=60)
    running(ledger, "running", task_id="running")
    _, parts = with_parts(ledger, 3, "parts")
    claim_job(ledger, parts[0].job_id)
    opened(ledger, "pending", task_id="pending")
    days = _plan(ledger, "india", YESTERDAY, TODAY)
    _, lease = claim_job(ledger, days[0].job_id)
    ledger.execution.finish(lease, states.DONE, result=DONE)


def _rows_of_others(ledger: Ledger) -> dict[str, list[str]]:
    own = {MINE, *(job.job_id for job in ledger.jobs.jobs(account=MINE))}
    return {
        table: [row for row in rows if not any(name in row for name in own)]
        for table, rows in everything(ledger).items()
    }


def _call(ledger: Ledger) -> tuple[Job, Lease]:
    return sending(ledger, "r", NOTIFY, **OWN, task_id="mine")


def _is_placed(ledger: Ledger) -> None:
    ledger.calls.store_outcome(_call(ledger)[1], SAID_OK, own_task="mine")


def _is_unsent(ledger: Ledger) -> None:
    ledger.calls.store_outcome(_call(ledger)[1], NOTHING_LEFT, own_task=None)


def _is_sent_the_next_day(ledger: Ledger) -> None:
    job, lease = begun(ledger, **OWN)
    yesterday = date(2020, 1, 1)

    def work(connection: Connection) -> None:
        mine = calls.c.job_id == job.job_id
        connection.execute(update(calls).where(mine).values(reserved_on=yesterday))
        row = {"account": MINE, "day": yesterday, "calls": 1}
        connection.execute(insert(call_days).values(row))

    ledger.database.write(work)
    ledger.calls.send(lease, MANY)


def _dies_and_is_decided(ledger: Ledger) -> None:
    job, lease = _call(ledger)
    _dies(ledger, job)
    ledger.operator_actions.resolve(job.job_id, placed=False, by="ana", note="not seen")
    ledger.calls.store_outcome(lease, SAID_OK, own_task=None)


def _dies_five_times(ledger: Ledger) -> None:
    job = opened(ledger, **OWN, task_id="mine")
    for _ in range(5):
        claim_job(ledger, job.job_id)
        _dies(ledger, job)
    ledger.operator_actions.again(job.job_id, by="ana", note="once more")


def _is_cancelled(ledger: Ledger) -> None:
    job, _ = begun(ledger, "held", **OWN)
    ledger.operator_actions.cancel(job.job_id, by="ana")
    _dies(ledger, job)
    ledger.operator_actions.cancel(opened(ledger, "open", **OWN).job_id, by="ana")


def _is_put_off_and_done(ledger: Ledger) -> None:
    asked = request(**OWN, task_id="mine")
    job, hint_no = ledger.opening.open(asked, by="test")
    held = ledger.execution.claim(job.job_id, hint_no)
    assert held is not None
    lease = held[1]
    ledger.execution.note(lease, {"page": 1})
    lease.transfer = {"bytes": 1}
    ledger.leases.renew()
    ledger.execution.postpone(lease, "not yet", seconds=0)
    ledger.execution.finish(claim_job(ledger, job.job_id)[1], states.DONE, result={})
    ledger.waiters.mark_answered("mine")


def _has_parts(ledger: Ledger) -> None:
    parent, lease = running(ledger, kind="export.run", **OWN)
    part = request("part", kind="export.retrieve", **OWN, parent_id=parent.job_id)
    ((job, _),) = ledger.execution.await_parts(lease, [part], work={}, queue=OWN["queue"])
    ledger.execution.finish(claim_job(ledger, job.job_id)[1], states.DONE)


def _has_days(ledger: Ledger) -> None:
    for end in (states.DONE, states.FAILED):
        for job in _plan(ledger, MINE, YESTERDAY, TODAY):
            _, lease = claim_job(ledger, job.job_id)
            ledger.execution.finish(lease, end, result=DONE)
    ledger.days.mark_deleted(MINE, TODAY)


HAPPENS = {
    scene.__name__.strip("_"): scene
    for scene in (
        _is_placed,
        _is_unsent,
        _is_sent_the_next_day,
        _dies_and_is_decided,
        _dies_five_times,
        _is_cancelled,
        _is_put_off_and_done,
        _has_parts,
        _has_days,
    )
}


@pytest.mark.parametrize("what", HAPPENS)
def test_nobody_elses_rows_change(open_ledger: Callable[..., Ledger], what: str) -> None:
    """Whatever becomes of one job: calls, exports, days, waiters, counters, notifications and the
    history of all others are as before, and nothing is added to them.
    """
    # Leases so long that their renewal, by a clock, does not come between.
    here, there = (open_ledger(lease_seconds=3600) for _ in range(2))
    _neighbours(there)
    before = _rows_of_others(there)
    HAPPENS[what](here)
    assert _rows_of_others(there) == before
