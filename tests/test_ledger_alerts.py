"""Alerts in the ledger: once a cause, in the transaction of the change that opens or closes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from ledger.alerts import Alert
from ledger.core import states
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.core.schema import alerts, obligations
from ledger.days import Day
from ledger.errors import NotPossible
from ledger.ledger import Ledger

from .ledger_calls import everything, owed, undecided
from .ledgers import (
    QUEUE,
    answer_lost,
    at_once,
    claim_job,
    ended,
    opened,
    pass_time,
    running,
    with_parts,
)

OpenLedger = Callable[..., Ledger]
REFUSED = Alert("credentials:india", "credentials", "india", "refused")


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """What people are or were told, in order: the state and the cause."""
    return [(one["state"], one["cause"]) for one in owed(ledger, "alert")]


def failed(ledger: Ledger, request_id: str = "r1", error: str = "Damaged", **given: Any) -> Job:
    """A job that was taken up and failed with this error."""
    _, lease = running(ledger, request_id, **given)
    return _fails(ledger, lease, error)


def _fails(ledger: Ledger, lease: Any, error: str, **more: Any) -> Job:
    failure = {"type": error, "message": "not done: no"}
    return ledger.execution.finish(
        lease, states.FAILED, reason="not done: no", error=failure, **more
    )


def test_a_cause_is_told_once_until_it_is_over(ledger: Ledger) -> None:
    """A repetition only counts; closing tells that it is over; then it may come again."""
    assert ledger.alerts.open(REFUSED)
    pass_time(ledger, 1, alerts.c.opened_at)
    assert not ledger.alerts.open(REFUSED)
    (row,) = ledger.alerts.all_open()
    assert (row["repeated"], row["opened_at"] < row["last_at"]) == (1, True)
    assert ledger.alerts.close(REFUSED.cause)
    assert not ledger.alerts.close(REFUSED.cause)
    assert ledger.alerts.all_open() == []
    assert ledger.alerts.open(REFUSED)
    assert [(one["state"], one["repeated"]) for one in owed(ledger, "alert")] == [
        ("open", 0),
        ("resolved", 1),
        ("open", 0),
    ]
    assert len({one["id"] for one in owed(ledger, "alert")}) == 3


def test_of_many_that_meet_it_at_once_one_tells(open_ledger: OpenLedger) -> None:
    """Four workers, one alert; four that see its end, one word of it."""
    ledgers = [open_ledger() for _ in range(4)]
    assert sorted(at_once(*[lambda x=x: x.alerts.open(REFUSED) for x in ledgers])) == [
        False,
        False,
        False,
        True,
    ]
    assert sum(at_once(*[lambda x=x: x.alerts.close(REFUSED.cause) for x in ledgers])) == 1
    assert told(ledgers[0]) == [("open", REFUSED.cause), ("resolved", REFUSED.cause)]


@pytest.mark.parametrize(
    ("kind", "error", "is_told"),
    [
        ("export.create", "Damaged", True),
        ("export.create", "Rejected", True),
        ("recording.start", "Uncertain", True),
        ("certified_call.request", "Expired", True),
        ("certified_call.request", "Rejected", False),
        ("recording.start", "Rejected", False),
        ("recording.download", "InvalidArgument", False),
    ],
)
def test_a_failure_is_told_unless_it_only_answers_its_caller(
    ledger: Ledger, kind: str, error: str, *, is_told: bool
) -> None:
    """A provider's no to what a caller asked is the caller's; other failures are people's."""
    job = failed(ledger, error=error, kind=kind)
    assert told(ledger) == [("open", f"job:{job.job_id}")] * is_told


def test_an_end_that_is_not_stored_tells_nobody(ledger: Ledger) -> None:
    """The alert is in the transaction of the end: with a lease that was lost there is neither."""
    job, lease = running(ledger)
    ledger.operator_actions.cancel(job.job_id, by="operator")
    assert ledger.execution.finish(lease, states.CANCELLED).state == states.CANCELLED
    assert told(ledger) == []
    other, lost = running(ledger, "r2")
    lost.lose()
    with pytest.raises(Exception, match="lease"):
        _fails(ledger, lost, "Damaged")
    assert (told(ledger), ledger.jobs.job(other.job_id).state) == ([], states.RUNNING)


