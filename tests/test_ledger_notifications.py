"""What the ledger keeps of notifications and of jobs that are due later, on either database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from ledger.core import states
from ledger.core.outbox import NOTIFY
from ledger.core.schema import jobs, obligations, waiters
from ledger.daily_quota import Cap
from ledger.errors import CapReached
from ledger.ledger import Ledger

from .ledger_calls import call
from .ledgers import NOTIFY as NOTIFIED
from .ledgers import opened, pass_time, request

_DAY = 86_400


def _owe(ledger: Ledger, queue: str, job_id: str = "j") -> None:
    payload: dict[str, Any] = {"task": "t", "queue": queue, "kwargs": {}}
    ledger.outbox.owe(job_id, "india", NOTIFY, payload)


def _claimed(ledger: Ledger, limit: int) -> list[str]:
    """What a claim gives, the queue of a notification and the kind of anything else."""
    due = ledger.outbox.due(limit=limit)
    return sorted(str(one.payload.get("queue", one.kind)) for one in due)


def test_kinds_and_queues_take_turns(ledger: Ledger) -> None:
    """Fifty older notifications for one queue and fifty older receipts leave their turn to another
    queue's, another account's and an alert's, in the first claim of six.
    """
    for _ in range(50):
        _owe(ledger, "bad")
        ledger.outbox.owe("j", "india", "receipt", {})
    _owe(ledger, "good")
    ledger.outbox.owe("j", "legal", "receipt", {"queue": "of no meaning"})
    ledger.outbox.owe("j", "india", "alert", {})
    first = _claimed(ledger, 6)
    assert first == ["alert", "bad", "bad", "good", "of no meaning", "receipt"]


def test_what_was_never_tried_comes_before_what_is_tried_again(ledger: Ledger) -> None:
    """Twenty queues that refused an hour ago are due again: the one that comes just now is first,
    and they have their turn after it.
    """
    for number in range(20):
        _owe(ledger, f"bad-{number}")
    assert len(ledger.outbox.due(limit=50)) == 20
    pass_time(ledger, 3600, obligations.c.due_at)
    _owe(ledger, "good")
    assert _claimed(ledger, 1) == ["good"]
    assert len(ledger.outbox.due(limit=50)) == 20


def test_what_waits_for_redis_keeps_its_turn(ledger: Ledger) -> None:
    """Put off, a try does not count, and the next one comes soon however long it has lasted."""
    _owe(ledger, "q")
    for _ in range(12):
        (one,) = ledger.outbox.due(limit=9)
        assert one.attempts == 1
        ledger.outbox.put_off([one.id], "Redis is away")
        assert ledger.outbox.due(limit=9) == []
        pass_time(ledger, 10.1, obligations.c.due_at)


def test_a_day_of_refusals_ends_a_notification(ledger: Ledger) -> None:
    """Counted from the first refusal, not from the notification; each queue has one alert, which
    its next success closes and no other's; the job's history and state are as they were.
    """
    job = opened(ledger)
    for queue in ("a", "a", "b"):
        _owe(ledger, queue, job.job_id)
    pass_time(ledger, 3 * _DAY, obligations.c.created_at)
    ids = [one.id for one in ledger.outbox.due(limit=9)]
    assert ledger.notifications.refused(dict.fromkeys(ids, "no")) == 0
    assert ledger.notifications.given_up() is None

    def earlier(connection: Any) -> None:
        for row in connection.execute(obligations.select()).all():
            since = {"refused_since": row.payload["refused_since"] - _DAY}
            mine = obligations.c.id == row.id
            connection.execute(update(obligations).where(mine).values(payload=row.payload | since))

    ledger.database.write(earlier)
    assert ledger.notifications.refused(dict.fromkeys(ids, "still no")) == 3
    assert ledger.notifications.refused(dict.fromkeys(ids, "again")) == 0
    assert ledger.outbox.waiting()[0]["kind"] == "alert"
    found = ledger.notifications.of_job(job.job_id)
    assert [(one.queue, one.state, one.reason) for one in found] == [
        ("a", "given up", "still no"),
        ("a", "given up", "still no"),
        ("b", "given up", "still no"),
    ]
    given_up = ledger.notifications.given_up()
    assert given_up is not None
    assert (given_up["count"], given_up["reason"]) == (3, "still no")
    assert ledger.jobs.job(job.job_id) == job
    assert [one["cause"] for one in ledger.alerts.all_open()] == [
        "notification:a",
        "notification:b",
    ]
    ledger.notifications.taken({"b", "c"})
    assert [one["cause"] for one in ledger.alerts.all_open()] == ["notification:a"]


def test_answers_that_were_never_tried_come_first(ledger: Ledger) -> None:
    """Ten tasks whose results cannot be stored are due again before one that asks just now: it is
    answered first. After a day of tries the ten are left alone, and counted.
    """
    job = opened(ledger)
    for number in range(10):
        ledger.opening.open(request(task_id=f"bad-{number}"), by="test")
    _, lease = ledger.execution.claim(job.job_id) or (None, None)
    assert lease is not None
    ledger.execution.finish(lease, states.DONE)
    assert len(ledger.waiters.due(queue="due", limit=50)) >= 10
    pass_time(ledger, 3600, waiters.c.due_at)
    ledger.opening.open(request(task_id="good"), by="test")
    pass_time(ledger, 60, waiters.c.due_at)
    assert [one.task_id for one in ledger.waiters.due(queue="due", limit=1)] == ["good"]
    ledger.waiters.mark_answered("good")
    for _ in range(160):
        pass_time(ledger, 700, waiters.c.due_at)
        ledger.waiters.due(queue="due", limit=50)
    assert ledger.waiters.due(queue="due", limit=50) == []
    assert ledger.waiters.unanswerable() >= 10


def test_a_job_waits_until_it_is_due(ledger: Ledger) -> None:
    """Its lifetime counts from then; asked for again, at another time too, it continues waiting; no
    worker takes it before, and it is announced then.
    """
    at = ledger.database.time() + 1000
    timed = replace(request(lifetime_seconds=60), due_at=at)
    job, number = ledger.opening.open(timed, by="test")
    assert (job.state, number, job.next_attempt_at, job.not_after) == ("waiting", None, at, at + 60)
    assert str(job.reason).startswith("waits until 20")
    again, number = ledger.opening.open(replace(timed, due_at=at - 900), by="test")
    assert (again.next_attempt_at, number) == (at, None)
    assert ledger.execution.begin(request(lifetime_seconds=60), by="test")[1] is None
    assert ledger.execution.claim(job.job_id) is None
    assert ledger.wakeups.due(timed.queue, room=9, queue_is_empty=True) == []
    pass_time(ledger, 1001, jobs.c.next_attempt_at)
    assert [one.job_id for one in ledger.wakeups.due(timed.queue, room=9, queue_is_empty=True)] == [
        job.job_id
    ]
    states_seen = [(one["from"], one["to"]) for one in ledger.jobs.history(job.job_id)]
    assert states_seen == [(None, "pending"), ("pending", "waiting")]


def test_a_job_that_expires_before_it_is_due_ends_at_once(ledger: Ledger) -> None:
    """With everything that an end owes: the notification, and the call of the cap given back."""
    at = ledger.database.time() + 1000
    cap = Cap(1, "UTC")
    void = replace(call(details=cap, task_id="t1"), due_at=at, not_after=at - 1)
    job, lease = ledger.execution.begin(void, by="test", notify=NOTIFIED)
    assert lease is None
    assert (job.state, (job.error or {}).get("type")) == ("failed", "Expired")
    assert "before it is due" in str(job.reason)
    assert [one.kind for one in ledger.outbox.due(limit=9)].count(NOTIFY) == 1
    assert ledger.opening.open(replace(call("two", details=cap), due_at=at), by="test")[0]


def test_a_call_counts_on_the_day_on_which_it_is_due(ledger: Ledger) -> None:
    """Today's cap and that of another day are apart, and each refuses its own."""
    at = ledger.database.time() + 7 * _DAY
    cap = Cap(1, "UTC")
    ledger.opening.open(replace(call("then", details=cap), due_at=at), by="test")
    ledger.opening.open(call("now", details=cap), by="test")
    with pytest.raises(CapReached, match=r"for another day$"):
        ledger.opening.open(replace(call("then-2", details=cap), due_at=at), by="test")
    with pytest.raises(CapReached, match=r"tomorrow$"):
        ledger.opening.open(call("now-2", details=cap), by="test")
