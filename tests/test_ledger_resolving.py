"""What people decide of a call of which nobody knows whether it was placed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ledger.call_outcomes import Outcome
from ledger.core import states
from ledger.errors import NoSuchJob, NotPossible
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    NO_ANSWER,
    SAID_KO,
    SAID_OK,
    begins,
    begun,
    call,
    everything,
    owed,
    sending,
    state,
    undecided,
)
from .ledgers import NOTIFY, QUEUE, answer_lost, at_once, ended, steps

OpenLedger = Callable[..., Ledger]


def resolve(ledger: Ledger, job_id: str, placed: bool, note: str = "seen in the panel") -> Any:
    """Ana decides."""
    return ledger.operator_actions.resolve(job_id, placed=placed, by="ana", note=note)


def test_a_call_that_was_placed_is_done(ledger: Ledger) -> None:
    """Whoever asks from now on is given a result; who decided and why stands in the history."""
    job, _ = undecided(ledger)
    told = resolve(ledger, job.job_id, True)
    assert (told.state, told.error) == (states.DONE, None)
    assert told.result == {"state": "done", "platform_phone": None}
    assert told.reason == "decided by ana: the call was placed; seen in the panel"
    last = ledger.jobs.history(job.job_id)[-1]
    assert (last["from"], last["to"], last["by"]) == ("needs_decision", "done", "ana")
    assert "seen in the panel" in last["why"]
    assert begins(ledger, call()) == (job.job_id, False)


def test_a_call_that_was_not_placed_has_failed(ledger: Ledger) -> None:
    """It stays failed: to call, a new request id is sent, which is said."""
    job, _ = undecided(ledger)
    told = resolve(ledger, job.job_id, False, "not in the panel")
    assert (told.state, told.result) == (states.FAILED, None)
    assert told.error == {"type": "Rejected", "message": told.reason}
    assert told.reason.startswith("not done: decided by ana: the call was not placed; not in")
    assert told.reason.endswith("to place the call, use a new request id")
    assert begins(ledger, call()) == (job.job_id, False)
    with pytest.raises(NotPossible, match="never retried"):
        ledger.operator_actions.again(job.job_id, by="ana", note="x")


@pytest.mark.parametrize("placed", [True, False])
def test_a_decision_is_told_and_kept(ledger: Ledger, placed: bool) -> None:
    """Who asked to be notified is told a second time; a receipt with the decision follows the first
    one, and the call counts as resolved.
    """
    job, _ = undecided(ledger, notify=NOTIFY, task_id="t1")
    told = resolve(ledger, job.job_id, placed, "seen")
    assert [one["kwargs"]["state"] for one in owed(ledger, "notify")] == [
        "needs_decision",
        told.state,
    ]
    first, second = owed(ledger, "receipt")
    assert "decided" not in first
    assert (second["number"], second["outcome"]) == (2, "resolved")
    assert second["decided"] == ("placed" if placed else "not placed")
    assert (second["by"], second["note"]) == ("ana", "seen")
    assert second["sent_at"] == first["sent_at"]
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert known["outcome"] == "resolved"


def test_waiters_that_were_not_answered_yet_are_due(ledger: Ledger) -> None:
    """A task that has not heard of the doubt hears of the decision."""
    job, _ = undecided(ledger, task_id="t1")
    resolve(ledger, job.job_id, True)
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t1"]


@pytest.mark.parametrize("placed", [True, False])
def test_the_same_decision_twice_changes_nothing(ledger: Ledger, placed: bool) -> None:
    """Nor does one whose answer was lost."""
    job, _ = undecided(ledger)
    with answer_lost(ledger):
        first = resolve(ledger, job.job_id, placed)
    assert len(owed(ledger, "receipt")) == 2
    before = everything(ledger)
    assert resolve(ledger, job.job_id, placed, "another note") == first
    assert everything(ledger) == before


@pytest.mark.parametrize("placed", [True, False])
def test_another_decision_is_refused(ledger: Ledger, placed: bool) -> None:
    """What was decided stays, and the refusal names the state."""
    job, _ = undecided(ledger)
    told = resolve(ledger, job.job_id, placed)
    before = everything(ledger)
    with pytest.raises(NotPossible, match=f"is {told.state}; only a call that needs a decision"):
        resolve(ledger, job.job_id, not placed)
    assert everything(ledger) == before


def test_two_who_decide_at_once(open_ledger: OpenLedger) -> None:
    """One is heard, the other is refused; of two who agree both are told the same."""
    here, there = open_ledger(), open_ledger()

    def decides(ledger: Ledger, job_id: str, placed: bool) -> str:
        try:
            return str(resolve(ledger, job_id, placed).state)
        except NotPossible:
            return "refused"

    for n in range(5):
        job, _ = undecided(here, account=f"a{n}")
        told = at_once(*[partial(decides, one, job.job_id, one is here) for one in (here, there)])
        assert sorted(told) in (["done", "refused"], ["failed", "refused"])
        same = told[0] == "done"
        agreeing = at_once(*[partial(decides, one, job.job_id, same) for one in (here, there)])
        assert agreeing == [state(here, job)] * 2


def test_an_unknown_job_is_not_decided(ledger: Ledger) -> None:
    """A wrong id is named."""
    with pytest.raises(NoSuchJob, match="4711"):
        resolve(ledger, "4711", True)


@pytest.mark.parametrize("word", ["running", "sending", "done", "failed", "cancelled"])
def test_only_what_needs_a_decision_is_decided(ledger: Ledger, word: str) -> None:
    """In every other state it is refused with the state's name, and nothing changes."""
    job, lease = begun(ledger)
    if word == "cancelled":
        ledger.execution.finish(lease, states.CANCELLED)
    elif word != "running":
        ledger.calls.send(lease, CAP)
    if word in ("done", "failed"):
        ledger.calls.store_outcome(lease, SAID_OK if word == "done" else SAID_KO, own_task=None)
    before = everything(ledger)
    for placed in (True, False):
        with pytest.raises(NotPossible, match=f"job {job.job_id} is {word}; only a call"):
            resolve(ledger, job.job_id, placed)
    assert everything(ledger) == before


