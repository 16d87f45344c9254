"""A call of which its sender knows that no byte left waits and is tried again: the sender's own
token alone brings it back, and never after its outcome was reported as unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import Connection, create_engine, text

from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.schema import jobs
from ledger.errors import LeaseLost, LedgerAway, NotPossible
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    NOTHING_LEFT,
    SAID_KO,
    SAID_OK,
    another_holds_it,
    another_sends_it,
    begun,
    counted,
    everything,
    its_worker_dies,
    owed,
    refused_by_the_cap,
    sending,
    sends,
    state,
    undecided,
)
from .ledgers import NOTIFY, QUEUE, answer_lost, at_once, claim_job, commit_lost, pass_time, steps

OpenLedger = Callable[..., Ledger]

WHY = "the ledger took too long; nothing was sent, and the call will be retried"
HELD = {"running": begun, "sending": sending}


def take_back(ledger: Ledger, lease: Lease, seconds: float = 0) -> Job:
    """The sender takes its call back."""
    return ledger.calls.take_back(
        lease, WHY, seconds=seconds, work={"busy": 1}, unsent=NOTHING_LEFT, own_task=None
    )


@pytest.mark.parametrize("word", HELD)
def test_a_call_that_is_taken_back_is_placed_by_the_next_attempt(ledger: Ledger, word: str) -> None:
    """It waits with its reason and its place under the cap, no obligation is opened, no end is
    reported; the next holder sends it, and the first one cannot any more.
    """
    job, lease = HELD[word](ledger, notify=NOTIFY, task_id="t1")
    back = take_back(ledger, lease)
    assert (back.state, back.reason, back.work) == (states.WAITING, WHY, {"busy": 1})
    assert steps(ledger, job.job_id)[-1] == (word, "waiting")
    assert ledger.jobs.history(job.job_id)[-1]["why"] == WHY
    known = ledger.calls.of_job(job.job_id)
    assert known is not None
    assert (known["outcome"], known["sent_at"]) == (None, None)
    assert counted(ledger) == [1]
    assert owed(ledger, "receipt") == owed(ledger, "notify") == owed(ledger, "alert") == []
    with pytest.raises(LeaseLost):
        lease.check()
    assert len(ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True)) == 1
    _, other = claim_job(ledger, job.job_id)
    assert sends(ledger, lease) == "LeaseLost"
    ledger.calls.send(other, CAP)
    assert ledger.calls.store_outcome(other, SAID_OK, own_task=None).state == states.DONE
    assert counted(ledger) == [1]
    assert [one["outcome"] for one in owed(ledger, "receipt")] == ["placed"]


def test_its_wait_ends_at_not_after(ledger: Ledger) -> None:
    """A wait that would be longer ends there, so that its caller hears of it in time."""
    _, lease = sending(ledger, lifetime_seconds=60.0)
    back = take_back(ledger, lease, seconds=300)
    assert back.next_attempt_at == back.not_after
    _, lease = sending(ledger, "r2")
    back = take_back(ledger, lease, seconds=30)
    assert back.next_attempt_at is not None
    assert 25 < back.next_attempt_at - back.updated_at < 35


@pytest.mark.parametrize("lost", [answer_lost, commit_lost])
@pytest.mark.parametrize("word", HELD)
def test_a_commit_that_was_not_confirmed_takes_it_back_once(
    ledger: Ledger, word: str, lost: Callable[[Ledger], object]
) -> None:
    """Repeated by itself, it changes the row once, whether or not the first commit was written."""
    job, lease = HELD[word](ledger)
    with lost(ledger):  # type: ignore[attr-defined]
        assert take_back(ledger, lease).state == states.WAITING
    assert steps(ledger, job.job_id)[-2:][1] == (word, "waiting")
    assert [step[1] for step in steps(ledger, job.job_id)].count("waiting") == 1
    assert counted(ledger) == [1]


def test_the_same_twice_changes_nothing_more(ledger: Ledger) -> None:
    """Nor does it once another attempt has begun: that one belongs to its own holder."""
    job, lease = sending(ledger)
    take_back(ledger, lease)
    before = everything(ledger)
    assert take_back(ledger, lease).state == states.WAITING
    assert everything(ledger) == before
    claim_job(ledger, job.job_id)
    before = everything(ledger)
    with pytest.raises(LeaseLost):
        take_back(ledger, lease)
    assert everything(ledger) == before


@pytest.mark.parametrize("other", [another_holds_it, another_sends_it])
def test_another_token_takes_nothing_back(
    ledger: Ledger, other: Callable[[Ledger, str], None]
) -> None:
    """Who held the call before cannot take it from its present holder or sender."""
    job, late = begun(ledger)
    other(ledger, job.job_id)
    before = everything(ledger)
    with pytest.raises(LeaseLost):
        take_back(ledger, late)
    assert everything(ledger) == before


def test_another_token_does_not_end_what_needs_a_decision(ledger: Ledger) -> None:
    """The sender may have sent it; an earlier holder knows nothing of that."""
    job, late = begun(ledger)
    another_sends_it(ledger, job.job_id)
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    before = everything(ledger)
    assert take_back(ledger, late).state == states.NEEDS_DECISION
    assert everything(ledger) == before


@pytest.mark.parametrize("outcome", [SAID_OK, SAID_KO], ids=["placed", "refused"])
def test_a_call_that_was_answered_is_not_taken_back(ledger: Ledger, outcome: object) -> None:
    """An outcome stands, even if its sender reports something else later."""
    _, lease = sending(ledger)
    told = ledger.calls.store_outcome(lease, outcome, own_task=None)  # type: ignore[arg-type]
    before = everything(ledger)
    assert take_back(ledger, lease) == told
    assert everything(ledger) == before


def test_once_it_needs_a_decision_it_ends_and_is_never_tried_again(ledger: Ledger) -> None:
    """Its caller was asked for a decision and may have called under another id: the sender's
    knowledge ends it as not sent, and no attempt follows.
    """
    job, lease = undecided(ledger, notify=NOTIFY, task_id="t1")
    with answer_lost(ledger):
        assert take_back(ledger, lease).state == states.FAILED
    assert [one["outcome"] for one in owed(ledger, "receipt")] == ["unknown", "unsent"]
    assert [one["kwargs"]["state"] for one in owed(ledger, "notify")] == [
        "needs_decision",
        "failed",
    ]
    assert steps(ledger, job.job_id)[-1] == ("needs_decision", "failed")
    pass_time(ledger, 10_000, jobs.c.updated_at, jobs.c.hinted_at)
    assert ledger.lease_expiry.take_from_the_dead() == []
    assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []
    assert ledger.execution.claim(job.job_id) is None


@pytest.mark.parametrize("placed", [True, False])
def test_after_a_decision_it_stays_as_it_was_decided(ledger: Ledger, placed: bool) -> None:
    """A person's word stands; an alert says once that nothing had left."""
    job, lease = undecided(ledger)
    decided = ledger.operator_actions.resolve(job.job_id, placed=placed, by="ana", note="seen")
    with answer_lost(ledger):
        assert take_back(ledger, lease) == decided
    assert take_back(ledger, lease) == decided == ledger.jobs.job(job.job_id)
    why = ledger.jobs.history(job.job_id)[-1]["why"]
    assert why.startswith("an answer arrived after the decision: unsent; ")
    assert [step for step in steps(ledger, job.job_id) if step[1] == "waiting"] == []
    assert ledger.execution.claim(job.job_id) is None


