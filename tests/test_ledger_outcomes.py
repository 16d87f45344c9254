"""What becomes of certified calls in the ledger: every outcome is kept once, with what it owes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from ledger.call_outcomes import Outcome
from ledger.core import states
from ledger.core.schema import jobs
from ledger.errors import LeaseLost, NotPossible
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    NO_ANSWER,
    NOTHING_LEFT,
    SAID_KO,
    SAID_OK,
    another_holds_it,
    another_sends_it,
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
    undecided,
)
from .ledgers import NOTIFY, QUEUE, answer_lost, at_once, claim_job, pass_time, steps

OpenLedger = Callable[..., Ledger]


OUTCOMES = {"placed": SAID_OK, "refused": SAID_KO, "unknown": NO_ANSWER}


@pytest.mark.parametrize("word", OUTCOMES)
def test_an_outcome_is_stored_with_everything_it_owes(ledger: Ledger, word: str) -> None:
    """State, evidence, receipt, answers and notification come in one step, and one more alert where
    nobody knows.
    """
    outcome = OUTCOMES[word]
    job, lease = sending(ledger, notify=NOTIFY, task_id="t1")
    begins(ledger, call(task_id="t2"))
    told = ledger.calls.store_outcome(lease, outcome, own_task="t1")
    assert (told.state, told.reason, told.error) == (outcome.state, outcome.reason, outcome.error)
    assert told.result == outcome.result
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert (known["outcome"], known["http_status"]) == (word, outcome.http_status)
    assert known["answer"].encode() == outcome.answer
    assert [one["number"] for one in owed(ledger, "receipt")] == [1]
    assert [one["kwargs"]["state"] for one in owed(ledger, "notify")] == [outcome.state]
    assert len(owed(ledger, "alert")) == (word == "unknown")
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t2"]
    assert steps(ledger, job.job_id)[-1] == ("sending", outcome.state)
    with pytest.raises(LeaseLost):
        lease.check()


def test_the_receipt_that_is_owed_says_everything(ledger: Ledger) -> None:
    """Whoever writes it, and however often, writes the same: nothing in it is asked for later."""
    _, lease = sending(ledger)
    ledger.calls.store_outcome(lease, SAID_OK, own_task=None)
    (receipt,) = owed(ledger, "receipt")
    assert base64.b64decode(receipt["answer"]) == SAID_OK.answer
    assert (receipt["outcome"], receipt["http_status"]) == ("placed", 200)
    assert (receipt["platform_phone"], receipt["error_message"]) == ("34900100100", None)
    assert receipt["sent_at"] <= receipt["answered_at"]
    (first,) = [one.payload for one in ledger.outbox.due(limit=9) if one.kind == "receipt"]
    assert first == receipt


@pytest.mark.parametrize("word", OUTCOMES)
def test_an_outcome_whose_answer_was_lost(ledger: Ledger, word: str) -> None:
    """It is stored once, with one receipt, one line of history and one notification."""
    job, lease = sending(ledger, notify=NOTIFY, task_id="t1")
    with answer_lost(ledger):
        told = ledger.calls.store_outcome(lease, OUTCOMES[word], own_task=None)
    assert told.state == OUTCOMES[word].state
    assert len(owed(ledger, "receipt")) == len(owed(ledger, "notify")) == 1
    assert len(owed(ledger, "alert")) == (word == "unknown")
    assert steps(ledger, job.job_id)[3:] == [("sending", OUTCOMES[word].state)]


@pytest.mark.parametrize("word", OUTCOMES)
def test_the_same_outcome_said_twice_is_kept_once(ledger: Ledger, word: str) -> None:
    """A sender that says again what the ledger has changes nothing."""
    _, lease = sending(ledger)
    ledger.calls.store_outcome(lease, OUTCOMES[word], own_task=None)
    before = everything(ledger)
    ledger.calls.store_outcome(lease, OUTCOMES[word], own_task=None)
    assert everything(ledger) == before


def test_a_call_of_which_nothing_left_has_no_receipt(ledger: Ledger) -> None:
    """The commit came too late for the bytes: it has failed, owes no receipt, is not counted, and
    was never sent.
    """
    job, lease = sending(ledger)
    told = ledger.calls.store_outcome(lease, NOTHING_LEFT, own_task=None)
    assert (told.state, told.reason) == (states.FAILED, NOTHING_LEFT.reason)
    assert owed(ledger, "receipt") == []
    assert counted(ledger) == [0]
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert (known["outcome"], known["sent_at"]) == ("unsent", None)


def test_a_permission_that_was_never_written_leaves_the_call_open(ledger: Ledger) -> None:
    """The ledger went away before *sending* was noted: nothing left, so another may try."""
    job, lease = begun(ledger)
    ledger.calls.store_outcome(lease, NOTHING_LEFT, own_task=None)
    assert state(ledger, job) == states.RUNNING
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    _, other = claim_job(ledger, job.job_id)
    ledger.calls.send(other, CAP)
    ledger.calls.store_outcome(other, SAID_OK, own_task=None)
    before = everything(ledger)
    ledger.calls.store_outcome(lease, NOTHING_LEFT, own_task=None)
    assert everything(ledger) == before


def test_a_dead_sender_leaves_a_call_that_needs_a_decision(ledger: Ledger) -> None:
    """People are alerted, those who asked are answered and told, and the receipt says *unknown*."""
    job, _ = sending(ledger, notify=NOTIFY, task_id="t1")
    its_worker_dies(ledger)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert (taken.job_id, taken.state) == (job.job_id, states.NEEDS_DECISION)
    assert taken.error is not None
    assert taken.error["type"] == "Uncertain"
    assert taken.error["message"].startswith("unknown: its worker stopped responding while")
    assert [one["outcome"] for one in owed(ledger, "receipt")] == ["unknown"]
    assert "needs a decision" in owed(ledger, "alert")[0]["message"]
    assert [one["kwargs"]["state"] for one in owed(ledger, "notify")] == ["needs_decision"]
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t1"]
    assert counted(ledger) == [1]


def test_what_needs_a_decision_is_never_tried_again(ledger: Ledger) -> None:
    """Neither sweepers nor hints nor retries nor the same request make it leave once more."""
    job, lease = undecided(ledger)
    pass_time(ledger, 10_000, jobs.c.next_attempt_at, jobs.c.hinted_at, jobs.c.updated_at)
    before = everything(ledger)
    for _ in range(3):
        assert ledger.lease_expiry.take_from_the_dead() == []
        assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []
        assert ledger.execution.claim(job.job_id) is None
        assert begins(ledger, call()) == (job.job_id, False)
        assert sends(ledger, lease) == "LeaseLost"
        with pytest.raises(NotPossible, match="never retried"):
            ledger.operator_actions.again(job.job_id, by="ana", note="x")
        with pytest.raises(NotPossible, match="cannot be cancelled"):
            ledger.operator_actions.cancel(job.job_id, by="ana")
    assert everything(ledger) == before


@pytest.mark.parametrize("outcome", [SAID_OK, SAID_KO], ids=["placed", "refused"])
def test_an_ended_call_is_not_repeated(ledger: Ledger, outcome: Outcome) -> None:
    """To call again is a new request id."""
    job, lease = sending(ledger)
    ledger.calls.store_outcome(lease, outcome, own_task=None)
    with pytest.raises(NotPossible, match="use a new request id"):
        ledger.operator_actions.again(job.job_id, by="ana", note="x")
    assert len(ledger.jobs.jobs()) == 1


def test_two_sweepers_find_a_dead_sender_once(open_ledger: OpenLedger) -> None:
    """One receipt, one alert, one line of history."""
    here, there = open_ledger(), open_ledger()
    job, _ = sending(here)
    its_worker_dies(here)
    at_once(*[one.lease_expiry.take_from_the_dead for one in (here, there, here, there)])
    assert steps(here, job.job_id)[3:] == [("sending", "needs_decision")]
    assert len(owed(here, "receipt")) == len(owed(here, "alert")) == 1


def test_a_sweep_whose_answer_was_lost(ledger: Ledger) -> None:
    """The call needs a decision, once."""
    job, _ = sending(ledger)
    its_worker_dies(ledger)
    with answer_lost(ledger):
        ledger.lease_expiry.take_from_the_dead()
    assert steps(ledger, job.job_id)[3:] == [("sending", "needs_decision")]
    assert len(owed(ledger, "receipt")) == len(owed(ledger, "alert")) == 1


@pytest.mark.parametrize("outcome", [SAID_OK, SAID_KO], ids=["placed", "refused"])
def test_a_sender_that_wakes_up_knows_better(ledger: Ledger, outcome: Outcome) -> None:
    """Its answer replaces the doubt, with a second receipt, and all who asked get it."""
    job, lease = undecided(ledger, notify=NOTIFY, task_id="t1")
    told = ledger.calls.store_outcome(lease, outcome, own_task=None)
    assert (told.state, told.result, told.error) == (outcome.state, outcome.result, outcome.error)
    receipts = owed(ledger, "receipt")
    assert [(one["number"], one["outcome"]) for one in receipts] == [
        (1, "unknown"),
        (2, outcome.outcome),
    ]
    assert [one["kwargs"]["state"] for one in owed(ledger, "notify")] == [
        "needs_decision",
        outcome.state,
    ]
    assert steps(ledger, job.job_id)[-1] == ("needs_decision", outcome.state)
    with pytest.raises(NotPossible, match=f"is {outcome.state}; only"):
        ledger.operator_actions.resolve(job.job_id, placed=True, by="ana", note="x")


def test_a_sender_that_wakes_up_and_does_not_know_either(ledger: Ledger) -> None:
    """What little came (a status, some bytes) is kept, with a receipt of its own, once."""
    job, lease = undecided(ledger)
    heard = replace(NO_ANSWER, http_status=502, answer=b"<html>")
    with answer_lost(ledger):
        told = ledger.calls.store_outcome(lease, heard, own_task=None)
    assert (told.state, told.reason) == (states.NEEDS_DECISION, heard.reason)
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert (known["http_status"], known["answer"]) == (502, "<html>")
    assert [one["number"] for one in owed(ledger, "receipt")] == [1, 2]
    assert steps(ledger, job.job_id)[4:] == [("needs_decision", "needs_decision")]


def test_a_sender_that_wakes_up_and_knows_that_nothing_left(ledger: Ledger) -> None:
    """The receipt that told of a doubt is followed by one that ends it. Once told to have left, it
    stays counted.
    """
    _, lease = undecided(ledger)
    assert ledger.calls.store_outcome(lease, NOTHING_LEFT, own_task=None).state == states.FAILED
    assert [one["outcome"] for one in owed(ledger, "receipt")] == ["unknown", "unsent"]
    assert counted(ledger) == [1]


def test_another_token_has_no_say(ledger: Ledger) -> None:
    """Who held the call before its sender cannot write an outcome over the sender's doubt."""
    job, late = begun(ledger)
    another_sends_it(ledger, job.job_id)
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    before = everything(ledger)
    assert ledger.calls.store_outcome(late, SAID_OK, own_task=None).state == states.NEEDS_DECISION
    assert everything(ledger) == before
    ledger.operator_actions.resolve(job.job_id, placed=True, by="ana", note="seen")
    before = everything(ledger)
    assert ledger.calls.store_outcome(late, SAID_KO, own_task=None).state == states.DONE
    assert everything(ledger) == before


