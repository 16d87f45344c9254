"""A restored ledger places no call of which it can not know whether it was placed before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ledger.core import states
from ledger.daily_quota import Cap
from ledger.errors import RequestConflict
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    NOTHING_LEFT,
    SAID_OK,
    begins,
    begun,
    call,
    counted,
    everything,
    its_worker_dies,
    owed,
    sending,
    sends,
    state,
)
from .ledgers import NOTIFY, QUEUE, answer_lost, at_once, claim_job, opened, request, running, steps

OpenLedger = Callable[..., Ledger]


def decisions(ledger: Ledger) -> list[dict[str, Any]]:
    """What people are told of calls that need a decision."""
    return [told for told in owed(ledger, "alert") if told["kind"] == "decision"]


def test_a_new_ledger_is_not_in_quarantine(ledger: Ledger) -> None:
    """Until somebody says so; then every process knows, and after it was lifted too."""
    assert not ledger.identity.quarantined()
    ledger.identity.quarantine()
    assert ledger.identity.quarantined()
    ledger.identity.lift(by="ana", note="compared with the panel")
    assert not ledger.identity.quarantined()


def test_both_are_audited_once(ledger: Ledger) -> None:
    """Under the ledger's own identity: who lifted it and why; a repetition adds nothing."""
    for _ in range(2):
        ledger.identity.quarantine()
    for _ in range(2):
        with answer_lost(ledger):
            ledger.identity.lift(by="ana", note="compared with the panel")
    identity = ledger.identity.identity()
    assert steps(ledger, identity) == [("open", "quarantined"), ("quarantined", "open")]
    last = ledger.jobs.history(identity)[-1]
    assert (last["by"], last["why"]) == ("ana", "compared with the panel")


def test_people_are_told_that_it_is_on_and_that_it_is_over(ledger: Ledger) -> None:
    """Once, with what it means and what to do, however often it is begun; and once when lifted."""
    for _ in range(2):
        ledger.identity.quarantine(by="ana", note="restored from Monday")
    (told,) = ledger.outbox.due(limit=10)
    assert (told.kind, told.payload["cause"], told.payload["state"]) == (
        "alert",
        "quarantine",
        "open",
    )
    for said in ("restored from Monday", "is not placed", "quarantine --lift"):
        assert said in told.payload["message"]
    for _ in range(2):
        ledger.identity.lift(by="ana", note="compared with the panel")
    (over,) = ledger.outbox.due(limit=10)
    assert over.payload["state"] == "resolved"


@pytest.mark.parametrize("door", ["begin", "open"])
def test_a_call_that_the_ledger_does_not_know_needs_a_decision(ledger: Ledger, door: str) -> None:
    """At once, without a lease or a hint: people are alerted, the caller is told, nothing is sent
    and nothing is counted.
    """
    ledger.identity.quarantine()
    asked = call(task_id="t1", details=Cap(1, "UTC"))
    if door == "begin":
        job, lease = ledger.execution.begin(asked, by="test", notify=NOTIFY)
        assert lease is None
    else:
        job, number = ledger.opening.open(asked, by="test", notify=NOTIFY)
        assert number is None
    assert job == ledger.jobs.job(job.job_id)
    assert job.state == states.NEEDS_DECISION
    assert job.error == {"type": "Uncertain", "message": job.reason}
    assert job.reason is not None
    assert "the ledger was restored and does not know whether this call was placed" in job.reason
    assert "check the provider's panel" in job.reason
    assert steps(ledger, job.job_id) == [(None, "pending"), ("pending", "needs_decision")]
    assert "earwitness resolve" in decisions(ledger)[0]["message"]
    assert [one["kwargs"]["state"] for one in owed(ledger, "notify")] == ["needs_decision"]
    assert ledger.waiters.job_of("t1") == job.job_id
    assert owed(ledger, "receipt") == []
    assert counted(ledger) == []
    assert ledger.execution.claim(job.job_id) is None
    assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []


def test_its_opening_whose_answer_was_lost(ledger: Ledger) -> None:
    """One row, one alert, one notification."""
    ledger.identity.quarantine()
    with answer_lost(ledger):
        job, lease = ledger.execution.begin(call(task_id="t1"), by="test", notify=NOTIFY)
    assert (job.state, lease) == (states.NEEDS_DECISION, None)
    assert len(ledger.jobs.history(job.job_id)) == 2
    assert len(decisions(ledger)) == len(owed(ledger, "notify")) == 1


def test_many_who_ask_at_once_are_one_decision(open_ledger: OpenLedger) -> None:
    """The same call from several places needs one decision."""
    here, there = open_ledger(), open_ledger()
    here.identity.quarantine()
    for n in range(5):
        asked = call(account=f"a{n}")
        told = at_once(*[partial(begins, one, asked) for one in (here, there, here, there)])
        assert told == [(asked.job_id, False)] * 4
    assert len(decisions(here)) == 5