def test_a_call_that_was_to_be_cancelled_ends_cancelled(ledger: Ledger) -> None:
    """Asked for while it ran; its place under the cap is free again."""
    job, lease = begun(ledger)
    ledger.operator_actions.cancel(job.job_id, by="ana")
    assert take_back(ledger, lease).state == states.CANCELLED
    assert take_back(ledger, lease).state == states.CANCELLED
    assert steps(ledger, job.job_id)[-1] == ("running", "cancelled")
    assert counted(ledger) == [0]


def test_while_it_waits_it_can_be_cancelled_and_frees_its_place(ledger: Ledger) -> None:
    """It was never sent, so its end gives its place under the cap back."""
    job, lease = sending(ledger, details=CAP)
    for n in (2, 3):
        begun(ledger, f"r{n}")
    assert refused_by_the_cap(ledger, "r4")
    take_back(ledger, lease)
    assert refused_by_the_cap(ledger, "r4"), "it gave its place away while it waits"
    ledger.operator_actions.cancel(job.job_id, by="ana")
    assert not refused_by_the_cap(ledger, "r4")


def test_in_quarantine_it_needs_a_decision(ledger: Ledger) -> None:
    """The ledger may be a copy, and the call may have been placed after it was made."""
    job, lease = sending(ledger)
    ledger.identity.quarantine()
    assert take_back(ledger, lease).state == states.NEEDS_DECISION
    assert steps(ledger, job.job_id)[-1] == ("sending", "needs_decision")
    assert take_back(ledger, lease).state == states.NEEDS_DECISION


def test_a_sender_that_meets_the_sweeper(open_ledger: OpenLedger) -> None:
    """The first decides: the call waits and is tried again, or needed a decision and ended."""
    sweeper, sender = open_ledger(), open_ledger()
    for n in range(8):
        job, lease = sending(sender, account=f"a{n}")
        its_worker_dies(sender)
        at_once(sweeper.lease_expiry.take_from_the_dead, partial(take_back, sender, lease))
        path = [step[1] for step in steps(sender, job.job_id)][3:]
        assert path in (["waiting"], ["needs_decision", "failed"])
        assert state(sender, job) == path[-1]


