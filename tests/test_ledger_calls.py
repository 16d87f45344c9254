"""Certified calls in the ledger: begun by one, sent once, and every outcome kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ledger.core import states
from ledger.core.schema import jobs
from ledger.daily_quota import Cap
from ledger.errors import CapReached, Expired, LeaseLost, LedgerError, NotPossible, RequestConflict
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    SAID_OK,
    another_holds_it,
    another_sends_it,
    begins,
    begun,
    call,
    counted,
    everything,
    its_worker_dies,
    sending,
    sends,
    state,
)
from .ledgers import QUEUE, answer_lost, at_once, commit_lost, in_processes, pass_time, steps

OpenLedger = Callable[..., Ledger]


def test_a_call_is_opened_and_held_in_one_step(ledger: Ledger) -> None:
    """Its row, its waiter, its place under the cap and its lease are there at once, and no hint of
    it goes out.
    """
    job, lease = begun(ledger, task_id="t1")
    assert (job.state, job.attempts, job.job_id) == (states.RUNNING, 1, lease.job_id)
    assert steps(ledger, job.job_id) == [(None, "pending"), ("pending", "running")]
    assert ledger.waiters.job_of("t1") == job.job_id
    assert counted(ledger) == [1]
    assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []
    assert job.not_after is not None
    assert 890 < job.not_after - job.created_at < 910


def test_who_joins_holds_nothing(ledger: Ledger) -> None:
    """The same request under another task id finds the row, in whatever state, and waits."""
    job, lease = begun(ledger, task_id="t1")
    assert begins(ledger, call(task_id="t2")) == (job.job_id, False)
    ledger.calls.send(lease, CAP)
    assert begins(ledger, call(task_id="t3")) == (job.job_id, False)
    ledger.calls.store_outcome(lease, SAID_OK, own_task="t1")
    assert begins(ledger, call(task_id="t4")) == (job.job_id, False)
    assert counted(ledger) == [1]
    assert [ledger.waiters.job_of(f"t{n}") for n in (1, 2, 3, 4)] == [job.job_id] * 4


def test_other_parameters_are_a_conflict_and_change_nothing(ledger: Ledger) -> None:
    """The id was used: no second call, no waiter, no place under the cap."""
    begun(ledger)
    before = everything(ledger)
    with pytest.raises(RequestConflict, match="other parameters"):
        ledger.execution.begin(call(task_id="t2", parameters={"phone": "+34660111223"}), by="test")
    assert everything(ledger) == before


def test_two_who_begin_at_once_are_one_call(open_ledger: OpenLedger) -> None:
    """One of them holds it, the other joins; with a cap of one as well, so that nobody is alerted
    of a cap that was reached by this very call.
    """
    here, there = open_ledger(), open_ledger()
    for n in range(8):
        asked = call(account=f"a{n}", details=Cap(1, "UTC"))
        told = at_once(*[partial(begins, one, asked) for one in (here, there, here, there)])
        assert sorted(told) == [(asked.job_id, False)] * 3 + [(asked.job_id, True)]
        assert counted(here, f"a{n}") == [1]


def _begins_last(ledger: Ledger, task_id: str) -> tuple[str, bool]:
    return begins(ledger, call(task_id=task_id, details=Cap(1, "UTC")))


def test_processes_that_begin_at_once_are_one_call(ledger: Ledger, ledger_url: str) -> None:
    """The same across processes: one lease, one row, one history."""
    told = in_processes(_begins_last, ledger_url, [f"t{n}" for n in range(4)])
    assert sorted(told) == [(call().job_id, False)] * 3 + [(call().job_id, True)]
    assert steps(ledger, call().job_id) == [(None, "pending"), ("pending", "running")]


def test_a_beginning_whose_answer_was_lost(ledger: Ledger) -> None:
    """It recognises its own row and holds it; the row, its place and its waiter are there once."""
    with answer_lost(ledger):
        job, lease = begun(ledger, task_id="t1")
    assert (job.state, job.attempts) == (states.RUNNING, 1)
    assert counted(ledger) == [1]
    assert len(ledger.jobs.history(job.job_id)) == 2
    ledger.calls.send(lease, CAP)


def test_sending_is_noted_once_and_leads_nowhere_back(ledger: Ledger) -> None:
    """From then on nobody takes it up, puts it off, ends it as not sent, or cancels it."""
    job, lease = sending(ledger)
    assert state(ledger, job) == states.SENDING
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert known["outcome"] == "unknown"
    assert known["sent_at"] is not None
    before = everything(ledger)
    assert ledger.execution.claim(job.job_id) is None
    assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []
    with pytest.raises(NotPossible, match="is sending and cannot be cancelled"):
        ledger.operator_actions.cancel(job.job_id, by="operator")
    with pytest.raises(LeaseLost):
        ledger.execution.postpone(lease, "once more", seconds=0)
    with pytest.raises(LeaseLost):
        ledger.execution.finish(lease, states.FAILED)
    assert everything(ledger) == before


def test_a_sender_that_lives_keeps_its_call(ledger: Ledger) -> None:
    """Its lease is renewed while it waits for the answer, and no sweeper takes the call."""
    job, lease = sending(ledger)
    its_worker_dies(ledger)
    lease.progress(60)
    ledger.leases.renew()
    assert ledger.lease_expiry.take_from_the_dead() == []
    assert ledger.calls.store_outcome(lease, SAID_OK, own_task=None).state == states.DONE
    assert steps(ledger, job.job_id)[2:] == [("running", "sending"), ("sending", "done")]


def _cancelled(ledger: Ledger, job_id: str) -> None:
    ledger.operator_actions.cancel(job_id, by="operator")


REFUSED: dict[str, tuple[Callable[[Ledger, str], object], type[LedgerError], str]] = {
    "its lease has run out": (lambda ledger, _: its_worker_dies(ledger), LeaseLost, "was lost"),
    "another holds it": (another_holds_it, LeaseLost, "was lost"),
    "another sends it": (another_sends_it, LeaseLost, "was lost"),
    "it was cancelled": (_cancelled, NotPossible, "was cancelled while it ran"),
    "it is too late": (
        lambda ledger, _: pass_time(ledger, 901, jobs.c.not_after),
        Expired,
        "not_after had passed before anything was sent",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_may_not_be_sent_changes_nothing(ledger: Ledger, why: str) -> None:
    """One statement decides, and where it refuses the row, the cap and the history stay."""
    happens, error, sentence = REFUSED[why]
    job, lease = begun(ledger)
    happens(ledger, job.job_id)
    before = everything(ledger)
    with pytest.raises(error, match=sentence):
        ledger.calls.send(lease, CAP)
    assert everything(ledger) == before


def test_a_cap_that_was_lowered_holds_a_call_back(ledger: Ledger) -> None:
    """It stays with its holder, who may put it off; nothing was changed."""
    job, lease = begun(ledger)
    begun(ledger, "r2")
    before = everything(ledger)
    with pytest.raises(CapReached, match=r"held back: account 'legal' has reached its 1 "):
        ledger.calls.send(lease, Cap(1, CAP.timezone))
    assert everything(ledger) == before
    ledger.execution.postpone(lease, "held back", seconds=60)
    assert state(ledger, job) == states.WAITING


def test_a_lease_that_its_holder_no_longer_trustssends_nothing(ledger: Ledger) -> None:
    """The holder's own clock decides before the database is asked."""
    job, lease = begun(ledger)
    ledger.leases.drop(lease)
    with pytest.raises(LeaseLost):
        ledger.calls.send(lease, CAP)
    assert state(ledger, job) == states.RUNNING