def test_the_answer_that_meets_the_sweeper(open_ledger: OpenLedger) -> None:
    """Whoever is first, the answer stands in the end, and every receipt has its own number."""
    sweeper, sender = open_ledger(), open_ledger()
    for n in range(8):
        job, lease = sending(sender, account=f"a{n}")
        its_worker_dies(sender)
        at_once(
            sweeper.lease_expiry.take_from_the_dead,
            partial(sender.calls.store_outcome, lease, SAID_OK, own_task=None),
        )
        assert state(sender, job) == states.DONE
        numbers = [
            one.payload["number"]
            for one in sender.outbox.due(limit=99)
            if one.kind == "receipt" and one.job_id == job.job_id
        ]
        assert numbers in ([1], [1, 2])


def test_a_call_whose_workers_die_before_sending_ends_as_not_done(ledger: Ledger) -> None:
    """The fifth ends it: nothing left, which the reason says, and its place is free again."""
    job, _ = begun(ledger)
    for _ in range(4):
        another_holds_it(ledger, job.job_id)
    its_worker_dies(ledger)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert taken.state == states.FAILED
    assert taken.reason is not None
    assert taken.reason.startswith("not done: its worker died five times before anything was sent")
    assert taken.error == {"type": "Unreachable", "message": taken.reason}
    assert counted(ledger) == [0]
    assert owed(ledger, "receipt") == []


def test_only_calls_have_what_is_known_of_a_call(ledger: Ledger) -> None:
    """An export has none; a call that was not sent yet has nothing in it."""
    job, _ = begun(ledger)
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert (known["outcome"], known["sent_at"], known["answer"]) == (None, None, "")
    export, _ = begun(ledger, kind="export.run", details=None)
    assert ledger.calls.of_job(export.job_id) is None