def test_a_sender_that_meets_a_person(open_ledger: OpenLedger) -> None:
    """A decision and the sender's word at once: one of them is the end, and nothing is retried."""
    operator, sender = open_ledger(), open_ledger()
    for n in range(8):
        job, lease = undecided(sender, account=f"a{n}")
        at_once(partial(_decides, operator, job.job_id), partial(take_back, sender, lease))
        assert state(sender, job) == states.FAILED
        assert sender.execution.claim(job.job_id) is None


def _decides(operator: Ledger, job_id: str) -> None:
    with suppress(NotPossible):
        operator.operator_actions.resolve(job_id, placed=False, by="ana", note="seen")


def test_a_permission_that_is_still_under_way_is_waited_for(
    ledger: Ledger, ledger_url: str
) -> None:
    """Its commit was not confirmed but may come yet: taking the call back waits for it, and finds
    what it left.
    """
    job, lease = begun(ledger)
    engine = create_engine(ledger_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as under_way:
        _begin_sending(under_way, job.job_id)
        told: list[Job] = []
        taking = threading.Thread(target=lambda: told.append(take_back(ledger, lease)))
        taking.start()
        taking.join(1)
        assert taking.is_alive(), "it did not wait"
        under_way.execute(text("COMMIT"))
        taking.join(30)
    engine.dispose()
    assert [one.state for one in told] == [states.WAITING]
    assert steps(ledger, job.job_id)[-1] == ("sending", "waiting")


def _begin_sending(connection: Connection, job_id: str) -> None:
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(text("BEGIN IMMEDIATE" if sqlite else "BEGIN"))
    noted = "UPDATE jobs SET state = 'sending' WHERE job_id = :job_id AND state = 'running'"
    connection.execute(text(noted), {"job_id": job_id})


def test_with_the_ledger_away_it_stays_until_it_is_back(
    open_ledger: OpenLedger, ledger_url: str
) -> None:
    """A lock that stays raises LedgerAway; once it is gone, the row can be taken back."""
    ledger = open_ledger(lease_seconds=10)
    job, lease = sending(ledger)
    engine = create_engine(ledger_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        _begin_sending(other, job.job_id)
        if not ledger.database.is_sqlite:
            other.execute(text("SELECT 1 FROM jobs FOR UPDATE"))
        with pytest.raises(LedgerAway):
            take_back(ledger, lease)
        other.execute(text("ROLLBACK"))
    engine.dispose()
    assert state(ledger, job) == states.SENDING
    assert take_back(ledger, lease).state == states.WAITING


def test_it_is_counted_once_however_often_it_is_taken_back(ledger: Ledger) -> None:
    """Each attempt uses the place that the call has."""
    job, lease = sending(ledger)
    take_back(ledger, lease)
    _, other = claim_job(ledger, job.job_id)
    ledger.calls.send(other, CAP)
    take_back(ledger, other)
    _, third = claim_job(ledger, job.job_id)
    ledger.calls.send(third, CAP)
    ledger.calls.store_outcome(third, SAID_KO, own_task=None)
    assert counted(ledger) == [1]


def test_a_sender_that_meets_a_cancellation(open_ledger: OpenLedger) -> None:
    """The order does not matter: the call ends as cancelled, once, and gives its place back."""
    operator, sender = open_ledger(), open_ledger()
    for n in range(8):
        job, lease = begun(sender, account=f"a{n}")
        at_once(
            partial(operator.operator_actions.cancel, job.job_id, by="ana"),
            partial(take_back, sender, lease),
        )
        assert state(sender, job) == states.CANCELLED
        assert [step[1] for step in steps(sender, job.job_id)].count("cancelled") == 1
        assert sender.execution.claim(job.job_id) is None
        assert counted(sender, f"a{n}") == [0]


def test_a_sender_that_meets_the_next_attempt(open_ledger: OpenLedger) -> None:
    """Taken back twice at once while another worker takes the call up: one attempt may send."""
    other, sender = open_ledger(), open_ledger()
    for n in range(8):
        job, lease = sending(sender, account=f"a{n}")
        take_back(sender, lease)
        claimed: list[tuple[Job, Lease]] = []

        def claim(job_id: str = job.job_id, into: list[tuple[Job, Lease]] = claimed) -> None:
            into.append(claim_job(other, job_id))

        def again(own: Lease = lease) -> None:
            with suppress(LeaseLost):
                take_back(sender, own)

        at_once(claim, again)
        assert state(sender, job) == states.RUNNING
        assert sends(sender, lease) == "LeaseLost"
        assert sends(other, claimed[0][1]) == "sent"
        with pytest.raises(LeaseLost):
            take_back(sender, lease)
        assert state(sender, job) == states.SENDING
