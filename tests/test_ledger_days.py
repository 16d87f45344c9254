"""Days: each account's calendar days, planned once, looked at again, and never silently missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any

from ledger.core import states
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.core.schema import jobs
from ledger.days import Day
from ledger.ledger import Ledger

from .ledgers import QUEUE, answer_lost, at_once, claim_job, in_processes, pass_time

OpenLedger = Callable[..., Ledger]

FIRST = date(2026, 11, 20)
COUNTS = {"listed": 3, "archived": 3, "missing": 0}


def _night(after: int, day: date = FIRST) -> date:
    """The night that is so many days after a day."""
    return day + timedelta(days=after)


def _day(day: date = FIRST, **given: Any) -> Day:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    planned = Day(
        account="india",
        day=day,
        window_start=start,
        window_end=start + 86400,
        filters={"call_direction": "INBOUND"},
        settle_seconds=7200,
        timezone="UTC",
        state=states.DAY_DUE,
        generation=0,
        job_id=None,
        manifest=None,
        counts=None,
    )
    return replace(planned, **given)


def _request(day: Day) -> Request:
    return Request(
        kind="export.run",
        account=day.account,
        request_id=f"day:{day.day}#{day.generation}",
        parameters={"day": day.day.isoformat(), "generation": day.generation},
        queue=QUEUE,
    )


def _plan(ledger: Ledger, night: date, *wanted: Day, catchup_days: int = 7) -> list[str]:
    """The request ids of what this night's plan opens."""
    opened = ledger.days.plan(
        "india",
        list(wanted),
        night=night,
        catchup_days=catchup_days,
        request_for=_request,
        by="nightly plan",
    )
    assert all(number is not None for _, number in opened)
    return [job.request_id for job, _ in opened]


def _ask(ledger: Ledger, day: Day, night: date) -> tuple[Job, int | None]:
    """What somebody gets who asks for a day by hand."""
    return ledger.days.open(day, night=night, request_for=_request, by="operator")


def _row(ledger: Ledger, day: date = FIRST) -> Day:
    (row,) = ledger.days.of("india", day, day)
    return row


def _end(
    ledger: Ledger, state: str = states.DONE, *, missing: int | None = 0, day: date = FIRST
) -> None:
    """End the newest generation of a day; ``missing`` None: it came to no manifest."""
    row = _row(ledger, day)
    assert row.job_id is not None
    _, lease = claim_job(ledger, row.job_id)
    result = {"manifest": f"m{row.generation}", "listed": 3, "archived": 3, "missing": missing}
    ledger.execution.finish(lease, state, result=None if missing is None else result)


def test_a_day_is_planned_and_opened(ledger: Ledger) -> None:
    """The plan inserts the day as it was configured and opens its first generation."""
    assert ledger.days.newest("india") is None
    assert _plan(ledger, _night(1), _day()) == ["day:2026-11-20#1"]
    row = _row(ledger)
    assert row == _day(state=states.DAY_RUNNING, generation=1, job_id=row.job_id)
    assert row.job_id is not None
    assert ledger.jobs.job(row.job_id).state == states.PENDING
    assert ledger.days.newest("india") == FIRST


def test_a_planned_day_keeps_what_it_was_planned_with(ledger: Ledger) -> None:
    """Settings changed later change no day that is in the ledger."""
    _plan(ledger, _night(1), _day())
    _plan(ledger, _night(2), _day(filters={}, settle_seconds=0))
    assert _row(ledger).filters == {"call_direction": "INBOUND"}


def test_two_planners_at_once_open_each_day_once(open_ledger: OpenLedger) -> None:
    """Two beats in the same moment: each day is inserted once and each generation opened once."""
    ledgers = [open_ledger() for _ in range(4)]
    wanted = [_day(FIRST - timedelta(days=n)) for n in range(5)]
    opened = at_once(*[lambda one=one: _plan(one, _night(1), *wanted) for one in ledgers])
    expected = [f"day:{day.day}#1" for day in wanted]
    assert sorted(chain.from_iterable(opened)) == sorted(expected)
    assert [row.generation for row in ledgers[0].days.of("india")] == [1] * 5
    assert ledgers[0].jobs.counts() == {"pending": 5}


def _plan_five(ledger: Ledger, _: int) -> list[str]:
    return _plan(ledger, _night(1), *[_day(FIRST - timedelta(days=n)) for n in range(5)])


def test_planners_of_two_processes_open_each_day_once(ledger: Ledger, ledger_url: str) -> None:
    """The same with processes that share nothing but the ledger."""
    opened = in_processes(_plan_five, ledger_url, [1, 2, 3])
    assert len(list(chain.from_iterable(opened))) == 5
    assert ledger.jobs.counts() == {"pending": 5}