def test_a_retry_that_succeeds_ends_the_alert_of_the_job(ledger: Ledger) -> None:
    """Retries are the same cause: one that fails counts, one that is done is its end."""
    job = failed(ledger)
    for number, state in enumerate((states.FAILED, states.DONE)):
        again, _ = ledger.operator_actions.again(job.job_id, by="ana", note="once more")
        _, lease = claim_job(ledger, again.job_id)
        ledger.execution.finish(lease, state)
        assert len(told(ledger)) == number + 1
    cause = f"job:{job.job_id}"
    assert told(ledger) == [("open", cause), ("resolved", cause)]


def test_parts_of_an_export_are_told_as_the_export(ledger: Ledger) -> None:
    """Three failed parts and their export are one alert."""
    parent, parts = with_parts(ledger, 3)
    for part in parts:
        _, lease = claim_job(ledger, part.job_id)
        _fails(ledger, lease, "Damaged")
    assert told(ledger) == []
    _, lease = claim_job(ledger, parent.job_id)
    _fails(ledger, lease, "Incomplete")
    assert told(ledger) == [("open", f"job:{parent.job_id}")]


def test_refused_credentials_are_one_cause_for_all_jobs(ledger: Ledger) -> None:
    """Jobs that end of them count; a short action that succeeds shows that they are taken again."""
    for number in range(3):
        failed(ledger, f"r{number}", "BadCredentials", kind="recording.start", account="pbx")
    ended(ledger, "r9", kind="archive.verify", account="pbx")
    ended(ledger, "r9", kind="recording.start", account="pbx")
    cause = "credentials:pbx"
    assert told(ledger) == [("open", cause), ("resolved", cause)]
    assert owed(ledger, "alert")[1]["repeated"] == 2


def test_other_damage_is_other_news(ledger: Ledger) -> None:
    """The same damage found again is told once; further damage is told, and the end of it is."""

    def verified(number: int, *problems: str, account: str = "*") -> None:
        _, lease = running(ledger, f"v{number}", kind="archive.verify", account=account)
        if problems:
            _fails(ledger, lease, "Damaged", result={"problems": list(problems)})
        else:
            ledger.execution.finish(lease, states.DONE)

    for number in range(2):
        verified(number, "a: altered")
    assert [state for state, _ in told(ledger)] == ["open"]
    verified(3, "a: altered", "b: missing")
    assert [state for state, _ in told(ledger)] == ["open", "resolved", "open"]
    verified(4, account="india")
    assert len(told(ledger)) == 3
    verified(5)
    assert [state for state, _ in told(ledger)] == ["open", "resolved", "open", "resolved"]


def test_what_differs_in_the_archive_is_its_own_cause(ledger: Ledger) -> None:
    """Another object under a name is told as the contradiction that it is, not as a failed job."""
    for number in range(2):
        _, lease = running(ledger, f"r{number}")
        _fails(ledger, lease, "Damaged", contradicts="india/a.zip")
    assert told(ledger) == [("open", "contradiction:archive:india/a.zip")]


def test_a_collection_is_told_unless_its_start_was(ledger: Ledger) -> None:
    """A start that failed says it all; else the recording that is lost is told."""
    for number, (state, expected) in enumerate(((states.FAILED, 0), (states.DONE, 1))):
        start = ended(ledger, f"s{number}", state, kind="recording.start", account="office")
        before = len(told(ledger))
        parameters = {"call_id": "1", "start_job_id": start.job_id}
        job = failed(
            ledger, f"c{number}", "Rejected", kind="recording.collect", parameters=parameters
        )
        assert told(ledger)[before:] == [("open", f"job:{job.job_id}")] * expected


def _day(number: int, state: str = states.DAY_DUE) -> Day:
    day = date(2026, 11, number)
    return Day("india", day, 0, 86400, {}, 0, "UTC", state, 0, None, None, None)


def _generation(day: Day) -> Request:
    return Request(
        kind="export.run",
        account=day.account,
        request_id=f"day:{day.day}#{day.generation}",
        parameters={"day": day.day.isoformat()},
        queue=QUEUE,
    )


def _plan(ledger: Ledger, night: int, *wanted: Day) -> list[Job]:
    opened = ledger.days.plan(
        "india",
        list(wanted),
        night=date(2026, 11, night),
        catchup_days=7,
        request_for=_generation,
        by="nightly plan",
    )
    return [job for job, _ in opened]