def test_the_same_holder_sends_no_second_time(ledger: Ledger) -> None:
    """Whatever asks again with the token that is sending already is refused: bytes left once."""
    job, lease = sending(ledger)
    before = everything(ledger)
    with pytest.raises(LeaseLost):
        ledger.calls.send(lease, CAP)
    assert everything(ledger) == before
    assert state(ledger, job) == states.SENDING


def test_a_permission_whose_answer_was_lost(ledger: Ledger) -> None:
    """The commit that allows the bytes to leave was written: it is recognised, and noted once."""
    job, lease = begun(ledger)
    with answer_lost(ledger):
        ledger.calls.send(lease, CAP)
    assert steps(ledger, job.job_id)[2:] == [("running", "sending")]
    assert counted(ledger) == [1]
    assert ledger.calls.store_outcome(lease, SAID_OK, own_task=None).state == states.DONE


def test_a_permission_that_did_not_reach_the_database(ledger: Ledger) -> None:
    """It is written by the next try, before the holder is allowed anything: else bytes would leave
    of a call that the ledger takes for unsent, and lets another send.
    """
    job, lease = begun(ledger)
    with commit_lost(ledger):
        ledger.calls.send(lease, CAP)
    assert state(ledger, job) == states.SENDING
    assert steps(ledger, job.job_id)[2:] == [("running", "sending")]


def test_one_of_many_who_send_at_once(open_ledger: OpenLedger) -> None:
    """With one and the same token as well: one is allowed, on either database."""
    here, there = open_ledger(), open_ledger()
    for n in range(5):
        _, lease = begun(here, account=f"a{n}")
        told = at_once(*[partial(sends, one, lease) for one in (here, there, here, there)])
        assert sorted(told) == ["LeaseLost"] * 3 + ["sent"]


def test_a_cancel_that_meets_the_sending(open_ledger: OpenLedger) -> None:
    """Either it is cancelled and nothing leaves, or it is sending and the cancel is refused."""
    worker, operator = open_ledger(), open_ledger()

    def cancels(job_id: str) -> str:
        try:
            return operator.operator_actions.cancel(job_id, by="operator").state
        except NotPossible:
            return "refused"

    for n in range(8):
        job, lease = begun(worker, account=f"a{n}")
        told = at_once(partial(sends, worker, lease), partial(cancels, job.job_id))
        assert told in (["sent", "refused"], ["NotPossible", "running"])


def test_a_late_worker_finds_the_call_sent(open_ledger: OpenLedger) -> None:
    """It slept between taking the call up and sending; another has sent it: nothing leaves."""
    sleeper, other = open_ledger(), open_ledger()
    job, lease = begun(sleeper)
    another_sends_it(other, job.job_id)
    assert sends(sleeper, lease) == "LeaseLost"
    assert state(sleeper, job) == states.SENDING
