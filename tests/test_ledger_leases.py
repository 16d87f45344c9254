"""Who works on a job, what a stale holder may do (nothing), and who takes over."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import event

from ledger.core import states
from ledger.core.schema import jobs
from ledger.errors import LeaseLost
from ledger.ledger import Ledger

from .ledger_calls import sending
from .ledgers import (
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
)

OpenLedger = Callable[..., Ledger]


def _row(ledger: Ledger, job_id: str) -> dict[str, object]:
    """The whole row of a job, lease included."""
    return ledger.database.read(
        lambda connection: dict(
            connection.execute(jobs.select().where(jobs.c.job_id == job_id)).one()._mapping
        )
    )


def test_one_of_many_threads_takes_a_job_up(ledger: Ledger) -> None:
    """However many heed the same hint in the same moment, one holds the job."""
    job = opened(ledger)
    claimed = at_once(*[lambda: ledger.execution.claim(job.job_id, 1) for _ in range(12)])
    assert len([one for one in claimed if one is not None]) == 1
    assert steps(ledger, job.job_id) == [(None, "pending"), ("pending", "running")]


def _claim(ledger: Ledger, job_id: str) -> bool:
    return ledger.execution.claim(job_id) is not None


def test_one_of_many_processes_takes_a_job_up(ledger: Ledger, ledger_url: str) -> None:
    """Two workers that were told of the same job: one holds it."""
    job = opened(ledger)
    assert sorted(in_processes(_claim, ledger_url, [job.job_id] * 3)) == [False, False, True]


def test_a_job_that_is_not_due_is_not_taken_up(ledger: Ledger) -> None:
    """A hint decides nothing: a waiting job is left alone before its time, and taken up after."""
    job, lease = running(ledger)
    ledger.execution.postpone(lease, "not ready", seconds=60)
    assert ledger.execution.claim(job.job_id) is None
    pass_time(ledger, 61, jobs.c.next_attempt_at)
    again, _ = claim_job(ledger, job.job_id)
    assert (again.state, again.attempts) == (states.RUNNING, 2)


def test_every_change_is_audited(ledger: Ledger) -> None:
    """Taken up, put off, taken up, ended: each is a row that says when, from, to, by whom, why."""
    job, lease = running(ledger)
    ledger.execution.postpone(lease, "not ready", seconds=0)
    _, lease = claim_job(ledger, job.job_id)
    ledger.execution.finish(lease, states.FAILED, reason="not done: gone")
    history = ledger.jobs.history(job.job_id)
    assert steps(ledger, job.job_id) == [
        (None, "pending"),
        ("pending", "running"),
        ("running", "waiting"),
        ("waiting", "running"),
        ("running", "failed"),
    ]
    whys = ["opened", "claimed", "not ready", "claimed", "not done: gone"]
    assert [change["why"] for change in history] == whys
    assert {change["by"] for change in history[1:]} == {ledger.worker}
    assert history[0]["by"] == "test"
    assert all(change["at"].endswith("Z") for change in history)


def test_work_is_kept_from_attempt_to_attempt(ledger: Ledger) -> None:
    """What an attempt noted, the next one finds; an attempt moved to another queue is due there."""
    job, lease = running(ledger, work={"a": 1})
    assert job.work == {"a": 1}
    ledger.execution.note(lease, {"a": 2})
    assert ledger.jobs.job(job.job_id).work == {"a": 2}
    ledger.execution.postpone(lease, "further", seconds=0, work={"a": 3}, queue="elsewhere")
    assert ledger.wakeups.due(QUEUE, room=5, queue_is_empty=True) == []
    (hint,) = ledger.wakeups.due("elsewhere", room=5, queue_is_empty=True)
    assert hint.job_id == job.job_id
    again, _ = claim_job(ledger, job.job_id)
    assert again.work == {"a": 3}


@pytest.mark.parametrize("state", [states.DONE, states.FAILED, states.CANCELLED])
def test_an_end_is_never_left(ledger: Ledger, state: str) -> None:
    """An ended job is not taken up, taken from the dead, announced or changed by its holder."""
    job, lease = running(ledger)
    ledger.execution.finish(lease, state, result={"n": 1})
    before = _row(ledger, job.job_id)
    pass_time(ledger, 3600, jobs.c.hinted_at)
    assert ledger.execution.claim(job.job_id) is None
    assert ledger.lease_expiry.take_from_the_dead() == []
    assert ledger.wakeups.due(QUEUE, room=5, queue_is_empty=True) == []
    for write in (
        lambda: ledger.execution.note(lease, {"late": 1}),
        lambda: ledger.execution.postpone(lease, "late", seconds=0),
        lambda: ledger.execution.await_parts(lease, [request("p")], work={}, queue=QUEUE),
    ):
        with pytest.raises(LeaseLost):
            write()
    ledger.wakeups.put_back(job.job_id, seconds=1)
    assert _row(ledger, job.job_id) == before


def test_a_stale_holder_changes_nothing(open_ledger: OpenLedger) -> None:
    """Once a job passed to another, no write of its former holder changes a row; each raises
    LeaseLost.
    """
    former, latter = open_ledger(), open_ledger()
    job, lease = running(former)
    pass_time(former, 31, jobs.c.lease_until)
    assert [one.job_id for one in latter.lease_expiry.take_from_the_dead()] == [job.job_id]
    claim_job(latter, job.job_id)
    before, history = _row(latter, job.job_id), latter.jobs.history(job.job_id)
    for write in (
        lambda: former.execution.note(lease, {"late": 1}),
        lambda: former.execution.postpone(lease, "late", seconds=0),
        lambda: former.execution.await_parts(lease, [request("part")], work={}, queue=QUEUE),
        lambda: former.execution.finish(
            lease, states.DONE, result={"late": 1}, obligations=[("chain", {})]
        ),
    ):
        with pytest.raises(LeaseLost, match=f"job {job.job_id} was lost"):
            write()
    assert _row(latter, job.job_id) == before
    assert latter.jobs.history(job.job_id) == history
    assert latter.outbox.due(limit=5) == []
    assert latter.jobs.jobs(kind="export.create", limit=5) == [latter.jobs.job(job.job_id)]


def test_a_stale_holder_is_stopped_before_the_job_is_taken_up_again(ledger: Ledger) -> None:
    """Between the death of a lease and the next attempt, the former holder may write nothing."""
    job, lease = running(ledger)
    pass_time(ledger, 31, jobs.c.lease_until)
    ledger.lease_expiry.take_from_the_dead()
    with pytest.raises(LeaseLost):
        ledger.execution.finish(lease, states.DONE)
    with pytest.raises(LeaseLost):
        ledger.execution.postpone(lease, "late", seconds=5)
    assert ledger.jobs.job(job.job_id).state == states.WAITING


def test_a_dead_worker_is_noticed_by_one(open_ledger: OpenLedger) -> None:
    """Two sweepers that notice a dead lease at once: the job is taken from it once."""
    ledgers = [open_ledger(), open_ledger()]
    job, _ = running(ledgers[0])
    pass_time(ledgers[0], 31, jobs.c.lease_until)
    taken = at_once(*[one.lease_expiry.take_from_the_dead for one in ledgers])
    assert sum(len(one) for one in taken) == 1
    again = ledgers[0].jobs.job(job.job_id)
    assert (again.state, again.takeovers) == (states.WAITING, 1)
    assert again.reason == "its worker stopped responding; another worker continues"


def test_a_live_lease_is_left_alone(ledger: Ledger) -> None:
    """Nothing is taken from a worker whose lease has not run out."""
    running(ledger)
    assert ledger.lease_expiry.take_from_the_dead() == []


def test_a_lease_renewed_under_the_sweepers_eyes_is_left_alone(open_ledger: OpenLedger) -> None:
    """The sweeper has read that it ran out, and then its holder renews it: of two jobs, and of a
    call that is being sent, none is taken away.
    """
    sweeper, worker = open_ledger(), open_ledger()
    held = [running(worker, "r1"), running(worker, "r2"), sending(worker, "call")]
    pass_time(worker, 31, jobs.c.lease_until)
    before = [steps(worker, job.job_id) for job, _ in held]
    looked: list[bool] = []

    def renew(*_: object) -> None:
        if not looked:
            looked.append(True)
            worker.leases.renew()

    event.listen(sweeper.database.engine, "after_cursor_execute", renew)
    assert sweeper.lease_expiry.take_from_the_dead() == []
    assert looked
    assert [steps(worker, job.job_id) for job, _ in held] == before


def test_the_fifth_dead_worker_ends_the_job(ledger: Ledger) -> None:
    """Four deaths are forgiven; at the fifth the job ends failed, with the reason, and is answered
    like any other end.
    """
    job = opened(ledger, task_id="t1")
    for death in range(1, 6):
        claim_job(ledger, job.job_id)
        pass_time(ledger, 31, jobs.c.lease_until)
        (taken,) = ledger.lease_expiry.take_from_the_dead()
        assert taken.takeovers == death
        assert taken.state == (states.FAILED if death == 5 else states.WAITING)
    assert taken.reason is not None
    assert "its worker died five times" in taken.reason
    assert taken.error is not None
    assert taken.error["message"].startswith("unknown: ")
    assert steps(ledger, job.job_id)[-1] == ("running", "failed")
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=5)] == ["t1"]


def test_progress_forgives_earlier_deaths(ledger: Ledger) -> None:
    """A job that comes further between the deaths of its workers is not given up."""
    job = opened(ledger)
    for _ in range(6):
        claim_job(ledger, job.job_id)
        pass_time(ledger, 31, jobs.c.lease_until)
        ledger.lease_expiry.take_from_the_dead()
        _, lease = claim_job(ledger, job.job_id)
        ledger.execution.postpone(lease, "came further", seconds=0, progressed=True)
    assert ledger.jobs.job(job.job_id).state == states.WAITING


def test_a_lease_is_judged_by_the_holders_own_clock(open_ledger: OpenLedger) -> None:
    """After two thirds without a confirmed renewal a holder stops and stores nothing, though no
    other has the job yet and the row would still take its write.
    """
    ledger = open_ledger(lease_seconds=4)
    job, lease = running(ledger)
    pass_time(ledger, -60, jobs.c.lease_until)
    lease.progress(within_seconds=-1)
    assert lease.trusted_seconds() <= ledger.leases.seconds * 2 / 3
    while lease.trusted_seconds() > 0:
        time.sleep(0.05)
    assert ledger.lease_expiry.take_from_the_dead() == []
    with pytest.raises(LeaseLost):
        lease.check()
    with pytest.raises(LeaseLost):
        ledger.execution.finish(lease, states.DONE)
    assert ledger.jobs.job(job.job_id).state == states.RUNNING


def test_a_lease_judged_lost_stays_lost(open_ledger: OpenLedger) -> None:
    """A holder may have stopped half-way: a renewal that comes late brings nothing back."""
    ledger = open_ledger(lease_seconds=0.6)
    _, lease = running(ledger)
    lease.progress(within_seconds=-1)
    time.sleep(0.45)
    with pytest.raises(LeaseLost):
        lease.confirm(time.monotonic())
    with pytest.raises(LeaseLost):
        lease.check()


def test_work_that_goes_on_keeps_its_job(open_ledger: OpenLedger) -> None:
    """The process's renewal thread keeps the lease of work that gives signs of life for longer
    than the lease was first granted.
    """
    ledger = open_ledger(lease_seconds=18)
    job, lease = running(ledger)
    granted_until = _row(ledger, job.job_id)["lease_until"]
    while _row(ledger, job.job_id)["lease_until"] <= granted_until + ledger.leases.seconds / 2:
        lease.check()
        lease.progress()
        assert ledger.lease_expiry.take_from_the_dead() == []
        time.sleep(0.3)
    lease.check()
    assert ledger.execution.finish(lease, states.DONE).takeovers == 0
    assert ledger.jobs.job(job.job_id).state == states.DONE


def test_work_that_hangs_loses_its_job(open_ledger: OpenLedger) -> None:
    """A process that lives renews nothing for work that gives no sign of life."""
    ledger = open_ledger(lease_seconds=0.6)
    job, lease = running(ledger)
    until = time.monotonic() + 60
    while not (taken := ledger.lease_expiry.take_from_the_dead()):
        assert time.monotonic() < until, "the job stayed with work that hangs"
        time.sleep(0.05)
    assert taken[0].job_id == job.job_id
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_long_call_announces_itself(open_ledger: OpenLedger) -> None:
    """Work that says how long its next call may be silent keeps its lease for that long only."""
    ledger = open_ledger(lease_seconds=4)
    _, lease = running(ledger)
    lease.progress(within_seconds=6)
    begun = time.monotonic()
    while not ledger.lease_expiry.take_from_the_dead():
        assert time.monotonic() < begun + 60, "the job stayed with work that hangs"
        time.sleep(0.2)
    assert time.monotonic() - begun > 5.9


def test_one_statement_renews_every_lease(open_ledger: OpenLedger) -> None:
    """A round renews what is alive, leaves what hangs, notices what was taken away or is to be
    cancelled, and carries the figures of transfers.
    """
    ledger = open_ledger(lease_seconds=30)
    held = {name: running(ledger, name) for name in ("alive", "hangs", "gone", "cancelled")}
    held["hangs"][1].progress(within_seconds=-1)
    ledger.database.write(
        lambda c: c.execute(
            jobs.update().where(jobs.c.request_id == "gone").values(lease_token="another")
        )
    )
    ledger.operator_actions.cancel(held["cancelled"][0].job_id, by="operator")
    held["alive"][1].transfer = {"bytes": 7, "total": None}
    pass_time(ledger, 10, jobs.c.lease_until)
    before = {name: _row(ledger, job.job_id)["lease_until"] for name, (job, _) in held.items()}
    ledger.leases.renew()
    after = {name: _row(ledger, job.job_id)["lease_until"] for name, (job, _) in held.items()}
    assert [name for name in held if after[name] != before[name]] == ["alive", "cancelled"]
    assert [name for name, (_, lease) in held.items() if lease.cancelled] == ["cancelled"]
    assert ledger.jobs.job(held["alive"][0].job_id).transfer == {"bytes": 7, "total": None}
    with pytest.raises(LeaseLost):
        held["gone"][1].check()
    for name in ("alive", "hangs", "cancelled"):
        held[name][1].check()


def test_an_ended_job_is_not_renewed(ledger: Ledger) -> None:
    """A renewal that crosses the end of its job changes nothing of it."""
    job, lease = running(ledger)
    ledger.execution.finish(lease, states.DONE)
    before = _row(ledger, job.job_id)
    ledger.leases.hold(lease)
    ledger.leases.renew()
    assert _row(ledger, job.job_id) == before
    with pytest.raises(LeaseLost):
        lease.check()


def test_the_result_stands_in_the_job(ledger: Ledger) -> None:
    """An end keeps result, error and reason; nothing is due of it any more."""
    job = ended(ledger)
    assert (job.next_attempt_at, job.transfer, job.ended) == (None, None, True)
    _, lease = running(ledger, "r2")
    failure = {"type": "Incomplete", "message": "not done: 3 of 120 recordings missing"}
    told = ledger.execution.finish(
        lease,
        states.FAILED,
        reason="3 of 120 recordings missing",
        result={"missing": 3},
        error=failure,
    )
    assert ledger.jobs.job(told.job_id) == told
    assert (told.result, told.error, told.reason) == (
        {"missing": 3},
        failure,
        "3 of 120 recordings missing",
    )


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d of it", "ünïcode 📼", "x" * 100_000])
def test_a_job_ends_whatever_the_reason_looks_like(ledger: Ledger, text: str) -> None:
    """What a provider answered or a person typed is stored as well as the database can, and never
    keeps a job from ending.
    """
    job, lease = running(ledger, task_id="t" * 300)
    ledger.execution.postpone(lease, text, seconds=0)
    _, lease = claim_job(ledger, job.job_id)
    told = {"type": "Rejected", "message": text}
    ended_job = ledger.execution.finish(lease, states.FAILED, reason=text, error=told)
    assert ended_job.reason is not None
    assert len(ended_job.reason) == len(text)
    assert ended_job.error == told
    ledger.operator_actions.again(job.job_id, by=text, note=text)