def test_an_incomplete_day_is_told_once_over_its_nights(ledger: Ledger) -> None:
    """Three nights with the same incomplete day are one alert; the fourth completes it."""
    for night in (11, 12, 13, 14):
        (job,) = _plan(ledger, night, _day(10))
        _, lease = claim_job(ledger, job.job_id)
        if night < 14:
            _fails(ledger, lease, "Incomplete")
        else:
            result = {"manifest": "m", "listed": 1, "archived": 1, "missing": 0}
            ledger.execution.finish(lease, states.DONE, result=result)
    cause = "day:india:2026-11-10"
    assert told(ledger) == [("open", cause), ("resolved", cause)]
    assert owed(ledger, "alert")[1]["repeated"] == 2
    assert "day 2026-11-10 of account india" in owed(ledger, "alert")[0]["message"]


def test_days_that_nobody_catches_up_are_told_together(ledger: Ledger) -> None:
    """One alert for the days that an outage left behind, however often they are planned."""
    for _ in range(2):
        _plan(ledger, 30, *(_day(n, states.DAY_GAVE_UP) for n in (10, 11, 12)))
    assert told(ledger) == [("open", "day:india:2026-11-10..2026-11-12")]
    assert "--from 2026-11-10 --to 2026-11-12" in owed(ledger, "alert")[0]["message"]


def test_a_cause_is_told_in_order(ledger: Ledger) -> None:
    """That something is over is not due before it was told that it is there."""
    job = opened(ledger)
    for cause, state in (("a", "open"), ("a", "resolved"), ("b", "open")):
        ledger.outbox.owe(job.job_id, "india", "webhook", {"cause": cause, "state": state})
    assert ledger.outbox.due(limit=9) == []

    def due() -> list[tuple[str, str]]:
        pass_time(ledger, 3600, obligations.c.due_at)
        found = ledger.outbox.due(limit=9, webhooks=True)
        ids.extend(one.id for one in found)
        return [(one.payload["cause"], one.payload["state"]) for one in found]

    ids: list[int] = []
    assert due() == due() == [("a", "open"), ("b", "open")]
    ledger.outbox.discharged(ids)
    assert due() == [("a", "resolved")]


def _close(ledger: Ledger, cause: str, by: str = "ana") -> dict[str, Any]:
    return ledger.alerts.close_by_hand(cause, by=by, note="seen \0 by all")


def _stored(ledger: Ledger, cause: str) -> tuple[Any, ...]:
    """Whether a cause is closed, by whom and why, as its row has it."""
    wanted = select(alerts.c.closed_at, alerts.c.closed_by, alerts.c.closed_note)
    found = wanted.where(alerts.c.cause == cause)
    row = ledger.database.read(lambda connection: connection.execute(found).one())
    return row.closed_at is not None, row.closed_by, row.closed_note


@pytest.mark.parametrize(
    "cause",
    [
        "credentials:india",
        "day:india:2026-11-01..2026-11-03",
        "day:india:2026-11-04",
        "job:4711",
        "verification:*:0123456789abcdef",
        "contradiction:archive:india/a.zip",
    ],
)
def test_a_person_closes_it_with_a_word_that_is_kept(ledger: Ledger, cause: str) -> None:
    """Who and why stand in the row and in what people are told. Met again it is a new alert that
    knows nothing of it, nor does its end when it ends by itself.
    """
    alert = Alert(cause, cause.partition(":")[0], "india", "it is wrong")
    ledger.alerts.open(alert)
    ledger.alerts.open(alert)
    row = _close(ledger, cause)
    assert (row["cause"], row["closed_by"], row["closed_note"]) == (
        cause,
        "ana",
        "seen \ufffd by all",
    )
    assert _stored(ledger, cause) == (True, "ana", "seen \ufffd by all")
    assert ledger.alerts.open(alert)
    assert _stored(ledger, cause) == (False, None, None)
    (open_again,) = ledger.alerts.all_open()
    assert open_again["repeated"] == 0
    assert ledger.alerts.close(cause)
    assert _stored(ledger, cause) == (True, None, None)
    said = [
        (one["state"], one.get("closed_by", "-"), one.get("note", "-"))
        for one in owed(ledger, "alert")
    ]
    assert said == [
        ("open", "-", "-"),
        ("resolved", "ana", "seen \ufffd by all"),
        ("open", "-", "-"),
        ("resolved", None, None),
    ]