@pytest.mark.parametrize("placed", [True, False])
def test_it_is_decided_like_any_other(ledger: Ledger, placed: bool) -> None:
    """With a receipt, though nothing left under this ledger: the next one that is rebuilt learns of
    the decision by it. The decision is audited, and the same twice changes nothing.
    """
    ledger.identity.quarantine()
    job, _ = ledger.execution.begin(call(), by="test", notify=None)
    told = ledger.operator_actions.resolve(job.job_id, placed=placed, by="ana", note="seen")
    assert told.state == (states.DONE if placed else states.FAILED)
    before = everything(ledger)
    assert ledger.operator_actions.resolve(job.job_id, placed=placed, by="bob", note="x") == told
    assert everything(ledger) == before
    (decided,) = owed(ledger, "receipt")
    assert (decided["number"], decided["outcome"], decided["sent_at"]) == (1, "resolved", None)
    assert decided["decided"] == ("placed" if placed else "not placed")
    assert (decided["by"], decided["note"]) == ("ana", "seen")
    assert decided["decided_at"].endswith("Z")


def test_calls_that_have_not_left_need_a_decision_too(ledger: Ledger) -> None:
    """They may have left after the copy was made that was restored: pending, waiting, running. The
    place of each is free again, and whoever holds one sends nothing.
    """
    pending, _ = ledger.opening.open(call("pending", task_id="t1"), by="test", notify=NOTIFY)
    waiting, lease = begun(ledger, "waiting")
    ledger.execution.postpone(lease, "the platform can not be reached", seconds=0)
    running, held = begun(ledger, "running")
    ledger.identity.quarantine()
    for job in (pending, waiting, running):
        assert state(ledger, job) == states.NEEDS_DECISION
        assert ledger.execution.claim(job.job_id) is None
        known = ledger.calls.of_job(job.job_id)
        assert known is not None
        assert known["outcome"] == "unknown"
    assert sends(ledger, held) == "LeaseLost"
    assert counted(ledger) == [0]
    assert len(decisions(ledger)) == 3
    assert len(owed(ledger, "notify")) == 1
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t1"]


def test_what_was_sent_or_has_ended_stays(ledger: Ledger) -> None:
    """A sender's answer is taken as ever, a dead sender's call needs a decision as ever, and the
    end of a call that is known is replayed.
    """
    done, lease = sending(ledger, "done")
    ledger.calls.store_outcome(lease, SAID_OK, own_task=None)
    answered, lives = sending(ledger, "answered")
    dead, _ = sending(ledger, "dead")
    ledger.identity.quarantine()
    assert begins(ledger, call("done")) == (done.job_id, False)
    ledger.calls.store_outcome(lives, SAID_OK, own_task=None)
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    found = [state(ledger, job) for job in (done, answered, dead)]
    assert found == ["done", "done", "needs_decision"]
    assert counted(ledger) == [3]


def test_a_known_id_with_other_parameters_is_still_a_conflict(ledger: Ledger) -> None:
    """Whether it needs a decision or not."""
    ledger.identity.quarantine()
    ledger.execution.begin(call(), by="test")
    before = everything(ledger)
    with pytest.raises(RequestConflict):
        ledger.execution.begin(call(parameters={}), by="test")
    assert everything(ledger) == before


def test_every_other_kind_goes_on(ledger: Ledger) -> None:
    """Exports cost nothing twice: they are opened, claimed and ended."""
    waiting, _ = ledger.opening.open(request("w"), by="test")
    ledger.identity.quarantine()
    job, lease = ledger.execution.begin(request("r"), by="test")
    assert lease is not None
    assert ledger.execution.finish(lease, states.DONE).state == states.DONE
    claim_job(ledger, waiting.job_id)
    _, number = ledger.opening.open(request("o"), by="test")
    assert number is not None
    assert steps(ledger, job.job_id)[-1] == ("running", "done")


def test_lifted_it_places_calls_again(ledger: Ledger) -> None:
    """New ones, under the cap; what needed a decision still does."""
    ledger.identity.quarantine()
    job, _ = ledger.execution.begin(call(), by="test")
    ledger.identity.lift(by="ana", note="compared with the panel")
    assert begins(ledger, call()) == (job.job_id, False)
    assert state(ledger, job) == states.NEEDS_DECISION
    _, lease = begun(ledger, "r2")
    ledger.calls.send(lease, CAP)
    assert counted(ledger) == [1]


def test_a_quarantine_that_meets_calls_being_begun(open_ledger: OpenLedger) -> None:
    """From the moment it is written no call leaves that was begun before or after."""
    operator, worker = open_ledger(), open_ledger()
    for n in range(5):
        operator.identity.lift(by="ana", note="again")
        asked = call(account=f"a{n}")
        at_once(operator.identity.quarantine, partial(begins, worker, asked))
        assert worker.jobs.job(asked.job_id).state == states.NEEDS_DECISION


def test_it_withholds_calls_that_did_not_leave_and_nothing_else(ledger: Ledger) -> None:
    """Exports, calls under way and calls that ended are as before; and who holds a call that is
    withheld has no say in it any more.
    """
    held, lease = begun(ledger, "held")
    others = [running(ledger, "export")[0], opened(ledger, "due"), sending(ledger, "sent")[0]]
    placed, answering = sending(ledger, "placed")
    ledger.calls.store_outcome(answering, SAID_OK, own_task=None)
    others.append(placed)
    before = [(ledger.jobs.job(job.job_id), ledger.calls.of_job(job.job_id)) for job in others]
    ledger.identity.quarantine()
    after = [(ledger.jobs.job(job.job_id), ledger.calls.of_job(job.job_id)) for job in others]
    assert after == before
    ledger.calls.store_outcome(lease, NOTHING_LEFT, own_task=None)
    assert ledger.jobs.job(held.job_id).state == states.NEEDS_DECISION
