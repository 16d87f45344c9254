"""Deleting at the provider after proof: only what is whole, and only when its time has come."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from ledger.core.job import Job
from ledger.core.schema import jobs

from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .test_nights import DAY, manifests, planner, settled
from .waiting import eventually

Deploy = Callable[..., Deployment]


def ago(house: Deployment, days: int) -> None:
    """Let the day's listing have ended so many days ago."""
    with house.ledger.database.engine.begin() as connection:
        connection.execute(update(jobs).values(updated_at=jobs.c.updated_at - days * 86_400))


def deletions(house: Deployment) -> list[Job]:
    """The jobs that delete recordings, the one that changed last first."""
    return house.ledger.jobs.jobs(kind="recording.delete")


def said_of(house: Deployment, job: Job) -> dict[str, str]:
    """What the history of a day's deletion says of each recording; each is in it once."""
    lines = [one["why"] for one in house.ledger.jobs.history(job.job_id)]
    named = [line.split(" ", 2)[1] for line in lines if line.startswith("recording ")]
    assert len(named) == len(set(named))
    return dict(zip(named, (one for one in lines if one.startswith("recording ")), strict=True))


def test_recordings_are_deleted_when_their_time_has_come(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete day is deleted at the provider ``delete_after_days`` after its last listing, by
    one job whose history names each recording and its proof; not earlier, not the day that is
    incomplete, and never where no ``delete_after_days`` is set, though the account allows deleting.
    """
    whole, lacking = YESTERDAY - DAY, YESTERDAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    kept = [str(one["id"]) for one in account.seed(whole, ZONE, 3)]
    others = [str(one["id"]) for one in account.seed(lacking, ZONE, 2)]
    account.withhold(others[0], from_="everywhere")
    accounts = account_toml(
        "india",
        {**account.configuration(), "allow_delete": True},
        {"timezone": ZONE, "catchup_days": 2, "delete_after_days": 30},
    )
    keeping = simulators.vonage.account(username="jane.doe@vbc.prod")
    keeping.seed(whole, ZONE, 1)
    accounts += "\n" + account_toml(
        "keeps",
        {**keeping.configuration(), "allow_delete": True},
        {"timezone": ZONE, "catchup_days": 2},
    )
    house = deploy(accounts)
    house.worker()
    with planner(house, monkeypatch) as plan:
        plan(lacking)
        settled(house, "india", whole, "complete")
        settled(house, "india", lacking, "incomplete")
        settled(house, "keeps", whole, "complete")
        eventually(lambda: not house.ledger.outbox.waiting(), what="nothing was chained")
        plan(lacking)
        assert house.ledger.jobs.jobs(kind="recording.delete") == []
        ago(house, 32)
        plan(lacking)
        eventually(
            lambda: [job.state for job in deletions(house)] == ["done"],
            what="the day was not deleted",
        )
        plan(lacking)
    deleted = simulators.log.effects("recording_deleted")
    assert sorted(str(effect["recording_id"]) for effect in deleted) == sorted(kept)
    (job,) = deletions(house)
    proof = manifests(house, "india", whole)[0]["job_id"]
    assert job.result is not None
    counts = [job.result[name] for name in ("listed", "deleted", "gone", "failed")]
    assert (counts, f"/{proof}/manifest.json" in job.result["archived_as"]) == ([3, 3, 0, 0], True)
    assert said_of(house, job) == {
        one: f"recording {one} was deleted; archived as {job.result['archived_as']}" for one in kept
    }


def test_a_day_damaged_in_the_archive_is_not_deleted(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flipped bit in the ZIP: what lies in it stays at the provider."""
    day = YESTERDAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(day, ZONE, 1)
    accounts = account_toml(
        "india",
        {**account.configuration(), "allow_delete": True},
        {"timezone": ZONE, "catchup_days": 1, "delete_after_days": 30},
    )
    house = deploy(accounts)
    house.worker()
    with planner(house, monkeypatch) as plan:
        plan(day)
        settled(house, "india", day, "complete")
        eventually(lambda: not house.ledger.outbox.waiting(), what="nothing was chained")
        (path,) = house.archive.rglob("*.zip")
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        ago(house, 32)
        plan(day)
        (job,) = eventually(
            lambda: [j for j in house.ledger.jobs.jobs(kind="recording.delete") if j.ended]
        )
    assert job.state == "failed"
    assert "not whole" in (job.reason or "") or "not archived" in (job.reason or "")
    assert simulators.log.effects("recording_deleted") == []