def test_a_plan_whose_answer_was_lost_opens_each_day_once(ledger: Ledger) -> None:
    """Repeated by itself it finds its own days; their hints are left to a sweeper."""
    with answer_lost(ledger):
        assert _plan(ledger, _night(1), _day()) == []
    assert _row(ledger).generation == 1
    assert ledger.jobs.counts() == {"pending": 1}
    pass_time(ledger, 31, jobs.c.hinted_at)
    assert len(ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True)) == 1


def test_a_day_is_tried_once_a_night(ledger: Ledger) -> None:
    """Beat plans every five minutes; a day that failed tonight is tried again tomorrow."""
    _plan(ledger, _night(1), _day())
    _end(ledger, states.FAILED, missing=None)
    assert _row(ledger).state == states.DAY_INCOMPLETE
    assert _plan(ledger, _night(1), _day()) == []
    assert _plan(ledger, _night(2)) == ["day:2026-11-20#2"]


def test_a_running_day_is_left_alone(ledger: Ledger) -> None:
    """A generation that is still at work the next night gets no rival."""
    _plan(ledger, _night(1), _day())
    assert _plan(ledger, _night(2)) == []


def test_missed_days_are_caught_up(ledger: Ledger) -> None:
    """After an outage every day within the catch-up is opened; older ones are visibly given up."""
    days = [_day(FIRST - timedelta(days=n)) for n in range(9)]
    wanted = [replace(d, state=states.DAY_GAVE_UP) if n >= 7 else d for n, d in enumerate(days)]
    assert len(_plan(ledger, _night(1), *wanted)) == 7
    rows = ledger.days.of("india")
    assert [row.state for row in rows] == [states.DAY_GAVE_UP] * 2 + [states.DAY_RUNNING] * 7
    assert ledger.days.of("india", first=FIRST) == [rows[-1]]
    assert ledger.days.of("india", last=rows[0].day) == [rows[0]]


def test_an_incomplete_day_is_tried_every_night_of_the_catch_up(ledger: Ledger) -> None:
    """It is opened again each night, and not beyond; then it stays visibly incomplete."""
    _plan(ledger, _night(1), _day())
    for age in range(2, 8):
        _end(ledger, states.FAILED, missing=1)
        assert _row(ledger).state == states.DAY_INCOMPLETE
        assert _plan(ledger, _night(age)) == [f"day:2026-11-20#{age}"]
    _end(ledger, states.FAILED, missing=1)
    assert _plan(ledger, _night(8)) == []
    assert _row(ledger).state == states.DAY_INCOMPLETE


def test_a_complete_day_is_listed_again_twice(ledger: Ledger) -> None:
    """On the next night and on the last of the catch-up, not on those between and after."""
    _plan(ledger, _night(1), _day())
    _end(ledger)
    assert (_row(ledger).state, _row(ledger).counts) == (states.DAY_COMPLETE, COUNTS)
    looked = []
    for age in range(1, 12):
        if _plan(ledger, _night(age)):
            looked.append(age)
            _end(ledger)
    assert looked == [2, 7]
    assert _row(ledger).state == states.DAY_COMPLETE
    assert _row(ledger).manifest == "m3"


def test_a_day_caught_up_late_is_listed_again_too(ledger: Ledger) -> None:
    """The second look comes on the night after completion, whatever the day's age then."""
    _plan(ledger, _night(4), _day())
    _end(ledger)
    assert _plan(ledger, _night(5)) == ["day:2026-11-20#2"]


def test_a_missed_second_look_is_made_up_for(ledger: Ledger) -> None:
    """No plan on the next night: the one after looks again."""
    _plan(ledger, _night(1), _day())
    _end(ledger)
    assert _plan(ledger, _night(4)) == ["day:2026-11-20#2"]


def test_a_failed_second_look_leaves_a_complete_day_complete(ledger: Ledger) -> None:
    """It was complete and its manifest stands; the next night looks again."""
    _plan(ledger, _night(1), _day())
    _end(ledger)
    _plan(ledger, _night(2))
    _end(ledger, states.FAILED, missing=None)
    row = _row(ledger)
    assert (row.state, row.manifest, row.generation) == (states.DAY_COMPLETE, "m1", 2)
    assert _plan(ledger, _night(3)) == ["day:2026-11-20#3"]


def test_a_second_look_that_finds_something_missing_is_seen(ledger: Ledger) -> None:
    """The day is incomplete then, and stays so through looks that fail, until one completes it."""
    _plan(ledger, _night(1), _day())
    _end(ledger)
    _plan(ledger, _night(2))
    _end(ledger, states.FAILED, missing=1)
    assert _row(ledger).state == states.DAY_INCOMPLETE
    _plan(ledger, _night(3))
    _end(ledger, states.FAILED, missing=None)
    row = _row(ledger)
    assert (row.state, row.manifest) == (states.DAY_INCOMPLETE, "m2")
    assert row.counts == {"listed": 3, "archived": 3, "missing": 1}
    _plan(ledger, _night(4))
    _end(ledger)
    assert (_row(ledger).state, _row(ledger).manifest) == (states.DAY_COMPLETE, "m4")