@pytest.mark.parametrize("end", [states.DONE, states.FAILED])
def test_other_jobs_are_not_decided(ledger: Ledger, end: str) -> None:
    """An export has no such decision."""
    job = ended(ledger, state=end)
    with pytest.raises(NotPossible, match=f"is {end}; only a call"):
        resolve(ledger, job.job_id, end == states.DONE)


@pytest.mark.parametrize("outcome", [SAID_OK, SAID_KO, NO_ANSWER], ids=["OK", "KO", "none"])
@pytest.mark.parametrize("placed", [True, False])
def test_an_answer_after_the_decision_is_told_and_changes_nothing(
    ledger: Ledger, outcome: Outcome, placed: bool
) -> None:
    """The job, its evidence and its receipts stay; the history and an alert have the answer, once
    even where the commit's own answer was lost.
    """
    job, lease = undecided(ledger)
    resolve(ledger, job.job_id, placed)
    before, known = ledger.jobs.job(job.job_id), ledger.calls.of_job(job.job_id)
    with answer_lost(ledger):
        told = ledger.calls.store_outcome(lease, outcome, own_task=None)
    assert told == before == ledger.jobs.job(job.job_id)
    assert ledger.calls.of_job(job.job_id) == known
    assert len(owed(ledger, "receipt")) == 2
    assert steps(ledger, job.job_id)[5:] == [(told.state, told.state)]
    why = ledger.jobs.history(job.job_id)[-1]["why"]
    assert why.startswith(f"an answer arrived after the decision: {outcome.outcome}; ")
    alert = owed(ledger, "alert")[-1]["message"]
    states_told = [one["state"] for one in owed(ledger, "alert")]
    assert states_told == ["open", "resolved", "open"]
    assert why in alert
    assert alert.endswith("compare it with the decision")


def test_an_answer_that_meets_the_decision(open_ledger: OpenLedger) -> None:
    """Whoever is first, nothing is lost: the answer is the outcome and the decision refused, or the
    decision stands and the answer is in the history.
    """
    operator, sender = open_ledger(), open_ledger()

    def decides(job_id: str) -> str:
        try:
            return str(resolve(operator, job_id, False).state)
        except NotPossible:
            return "refused"

    for n in range(8):
        job, lease = sending(sender, account=f"a{n}")
        sender.calls.store_outcome(lease, NO_ANSWER, own_task=None)
        told, answered = at_once(
            partial(decides, job.job_id),
            partial(sender.calls.store_outcome, lease, SAID_OK, own_task=None),
        )
        if told == "refused":
            assert answered.state == state(sender, job) == states.DONE
        else:
            assert state(sender, job) == states.FAILED
            why = sender.jobs.history(job.job_id)[-1]["why"]
            assert why == "an answer arrived after the decision: placed; OK"
