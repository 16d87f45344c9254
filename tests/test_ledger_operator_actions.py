"""What people decide: cancelling a job in any state, and having one done again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ledger.core import states
from ledger.core.schema import jobs
from ledger.errors import NoSuchJob, NotPossible, RequestConflict
from ledger.ledger import Ledger

from .ledgers import (
    NOTIFY,
    QUEUE,
    at_once,
    claim_job,
    ended,
    in_processes,
    opened,
    pass_time,
    request,
    running,
    steps,
    with_parts,
)

OpenLedger = Callable[..., Ledger]


def test_a_pending_job_is_cancelled_at_once(ledger: Ledger) -> None:
    """It ends with the reason, nobody takes it up, and who asked for it is answered and told."""
    job, _ = ledger.opening.open(request(task_id="t1"), by="test", notify=NOTIFY)
    cancelled = ledger.operator_actions.cancel(job.job_id, by="operator", why="not needed")
    assert (cancelled.state, cancelled.reason) == (states.CANCELLED, "not needed")
    assert cancelled.error == {"type": "Cancelled", "message": "not done: not needed"}
    assert ledger.execution.claim(job.job_id) is None
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t1"]
    assert [one.payload["kwargs"]["state"] for one in ledger.outbox.due(limit=9)] == ["cancelled"]
    last = ledger.jobs.history(job.job_id)[-1]
    assert (last["from"], last["to"]) == ("pending", "cancelled")
    assert (last["by"], last["why"]) == ("operator", "not needed")


def test_a_waiting_job_is_cancelled_at_once(ledger: Ledger) -> None:
    """Between two attempts it ends without a third."""
    job, lease = running(ledger)
    ledger.execution.postpone(lease, "not ready", seconds=0)
    ledger.operator_actions.cancel(job.job_id, by="operator")
    assert steps(ledger, job.job_id)[-1] == ("waiting", "cancelled")
    assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []


def test_a_running_job_is_told_at_its_next_renewal(ledger: Ledger) -> None:
    """It continues until its worker hears of it, which then ends it; the wish is in its history."""
    job, lease = running(ledger)
    flagged = ledger.operator_actions.cancel(job.job_id, by="operator", why="not needed")
    assert (flagged.state, flagged.cancel_requested) == (states.RUNNING, True)
    assert not lease.cancelled
    ledger.leases.renew()
    assert lease.cancelled
    ledger.execution.finish(lease, states.CANCELLED, reason="not done: cancelled")
    history = ledger.jobs.history(job.job_id)
    assert history[-2]["why"] == "cancellation requested: not needed"
    assert steps(ledger, job.job_id)[-2:] == [("running", "running"), ("running", "cancelled")]


def test_work_that_ends_before_it_hears_of_a_cancel_has_ended(ledger: Ledger) -> None:
    """What is done is done: a cancel that comes too late does not hide a result."""
    job, lease = running(ledger)
    ledger.operator_actions.cancel(job.job_id, by="operator")
    assert ledger.execution.finish(lease, states.DONE, result={"n": 1}).state == states.DONE


def test_a_job_to_be_cancelled_does_not_wait(ledger: Ledger) -> None:
    """Put off by its worker before it heard of the cancel, it ends there and is answered."""
    job, lease = running(ledger, task_id="t1")
    ledger.operator_actions.cancel(job.job_id, by="operator")
    ledger.execution.postpone(lease, "not ready", seconds=60)
    assert steps(ledger, job.job_id)[-1] == ("running", "cancelled")
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t1"]


def test_a_job_to_be_cancelled_dies_with_its_worker(ledger: Ledger) -> None:
    """Its worker died before it heard of the cancel: nobody takes the job up again."""
    job, _ = running(ledger)
    ledger.operator_actions.cancel(job.job_id, by="operator")
    pass_time(ledger, 31, jobs.c.lease_until)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert (taken.job_id, taken.state) == (job.job_id, states.CANCELLED)


@pytest.mark.parametrize("state", [states.DONE, states.FAILED])
def test_an_end_is_not_cancelled(ledger: Ledger, state: str) -> None:
    """It is refused with the state, and nothing has changed."""
    job = ended(ledger, state=state)
    with pytest.raises(NotPossible, match=f"is {state} and cannot be cancelled"):
        ledger.operator_actions.cancel(job.job_id, by="operator")
    assert ledger.jobs.job(job.job_id) == job


def test_cancelling_twice_is_harmless(ledger: Ledger) -> None:
    """The second one finds it cancelled and adds nothing."""
    job = opened(ledger)
    first = ledger.operator_actions.cancel(job.job_id, by="one")
    assert ledger.operator_actions.cancel(job.job_id, by="two") == first
    assert len(ledger.jobs.history(job.job_id)) == 2


def test_an_unknown_job_is_not_cancelled(ledger: Ledger) -> None:
    """A wrong id is named."""
    with pytest.raises(NoSuchJob, match="4711"):
        ledger.operator_actions.cancel("4711", by="operator")
    with pytest.raises(NoSuchJob, match="4711"):
        ledger.operator_actions.again("4711", by="operator", note="x")


def test_parts_go_with_their_export(ledger: Ledger) -> None:
    """Pending and waiting parts end with it, a running one is flagged, an ended one stays."""
    parent, parts = with_parts(ledger, 4)
    _, runs = claim_job(ledger, parts[0].job_id)
    _, waits = claim_job(ledger, parts[1].job_id)
    ledger.execution.postpone(waits, "not ready", seconds=60)
    _, done = claim_job(ledger, parts[2].job_id)
    ledger.execution.finish(done, states.DONE)
    assert ledger.operator_actions.cancel(parent.job_id, by="operator").state == states.CANCELLED
    assert [ledger.jobs.job(part.job_id).state for part in parts] == [
        "running",
        "cancelled",
        "done",
        "cancelled",
    ]
    ledger.leases.renew()
    assert runs.cancelled


def test_cancelling_while_parts_end(open_ledger: OpenLedger) -> None:
    """A cancel that meets the ends of the export's parts neither fails nor leaves one behind."""
    operator, worker = open_ledger(), open_ledger()
    for time in range(5):
        parent, parts = with_parts(worker, 3, request_id=f"run{time}")
        held = [claim_job(worker, part.job_id)[1] for part in parts[:2]]
        at_once(
            partial(operator.operator_actions.cancel, parent.job_id, by="operator"),
            *[partial(worker.execution.finish, lease, states.DONE) for lease in held],
        )
        assert worker.jobs.job(parent.job_id).state == states.CANCELLED
        assert worker.jobs.job(parts[2].job_id).state == states.CANCELLED
        assert [worker.jobs.job(part.job_id).state for part in parts[:2]] == ["done", "done"]