def test_a_day_asked_for_by_hand_joins_what_runs(ledger: Ledger) -> None:
    """Whoever asks for a day that runs gets its job, however often they ask."""
    job, number = _ask(ledger, _day(), _night(1))
    assert (job.request_id, number) == ("day:2026-11-20#1", 1)
    again, none = _ask(ledger, _day(), _night(1))
    assert (again.job_id, none) == (job.job_id, None)
    assert _plan(ledger, _night(1)) == []


def test_a_complete_day_asked_for_gives_what_completed_it(ledger: Ledger) -> None:
    """Also after a later look failed: the day is complete, so the answer is not a failure."""
    job, _ = _ask(ledger, _day(), _night(1))
    _end(ledger)
    assert _ask(ledger, _day(), _night(1))[0].job_id == job.job_id
    _plan(ledger, _night(2))
    _end(ledger, states.FAILED, missing=None)
    answered, number = _ask(ledger, _day(), _night(2))
    assert (answered.job_id, answered.state, number) == (job.job_id, states.DONE, None)


def test_an_incomplete_day_asked_for_is_opened_at_once(ledger: Ledger) -> None:
    """By hand it is tried again the same night, and a day given up as well, whatever its age."""
    _plan(ledger, _night(1), _day())
    _end(ledger, states.FAILED, missing=1)
    job, number = _ask(ledger, _day(), _night(1))
    assert job.request_id == "day:2026-11-20#2"
    assert number is not None
    old = _day(date(2025, 1, 1), state=states.DAY_GAVE_UP)
    _plan(ledger, _night(1), old)
    assert _ask(ledger, old, _night(1))[0].request_id == "day:2025-01-01#1"


def test_many_who_ask_at_once_get_one_generation(open_ledger: OpenLedger) -> None:
    """Planner and people in the same moment open one generation together."""
    ledgers = [open_ledger() for _ in range(4)]
    at_once(
        lambda: _plan(ledgers[0], _night(1), _day()),
        *[lambda one=one: [_ask(one, _day(), _night(1))[0].request_id] for one in ledgers[1:]],
    )
    assert _row(ledgers[0]).generation == 1
    assert ledgers[0].jobs.counts() == {"pending": 1}


def test_a_cancelled_generation_leaves_the_day_incomplete(ledger: Ledger) -> None:
    """A person's cancel ends the job; the day is shown as incomplete and not as running."""
    job, _ = _ask(ledger, _day(), _night(1))
    ledger.operator_actions.cancel(job.job_id, by="operator")
    assert _row(ledger).state == states.DAY_INCOMPLETE


def test_a_generation_whose_worker_died_five_times_leaves_the_day_incomplete(
    ledger: Ledger,
) -> None:
    """The day's end comes with the job's, whoever ends it."""
    job, _ = _ask(ledger, _day(), _night(1))
    for _ in range(5):
        claim_job(ledger, job.job_id)
        pass_time(ledger, 31, jobs.c.lease_until)
        ledger.lease_expiry.take_from_the_dead()
    assert _row(ledger).state == states.DAY_INCOMPLETE


def test_accounts_have_days_of_their_own(ledger: Ledger) -> None:
    """One account's plan opens nothing of another's."""
    _ask(ledger, _day(account="peru"), _night(1))
    assert _plan(ledger, _night(2), _day()) == ["day:2026-11-20#1"]
    assert len(ledger.days.of("peru")) == 1


def test_only_complete_days_are_deleted_at_the_provider(ledger: Ledger) -> None:
    """Complete, long enough after the last listing that found it so, and once."""
    _plan(ledger, _night(1), _day(), _day(_night(1)))
    _end(ledger)
    _end(ledger, states.FAILED, missing=1, day=_night(1))
    completed_by = _row(ledger).job_id
    assert completed_by is not None
    listed_at = ledger.jobs.job(completed_by).updated_at
    assert ledger.days.to_delete("india", listed_at - 1) == []
    assert [row.day for row in ledger.days.to_delete("india", listed_at + 1)] == [FIRST]
    ledger.days.mark_deleted("india", FIRST)
    assert ledger.days.to_delete("india", listed_at + 1) == []


def test_a_day_that_is_looked_at_again_is_not_deleted(ledger: Ledger) -> None:
    """While its second listing runs nothing of it is deleted; nor is one day with another."""
    _plan(ledger, _night(1), _day(), _day(_night(-1)))
    for day in (FIRST, _night(-1)):
        _end(ledger, day=day)
    completed_by = _row(ledger).job_id
    assert completed_by is not None
    soon = ledger.jobs.job(completed_by).updated_at + 9
    ledger.days.mark_deleted("india", _night(-1))
    assert [row.day for row in ledger.days.to_delete("india", soon)] == [FIRST]
    _plan(ledger, _night(2))
    assert ledger.days.to_delete("india", soon) == []