def test_what_is_not_open_is_not_closed(ledger: Ledger) -> None:
    """A cause that never was, one that ended by itself, one that somebody closed: each refusal says
    which, and nothing is changed.
    """
    for cause in ("credentials:a", "credentials:b"):
        ledger.alerts.open(Alert(cause, "credentials", cause[-1], "refused"))
    ledger.alerts.close("credentials:a")
    _close(ledger, "credentials:b", by="eva")
    before = everything(ledger)
    for cause, said in (
        ("credentials:c", "there is no alert 'credentials:c'"),
        ("credentials:a", "credentials:a is not open; it was closed automatically at 20"),
        ("credentials:b", "credentials:b is not open; it was closed by eva at 20"),
    ):
        with pytest.raises(NotPossible, match=f"^not done: .*{re.escape(said)}"):
            _close(ledger, cause)
    assert everything(ledger) == before


def test_what_still_waits_is_not_hidden(ledger: Ledger) -> None:
    """A call without its decision and quarantine are refused with the command that ends them, which
    then does; nothing else is changed by the refusal.
    """
    job, _ = undecided(ledger)
    ledger.identity.quarantine()
    before = everything(ledger)
    with pytest.raises(NotPossible, match=f"run: earwitness resolve {job.job_id} --placed"):
        _close(ledger, f"decision:{job.job_id}")
    with pytest.raises(NotPossible, match="run: earwitness quarantine --lift --by WHO"):
        _close(ledger, "quarantine")
    assert everything(ledger) == before
    ledger.operator_actions.resolve(job.job_id, placed=False, by="ana", note="seen")
    ledger.identity.lift(by="ana", note="compared")
    assert ledger.alerts.all_open() == []


def test_a_word_whose_answer_was_lost(ledger: Ledger) -> None:
    """It recognises its own: told once, and the same asked anew is refused."""
    ledger.alerts.open(REFUSED)
    with answer_lost(ledger):
        assert _close(ledger, REFUSED.cause)["closed_by"] == "ana"
    assert told(ledger) == [("open", REFUSED.cause), ("resolved", REFUSED.cause)]
    with pytest.raises(NotPossible, match="it was closed by ana"):
        _close(ledger, REFUSED.cause)


def test_a_word_whose_answer_was_lost_while_it_came_again(open_ledger: OpenLedger) -> None:
    """What was opened anew before the closer could look again is another alert: it stays open."""
    closer, worker = open_ledger(), open_ledger()
    worker.alerts.open(REFUSED)
    again = [True]

    def reopen(_connection: Connection) -> None:
        # At the closer's second try: its first was committed.
        if not again and worker.alerts.all_open() == []:
            worker.alerts.open(REFUSED)
        again.clear()

    event.listen(closer.database.engine, "engine_connect", reopen)
    with answer_lost(closer):
        assert _close(closer, REFUSED.cause)["closed_by"] == "ana"
    event.remove(closer.database.engine, "engine_connect", reopen)
    assert [state for state, _ in told(worker)] == ["open", "resolved", "open"]
    assert [one["repeated"] for one in worker.alerts.all_open()] == [0]


def test_closed_and_met_again_at_once(open_ledger: OpenLedger) -> None:
    """Two who close it and two workers that meet it, in the same moment: each opening and each end
    is told once and in turn, who is told no has closed nothing, and the row is as was told last.
    """
    ledgers = [open_ledger() for _ in range(4)]

    def closes(ledger: Ledger, cause: str, by: str) -> str | None:
        try:
            return str(_close(ledger, cause, by)["closed_by"])
        except NotPossible:
            return None

    for number in range(10):
        alert = Alert(f"job:{number}", "job", "india", "failed")
        ledgers[0].alerts.open(alert)
        acts: list[Callable[[], Any]] = [partial(x.alerts.open, alert) for x in ledgers[2:]]
        acts += [
            partial(closes, ledgers[n], alert.cause, by) for n, by in enumerate(("ana", "eva"))
        ]
        *opens, one, other = at_once(*acts)
        said = [one["state"] for one in owed(ledgers[0], "alert") if one["cause"] == alert.cause]
        closed = [by for by in (one, other) if by is not None]
        assert said == ["open", "resolved"] * len(closed) + ["open"] * (
            sum(opens) + 1 - len(closed)
        )
        assert 1 <= len(closed) <= 1 + sum(opens)
        is_closed, by, _ = _stored(ledgers[0], alert.cause)
        assert is_closed == (said[-1] == "resolved")
        assert by in ([*closed] if is_closed else [None])
