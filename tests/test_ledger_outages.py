"""A ledger that was away: its workers lose their leases, and none of them counts as dead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from ledger.core import states
from ledger.core.database import now
from ledger.core.held import ARCHIVE
from ledger.core.job import Job
from ledger.core.lease_expiry import died
from ledger.core.leases import Lease
from ledger.core.schema import jobs
from ledger.errors import LeaseLost, LedgerAway
from ledger.ledger import Ledger

from .ledgers import claim_job, opened, pass_time, running, steps
from .waiting import eventually

OpenLedger = Callable[..., Ledger]

LEASE = 30
#: For how many seconds an outage has lasted when a statement notices it.
LASTED = 0.4
#: A lease so short that what happened two seconds ago is past, with a margin of a sixth.
SHORT, LONG_AGO = 0.6, 1.5


@contextmanager
def away(ledger: Ledger) -> Iterator[None]:
    """Within, this process reaches the database no more; one statement has noticed that."""

    def refuse(*_: object) -> None:
        raise OperationalError("SELECT", None, ConnectionError("no route to the database"))

    event.listen(ledger.database.engine, "before_cursor_execute", refuse)
    try:
        with pytest.raises(LedgerAway):
            ledger.stats(patience_seconds=LASTED)
        yield
    finally:
        event.remove(ledger.database.engine, "before_cursor_execute", refuse)


def expires(other: Ledger) -> None:
    """Every lease has just run out: after an outage began that lasts, and that this ledger, another
    one on the same database, knows nothing of.
    """
    just_now = now() - LASTED / 4
    other.database.write(lambda c: c.execute(update(jobs).values(lease_until=just_now)))


def lose(job: Job, lease: Lease, ledger: Ledger) -> None:
    """The worker that holds the job notices that its lease can no longer be trusted, and stops."""
    ledger.lease_expiry.abandon(lease, job.updated_at)
    ledger.leases.drop(lease)


def test_an_outage_of_the_ledger_is_no_death(open_ledger: OpenLedger) -> None:
    """A lease that expired while the ledger was away passes the job on, as often as that happens;
    the job says why, and nothing counts towards the limit of five.
    """
    ledger, other = open_ledger(lease_seconds=LEASE), open_ledger()
    job = opened(ledger)
    for _ in range(2):
        claim_job(ledger, job.job_id)
        with away(ledger):
            expires(other)
        (taken,) = ledger.lease_expiry.take_from_the_dead()
        assert (taken.state, taken.takeovers) == (states.WAITING, 0)
        assert taken.reason is not None
        assert "the ledger was unavailable" in taken.reason
        assert not died(taken)


def test_an_outage_before_the_last_renewal_excuses_nobody(open_ledger: OpenLedger) -> None:
    """A worker that renewed its lease after the outage, and then stopped, is a dead one."""
    ledger = open_ledger(lease_seconds=SHORT)
    with away(ledger):
        pass
    ledger.database.time()
    time.sleep(LONG_AGO)  # the fault itself: the lease is held only after the outage
    _, lease = running(ledger)
    lease.progress(within_seconds=-1)
    (taken,) = eventually(ledger.lease_expiry.take_from_the_dead, what="the lease did not expire")
    assert taken.takeovers == 1
    assert died(taken)


def test_a_job_that_was_being_cancelled_ends_after_an_outage(open_ledger: OpenLedger) -> None:
    """A person's cancellation holds, though the lease expired only because the ledger was away."""
    ledger, other = open_ledger(lease_seconds=LEASE), open_ledger()
    job, _ = running(ledger)
    ledger.operator_actions.cancel(job.job_id, by="operator")
    with away(ledger):
        expires(other)
    (ended,) = ledger.lease_expiry.take_from_the_dead()
    assert (ended.state, ended.takeovers) == (states.CANCELLED, 0)
    assert not died(ended)


def test_a_worker_that_lives_gives_its_job_back(open_ledger: OpenLedger) -> None:
    """A worker that lost the ledger for a while stops, and lets the job continue as soon as the
    ledger answers: nobody waits for the rest of a lease that a late renewal may have extended.
    """
    ledger = open_ledger(lease_seconds=LEASE)
    job, lease = running(ledger)
    with away(ledger):
        lose(job, lease, ledger)
    assert ledger.lease_expiry.take_from_the_dead() == []
    again = ledger.jobs.job(job.job_id)
    assert (again.state, again.takeovers) == (states.WAITING, 0)
    claim_job(ledger, job.job_id)
    with pytest.raises(LeaseLost):
        ledger.execution.finish(lease, states.DONE)


