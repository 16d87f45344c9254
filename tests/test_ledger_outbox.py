"""What is pending after a change of state: stored with the change, and discharged in the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger.core import states
from ledger.core.schema import jobs, obligations
from ledger.errors import LeaseLost
from ledger.ledger import Ledger

from .ledgers import NOTIFY, at_once, ended, opened, pass_time, request, running

OpenLedger = Callable[..., Ledger]


def test_an_end_and_what_it_owes_are_one_transaction(ledger: Ledger) -> None:
    """What an end owes is there with it, in the order given, due at once."""
    job, lease = running(ledger)
    owed = [("chain", {"path": "a"}), ("alert", {"message": "b"})]
    ledger.execution.finish(lease, states.DONE, obligations=owed)
    due = ledger.outbox.due(limit=9)
    assert [(one.kind, one.payload) for one in due] == owed
    assert {(one.job_id, one.account) for one in due} == {(job.job_id, "india")}


def test_an_end_that_is_refused_owes_nothing(ledger: Ledger) -> None:
    """A stale holder's end leaves no obligation behind."""
    _, lease = running(ledger)
    pass_time(ledger, 31, jobs.c.lease_until)
    ledger.lease_expiry.take_from_the_dead()
    with pytest.raises(LeaseLost):
        ledger.execution.finish(lease, states.DONE, obligations=[("chain", {"path": "a"})])
    assert ledger.outbox.due(limit=9) == []


def test_a_task_id_used_again_loses_no_notify(ledger: Ledger) -> None:
    """Somebody sends two jobs under one task id: the end of each is told, once."""
    for request_id in ("one", "two", "two"):
        asked = request(request_id, task_id="t1")
        job, _ = ledger.opening.open(asked, by="test", notify=NOTIFY)
        claimed = ledger.execution.claim(job.job_id)
        if claimed is not None:
            ledger.execution.finish(claimed[1], states.DONE)
    told = [one.payload["kwargs"]["request_id"] for one in ledger.outbox.due(limit=9)]
    assert told == ["one", "two"]


def test_every_notify_is_owed_at_the_end(ledger: Ledger) -> None:
    """Each caller that asked to be told is told, with the job's id, kind, state and outcome."""
    job, _ = ledger.opening.open(request(task_id="t1"), by="test", notify=NOTIFY)
    ledger.opening.open(request(task_id="t2"), by="test", notify={"task": "b", "queue": "c"})
    ledger.opening.open(request(task_id="t3"), by="test")
    claimed = ledger.execution.claim(job.job_id)
    assert claimed is not None
    failure = {"type": "Rejected", "message": "not done: no"}
    ledger.execution.finish(claimed[1], states.FAILED, reason="not done: no", error=failure)
    due = ledger.outbox.due(limit=9)
    told = [one.payload for one in due if one.kind == "notify"]
    assert sorted(one["task"] for one in told) == ["b", "crm.told"]
    assert told[0]["kwargs"] == {
        "job_id": job.job_id,
        "request_id": "r1",
        "kind": "export.create",
        "state": "failed",
        "result": None,
        "error": failure,
    }


def test_who_asks_after_the_end_is_told_too(ledger: Ledger) -> None:
    """A request that joins an ended job with a notify is told at once, and once only."""
    ended(ledger)
    for _ in range(2):
        ledger.opening.open(request(task_id="late"), by="test", notify=NOTIFY)
    assert [one.kind for one in ledger.outbox.due(limit=9)] == ["notify"]


def test_an_undischarged_obligation_comes_back_for_ever(ledger: Ledger) -> None:
    """It is tried again after waits that grow to ten minutes and never end."""
    job = opened(ledger)
    ledger.outbox.owe(job.job_id, "india", "alert", {"message": "m"})
    assert [one.attempts for one in ledger.outbox.due(limit=9)] == [1]
    for wait in (5, 10, 20, 40, 80, 160, 320, 600, 600, 600):
        # Longer than the previous wait, and so much shorter than this one that a slow machine does
        # not matter.
        pass_time(ledger, 0.6 * wait, obligations.c.due_at)
        assert ledger.outbox.due(limit=9) == []
        pass_time(ledger, 0.4 * wait + 0.1, obligations.c.due_at)
        assert len(ledger.outbox.due(limit=9)) == 1


