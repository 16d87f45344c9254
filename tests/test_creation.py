"""Creating an export when it cannot be known whether it was created."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from sqlalchemy import update

from ledger.core.job import Job
from ledger.core.schema import jobs

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]


def night(deploy: Deploy, simulators: Simulators) -> tuple[Deployment, Any]:
    """One account, one worker, a day with three recordings."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, ZONE, 3)
    account.configure(ready_after_polls=0)
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    house.worker()
    return house, account


def run_of(house: Deployment) -> Job | None:
    """The job of the day's export."""
    found = house.ledger.jobs.jobs(kind="export.run")
    return found[0] if found else None


def waits(house: Deployment, words: str) -> Job:
    """Wait until the run waits for this reason."""

    def look() -> Job | None:
        job = run_of(house)
        return job if job and job.state == "waiting" and words in (job.reason or "") else None

    return eventually(look, what=f"the run did not wait because {words}")


def quarter_of_an_hour_later(house: Deployment, job: Job) -> None:
    """As if so much time had passed: the claim's time and the waiting both lie back."""
    work = {**job.work, "creating_at": job.work["creating_at"] - 1000}
    with house.ledger.database.engine.begin() as connection:
        connection.execute(
            update(jobs)
            .where(jobs.c.job_id == job.job_id)
            .values(next_attempt_at=0, work=work, reason="a quarter of an hour later")
        )


def test_an_unknown_creation_is_repeated_later_and_not_for_ever(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The answer to a creation is lost: it is created again after 15 minutes, three times at most;
    parts belong to the answer that was stored.
    """
    house, account = night(deploy, simulators)
    account.fault("export", "reset", when="after", times=2)
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        for created in (1, 2):
            job = waits(house, "unknown whether the export was created")
            assert len(simulators.log.exports()) == created
            assert (job.next_attempt_at or 0) - job.updated_at > 800
            quarter_of_an_hour_later(house, job)
        assert asked.get(timeout=60)["archived"] == 3
    exports = simulators.log.exports()
    assert len(exports) == 3
    retrieved = {one["job_id"] for one in simulators.log.retrieves()}
    assert retrieved == set(exports[-1]["job_ids"])


def test_three_unknown_creations_end_the_run_in_sight(
    deploy: Deploy, simulators: Simulators
) -> None:
    """After the third nobody asks again; the run says so."""
    house, account = night(deploy, simulators)
    account.fault("export", "reset", when="after", times=None)
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        for _ in range(3):
            quarter_of_an_hour_later(house, waits(house, "unknown whether"))
        ended = asked.get(timeout=30, propagate=False)
    assert type(ended).__name__ == "Uncertain"
    assert str(ended).startswith("unknown: 3 exports")
    assert len(simulators.log.exports()) == 3


def test_a_creation_that_was_refused_or_put_off_is_not_an_unknown_one(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Throttled with 429 and 503, the creation is tried on without a quarter of an hour between."""
    house, account = night(deploy, simulators)
    account.fault("export", "answer", status=429, retry_after=1)
    account.fault("export", "answer", status=503, retry_after=1)
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        assert asked.get(timeout=60)["archived"] == 3
    assert len(simulators.log.exports()) == 1


def test_a_worker_killed_while_it_created_leaves_an_unknown_creation(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Kill -9 between the request and its answer: the next worker knows that one may have been
    made, waits, and creates another.
    """
    house, account = night(deploy, simulators)
    account.fault("export", "hang", seconds=20, when="after")
    (worker,) = house.processes
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        eventually(lambda: simulators.log.exports() or None, what="nothing was created")
        worker.kill()
        house.worker("second")
        job = waits(house, "a worker stopped while it created")
        assert len(simulators.log.exports()) == 1
        quarter_of_an_hour_later(house, job)
        assert asked.get(timeout=60)["archived"] == 3
    assert len(simulators.log.exports()) == 2


def test_an_export_that_the_provider_threw_away_is_created_anew_once(
    deploy: Deploy, simulators: Simulators
) -> None:
    """410 on retrieval: asked for once more, also where that creation is throttled first; thrown
    away again, the recordings are fetched singly.
    """
    house, account = night(deploy, simulators)
    account.fault("retrieve", "answer", status=410, times=None)
    account.fault("export", "answer", status=429, retry_after=1, skip=1)
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        assert asked.get(timeout=60)["archived"] == 3
    assert len(simulators.log.exports()) == 2
    assert len(list(house.archive.rglob("recordings/*/*/*/*.mp3"))) == 3


def test_an_export_without_ids_and_one_in_parts(deploy: Deploy, simulators: Simulators) -> None:
    """No ``job_ids``: everything is fetched singly. Several: every part is retrieved."""
    house, account = night(deploy, simulators)
    account.configure(export_parts=0)
    other = date(2026, 11, 11)
    account.seed(other, ZONE, 6)
    with house.producer() as app:
        none = house.send(app, "export.run", account="india", day=DAY.isoformat())
        assert none.get(timeout=60)["archived"] == 3
        assert list(house.archive.rglob("*.zip")) == []
        account.configure(export_parts=3)
        several = house.send(app, "export.run", account="india", day=other.isoformat())
        assert several.get(timeout=60)["archived"] == 6
    assert len(list(house.archive.rglob("*.zip"))) == 3