def test_a_takeover_from_a_worker_that_lives_is_taken_back(open_ledger: OpenLedger) -> None:
    """Only one worker loses its way to the ledger; another one takes its job for a dead worker's.
    Once the first is back, the count is right again, and once only.
    """
    cut_off, other = open_ledger(lease_seconds=LEASE), open_ledger(lease_seconds=LEASE)
    job, lease = running(cut_off)
    with away(cut_off):
        lose(job, lease, cut_off)
        pass_time(other, LEASE + 1, jobs.c.lease_until)
        (taken,) = other.lease_expiry.take_from_the_dead()
        assert taken.takeovers == 1
        assert died(taken)
        claim_job(other, job.job_id)
    for _ in range(2):
        cut_off.lease_expiry.take_from_the_dead()
        cut_off.lease_expiry.abandon(lease, job.updated_at)
    again = other.jobs.job(job.job_id)
    assert (again.state, again.takeovers) == (states.RUNNING, 0)
    assert steps(other, job.job_id)[-1] == ("running", "running")


def test_a_worker_that_stood_still_gives_nothing_back(open_ledger: OpenLedger) -> None:
    """Without an outage, a lost lease is the worker's own fault, and counts as before."""
    ledger = open_ledger(lease_seconds=LEASE)
    job, lease = running(ledger)
    lose(job, lease, ledger)
    assert ledger.lease_expiry.take_from_the_dead() == []
    assert ledger.jobs.job(job.job_id).state == states.RUNNING
    pass_time(ledger, LEASE + 1, jobs.c.lease_until)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert taken.takeovers == 1


def test_an_attempt_that_hangs_in_the_archive_is_set_aside(open_ledger: OpenLedger) -> None:
    """A request to the archive that does not come back: the job waits, with the time since when it
    is held, its next try comes later and later, and no worker counts as dead. The attempt that
    hangs may write nothing when it comes back.
    """
    ledger = open_ledger(lease_seconds=LEASE)
    job = opened(ledger)
    pauses = []

    def again(times: int) -> float:
        pauses.append(times)
        return 0.0

    for _ in range(6):
        _, lease = claim_job(ledger, job.job_id)
        assert ledger.leases.silent({lease.thread}) == [], "its work gives signs of life"
        lease.progress(within_seconds=-1)
        assert ledger.leases.silent({lease.thread + 1}) == [], "it hangs somewhere else"
        (hangs,) = ledger.leases.silent({lease.thread})
        assert ledger.lease_expiry.set_aside(hangs, ARCHIVE, 40, again=again)
        waits = ledger.jobs.job(job.job_id)
        assert (waits.state, waits.takeovers) == (states.WAITING, 0)
        assert waits.reason == "the archive has not answered for 40 s; the job will be retried"
        with pytest.raises(LeaseLost):
            ledger.execution.finish(lease, states.DONE)
    assert pauses == list(range(6))
    (held,) = ledger.held_jobs.held()
    assert (held.obstacle, held.jobs) == (ARCHIVE, 1)
    assert held.age == pytest.approx(40, abs=30)


def test_only_the_holder_sets_a_job_aside(open_ledger: OpenLedger) -> None:
    """A job that another worker took over meanwhile stays with that worker; one that a person
    cancelled ends.
    """
    ledger, other = open_ledger(lease_seconds=LEASE), open_ledger(lease_seconds=LEASE)
    job, lease = running(ledger)
    pass_time(ledger, LEASE + 1, jobs.c.lease_until)
    other.lease_expiry.take_from_the_dead()
    claim_job(other, job.job_id)
    assert not ledger.lease_expiry.set_aside(lease, ARCHIVE, 40, again=lambda _: 0.0)
    assert ledger.jobs.job(job.job_id).state == states.RUNNING

    cancelled, lease = running(ledger, "r2")
    ledger.operator_actions.cancel(cancelled.job_id, by="operator")
    assert ledger.lease_expiry.set_aside(lease, ARCHIVE, 40, again=lambda _: 0.0)
    assert ledger.jobs.job(cancelled.job_id).state == states.CANCELLED