def test_cancelling_while_the_job_is_taken_up_and_put_off(open_ledger: OpenLedger) -> None:
    """Whatever state the cancel meets, it is heeded: no job continues after one."""
    operator, worker = open_ledger(), open_ledger()

    def attempts(job_id: str) -> None:
        for _ in range(20):
            claimed = worker.execution.claim(job_id)
            if claimed is None:
                return
            worker.execution.postpone(claimed[1], "not ready", seconds=0)

    for n in range(5):
        job = opened(worker, f"r{n}")
        at_once(
            partial(attempts, job.job_id),
            partial(operator.operator_actions.cancel, job.job_id, by="operator"),
        )
        assert worker.jobs.job(job.job_id).state == states.CANCELLED


def test_a_failed_job_is_done_again_under_a_name_of_its_own(ledger: Ledger) -> None:
    """The failure stays; the same work is a new job, #2, then #3, each audited with who and why."""
    first = ended(ledger, state=states.FAILED)
    second, number = ledger.operator_actions.again(first.job_id, by="ana", note="provider is back")
    assert (second.request_id, second.state, second.attempts) == ("r1#2", states.PENDING, 0)
    assert number is not None
    assert (second.parameters, second.queue) == (first.parameters, first.queue)
    assert ledger.jobs.job(first.job_id).state == states.FAILED
    last = ledger.jobs.history(first.job_id)[-1]
    assert (last["by"], last["why"]) == ("ana", "retried: provider is back")
    _, lease = claim_job(ledger, second.job_id)
    ledger.execution.finish(lease, states.CANCELLED)
    for asked in (first, second):
        third, _ = ledger.operator_actions.again(asked.job_id, by="ana", note="once more")
        assert third.request_id == "r1#3"


