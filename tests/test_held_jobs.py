"""Jobs that a disk, the archive or refused credentials hold: since when, and who is told."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from ledger.core import held, states
from ledger.core.held import ACCOUNT, ARCHIVE, CREDENTIALS, DISK, Held
from ledger.core.schema import alerts, jobs, obligations
from ledger.held_jobs import ALERT_SECONDS
from ledger.ledger import Ledger

from .ledgers import claim_job, opened, pass_time, running

LONG = ALERT_SECONDS + 20


def meets(ledger: Ledger, name: str, obstacle: str | None, **given: object) -> str:
    """A job whose first attempt meets an obstacle, or waits for something else; its id."""
    job, lease = running(ledger, name, **given)
    held.noted(job.work, obstacle, at=job.updated_at, lasted=0.1)
    ledger.execution.postpone(lease, "waits", seconds=0, work=job.work)
    return job.job_id


def tries_again(ledger: Ledger, job_id: str, obstacle: str | None, lasted: float = 0.1) -> None:
    """A further attempt at the job, which lasts so long."""
    job, lease = claim_job(ledger, job_id)
    held.noted(job.work, obstacle, at=job.updated_at, lasted=lasted)
    ledger.execution.postpone(lease, "waits", seconds=0, work=job.work)


def time_passes(ledger: Ledger, seconds: float) -> None:
    """Every held job has been so for longer."""

    def age(job_id: str, work: dict[str, object]) -> None:
        note = work.get("held")
        if isinstance(note, dict):
            changed = {**work, "held": {**note, "since": float(note["since"]) - seconds}}
            ledger.database.write(
                lambda c: c.execute(
                    jobs.update().where(jobs.c.job_id == job_id).values(work=changed)
                )
            )

    for job in ledger.jobs.jobs(limit=100):
        age(job.job_id, job.work)


def by_obstacle(ledger: Ledger) -> dict[tuple[str, str], Held]:
    """What is held, by obstacle and account."""
    return {(one.obstacle, one.account): one for one in ledger.held_jobs.held()}


def open_causes(ledger: Ledger) -> list[str]:
    """The causes of the alerts that are open."""
    return [one["cause"] for one in ledger.alerts.all_open()]


def test_the_age_counts_from_the_first_time(ledger: Ledger) -> None:
    """Each retry meets the archive again: the job has been held since the first time, also while
    it is tried again just now. Another obstacle starts a new count; an attempt that got further
    ends it.
    """
    job = meets(ledger, "a", ARCHIVE)
    time_passes(ledger, 500)
    for _ in range(3):
        tries_again(ledger, job, ARCHIVE)
    assert by_obstacle(ledger)[ARCHIVE, "india"].age == pytest.approx(500, abs=60)
    claim_job(ledger, job)
    assert by_obstacle(ledger)[ARCHIVE, "india"].jobs == 1
    pass_time(ledger, held.PASSED_SECONDS + 1, jobs.c.updated_at)
    assert by_obstacle(ledger) == {}, "an attempt that works for minutes is not held"
    pass_time(ledger, 3600, jobs.c.lease_until)
    ledger.lease_expiry.take_from_the_dead()
    tries_again(ledger, job, DISK)
    assert by_obstacle(ledger)[DISK, "india"].age < 60
    time_passes(ledger, 500)
    tries_again(ledger, job, DISK, lasted=held.PASSED_SECONDS + 1)
    assert by_obstacle(ledger)[DISK, "india"].age < 60, "it came further in between"
    tries_again(ledger, job, None)
    assert by_obstacle(ledger) == {}


def test_jobs_that_wait_for_something_else_are_not_held(ledger: Ledger) -> None:
    """A poll, a throttled provider, a job that ended, one that nobody took up: none is held."""
    meets(ledger, "polls", None)
    job_id = meets(ledger, "held", ARCHIVE)
    job, lease = claim_job(ledger, job_id)
    ledger.execution.finish(lease, states.DONE)
    assert job.work["held"]["by"] == ARCHIVE
    assert ledger.held_jobs.held() == []


def test_an_account_that_no_worker_knows_holds_its_jobs(ledger: Ledger) -> None:
    """A job that each worker puts back, once begun or not, is held since the first time; people are
    told by account, until a worker that knows it takes the job up.
    """
    begun, lease = running(ledger, "begun", account="gone")
    ledger.execution.postpone(lease, "not ready", seconds=0)
    new = opened(ledger, "new", account="gone").job_id
    for job_id in (begun.job_id, new):
        ledger.wakeups.put_back(job_id, seconds=0, reason="waits", held_by=ACCOUNT)
    time_passes(ledger, LONG)
    for job_id in (begun.job_id, new):
        ledger.wakeups.put_back(job_id, seconds=0, reason="waits", held_by=ACCOUNT)
    found = by_obstacle(ledger)[ACCOUNT, "gone"]
    assert (found.jobs, found.age) == (2, pytest.approx(LONG, abs=60))
    ledger.held_jobs.update_alerts()
    (told,) = ledger.alerts.all_open()
    assert (told["cause"], told["account"]) == ("held:account:gone", "gone")
    assert "2 jobs have been held by an account that no running worker knows" in told["message"]
    for job_id in (begun.job_id, new):
        tries_again(ledger, job_id, None)
    ledger.held_jobs.update_alerts()
    assert open_causes(ledger) == []


def test_people_are_told_once_it_has_lasted_and_when_it_is_over(ledger: Ledger) -> None:
    """Nothing for a blink; then one alert for each obstacle, of each account for credentials, and
    its webhook; again when no job is held any more, though nobody closed it.
    """
    a, b = meets(ledger, "a", ARCHIVE), meets(ledger, "b", ARCHIVE, account="branch")
    c = meets(ledger, "c", CREDENTIALS, account="branch")
    ledger.held_jobs.update_alerts()
    assert open_causes(ledger) == []
    time_passes(ledger, LONG)
    for _ in range(3):
        ledger.held_jobs.update_alerts()
        tries_again(ledger, a, ARCHIVE)
    assert sorted(open_causes(ledger)) == ["held:archive", "held:credentials:branch"]
    (archive,) = [one for one in ledger.alerts.all_open() if one["cause"] == "held:archive"]
    assert (archive["kind"], archive["account"], archive["repeated"]) == ("held", "*", 0)
    assert "2 jobs have been held by the archive" in archive["message"]
    assert "branch, india" in archive["message"]
    for job in (a, b):
        tries_again(ledger, job, None)
    ledger.held_jobs.update_alerts()
    assert open_causes(ledger) == ["held:credentials:branch"]
    ledger.operator_actions.cancel(c, by="test")
    ledger.held_jobs.update_alerts()
    assert open_causes(ledger) == []
    told = ledger.database.read(
        lambda connection: (
            connection.execute(select(obligations.c.payload).where(obligations.c.kind == "alert"))
            .scalars()
            .all()
        )
    )
    assert sorted((one["state"], one["cause"]) for one in told if one["kind"] == "held") == [
        ("open", "held:archive"),
        ("open", "held:credentials:branch"),
        ("resolved", "held:archive"),
        ("resolved", "held:credentials:branch"),
    ]
    assert ledger.database.read(lambda c: c.execute(select(alerts.c.closed_by)).all()) == [
        (None,),
        (None,),
    ]


def test_figures_show_what_is_held(ledger: Ledger) -> None:
    """Monitoring sees the jobs and the age of each obstacle and account."""
    meets(ledger, "a", DISK)
    meets(ledger, "b", DISK)
    time_passes(ledger, 100)
    (row,) = ledger.stats(patience_seconds=5).held
    assert (row.obstacle, row.account, row.jobs) == (DISK, "india", 2)
    assert row.age == pytest.approx(100, abs=60)