def test_a_discharged_obligation_is_over(ledger: Ledger) -> None:
    """It is not claimed again and no longer shown as owed; the others stay."""
    job = opened(ledger)
    for path in ("a", "b", "c"):
        ledger.outbox.owe(job.job_id, "india", "chain", {"path": path})
    first, second, third = ledger.outbox.due(limit=9)
    ledger.outbox.failed([first.id, second.id], "the archive is full")
    ledger.outbox.discharged([second.id, third.id])
    pass_time(ledger, 6, obligations.c.due_at)
    assert [one.id for one in ledger.outbox.due(limit=9)] == [first.id]
    (shown,) = ledger.outbox.waiting()
    assert (shown["kind"], shown["count"]) == ("chain", 1)
    assert shown["reason"] == "the archive is full"
    assert shown["oldest"] > 1_000_000_000


def test_a_batch_is_bounded_and_oldest_first(ledger: Ledger) -> None:
    """A sweeper takes as many as it asked for, in the order they came to be."""
    job = opened(ledger)
    for n in range(5):
        ledger.outbox.owe(job.job_id, "india", "chain", {"n": n})
    batches = [ledger.outbox.due(limit=2) for _ in range(4)]
    assert [[one.payload["n"] for one in batch] for batch in batches] == [[0, 1], [2, 3], [4], []]


def test_two_sweepers_discharge_each_once(open_ledger: OpenLedger) -> None:
    """Sweepers of two workers at once never claim the same obligation."""
    one, two = open_ledger(), open_ledger()
    job = opened(one)
    for n in range(30):
        one.outbox.owe(job.job_id, "india", "chain", {"n": n})
    claimed = at_once(lambda: one.outbox.due(limit=50), lambda: two.outbox.due(limit=50))
    assert sorted(owing.payload["n"] for owing in claimed[0] + claimed[1]) == list(range(30))


def test_what_is_not_sealed_yet_is_counted(ledger: Ledger) -> None:
    """Files of these jobs alone, until they are under the chain; notifications are no files."""
    for job_id, kind in (("a", "chain"), ("a", "chain"), ("a", "notify"), ("b", "chain")):
        ledger.outbox.owe(job_id, "india", kind, {})
    assert ledger.archive_record.unsealed(["a"]) == 2
    assert ledger.archive_record.unsealed(["a", "b"]) == 3
    ledger.outbox.discharged([ledger.outbox.due(limit=1)[0].id])
    assert ledger.archive_record.unsealed(["a"]) == 1


def test_an_entry_is_owed_once_by_a_job(ledger: Ledger) -> None:
    """Who cannot know whether it is pending already asks again, after it was discharged too;
    another file, another sum and another job make another entry.
    """
    first, second = {"path": "india/a", "sha256": "1"}, {"path": "india/a", "sha256": "2"}
    for payload in (first, first, second):
        ledger.archive_record.owe_entry_once("a job", "india", payload)
    ledger.outbox.owe("a job", "india", "alert", {"path": "india/b", "sha256": "1"})
    ledger.outbox.discharged([one.id for one in ledger.outbox.due(limit=9)])
    for job_id in ("a job", "another"):
        ledger.archive_record.owe_entry_once(job_id, "india", first)
    ledger.archive_record.owe_entry_once("a job", "india", {"path": "india/b", "sha256": "1"})
    due = ledger.outbox.due(limit=9)
    assert [(one.job_id, one.payload["path"]) for one in due] == [
        ("another", "india/a"),
        ("a job", "india/b"),
    ]