def test_the_tenth_retry_follows_the_ninth(ledger: Ledger) -> None:
    """The newest is found by when it was opened, not by how its number is spelled."""
    job = ended(ledger, state=states.FAILED)
    for count in range(2, 13):
        again, _ = ledger.operator_actions.again(job.job_id, by="ana", note="x")
        assert again.request_id == f"r1#{count}"
        _, lease = claim_job(ledger, again.job_id)
        ledger.execution.finish(lease, states.FAILED)


def test_a_retry_that_is_open_is_joined(ledger: Ledger) -> None:
    """Asking again while it is at work gives the same job and opens none."""
    job = ended(ledger, state=states.FAILED)
    first, _ = ledger.operator_actions.again(job.job_id, by="ana", note="x")
    assert ledger.operator_actions.again(job.job_id, by="bob", note="y") == (first, None)


def _again(ledger: Ledger, job_id: str) -> str:
    return ledger.operator_actions.again(job_id, by="ana", note="x")[0].request_id


def test_retries_at_once_are_one_job(ledger: Ledger, ledger_url: str) -> None:
    """Several people in the same moment open one further job together."""
    job = ended(ledger, state=states.FAILED)
    assert in_processes(_again, ledger_url, [job.job_id] * 3) == ["r1#2"] * 3


@pytest.mark.parametrize("other", ["axb", "A_B", "a_bc"])
def test_similar_request_ids_are_strangers(ledger: Ledger, other: str) -> None:
    """A retry is of the very request id: neither a wildcard nor the case makes two the same."""
    ended(ledger, "a_b", states.FAILED)
    stranger = ended(ledger, other, states.FAILED)
    for _ in range(2):
        again, _ = ledger.operator_actions.again(stranger.job_id, by="ana", note="x")
        _, lease = claim_job(ledger, again.job_id)
        ledger.execution.finish(lease, states.FAILED)
    mine = ledger.jobs.named("a_b")[0]
    assert ledger.operator_actions.again(mine.job_id, by="ana", note="x")[0].request_id == "a_b#2"


@pytest.mark.parametrize("state", [states.DONE, states.RUNNING])
def test_only_what_failed_is_done_again(ledger: Ledger, state: str) -> None:
    """A job that is done or at work is refused, and no job is opened."""
    job = ended(ledger) if state == states.DONE else running(ledger)[0]
    with pytest.raises(NotPossible, match=f"is {state}, not failed"):
        ledger.operator_actions.again(job.job_id, by="ana", note="x")
    assert sum(ledger.jobs.counts().values()) == 1


def test_a_certified_call_is_never_repeated(ledger: Ledger) -> None:
    """Whatever became of it: to call again is a new request id, and a decision of the caller's."""
    job = ended(ledger, state=states.FAILED, kind="certified_call.request")
    with pytest.raises(NotPossible, match="never retried"):
        ledger.operator_actions.again(job.job_id, by="ana", note="x")


def test_the_callers_id_still_means_the_first_job(ledger: Ledger) -> None:
    """A retry does not change what the caller's own request id is answered with."""
    first = ended(ledger, state=states.FAILED)
    ledger.operator_actions.again(first.job_id, by="ana", note="x")
    assert ledger.opening.open(request(), by="test")[0].job_id == first.job_id
    with pytest.raises(RequestConflict):
        ledger.opening.open(request(parameters={}), by="test")


def test_a_part_whose_name_holds_a_number_sign_is_retried(ledger: Ledger) -> None:
    """What a provider calls its export is in a part's request id: it is no number of a retry, and
    two parts whose names differ by what looks like one are not taken for each other.
    """
    parts = [
        ended(ledger, f"run/{name}", state=states.FAILED, parameters={"provider_job_id": name})
        for name in ("a#b", "c", "c#2")
    ]
    for job in parts:
        again, _ = ledger.operator_actions.again(job.job_id, by="ana", note="x")
        assert again.parameters == job.parameters
        same, number = ledger.operator_actions.again(job.job_id, by="ana", note="x")
        assert (same.job_id, number) == (again.job_id, None)
