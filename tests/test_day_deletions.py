"""One job deletes an archived day at the provider: bounded, resumed, every recording asked once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, update

from config.queues import DUE
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.core.schema import days, queues

from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .test_deletions import ago, deletions, said_of
from .test_nights import DAY, planner, settled
from .waiting import eventually

Deploy = Callable[..., Deployment]
Plan = Callable[[date], Any]
BY = ("--by", "ana", "--note", "again")


class Archived:
    """Days of one account that were archived long ago, their workers stopped."""

    def __init__(self, deploy: Deploy, simulators: Simulators, days: int, count: int) -> None:
        self.days = [YESTERDAY - n * DAY for n in reversed(range(days))]
        self.simulators = simulators
        self.account = simulators.vonage.account(username="john.doe@vbc.prod")
        self.account.configure(ready_after_polls=0)
        self.ids = [
            str(one["id"])
            for day in self.days
            for one in self.account.seed(day, ZONE, count, size_bytes=2_000)
        ]
        night = {"timezone": ZONE, "catchup_days": days, "delete_after_days": 30}
        configured = {**self.account.configuration(), "allow_delete": True}
        self.house: Deployment = deploy(account_toml("india", configured, night))

    def archive(self, plan: Plan) -> None:
        """Export the days, and let their listings have ended a while ago."""
        worker = self.house.worker()
        plan(self.days[-1])
        for day in self.days:
            settled(self.house, "india", day, "complete")
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="nothing was chained")
        assert worker.stop() == 0
        ago(self.house, 32)

    def asked(self) -> Counter[str]:
        """How often the provider was asked to delete each recording."""
        asked = self.simulators.log.requests("delete", self.account.username)
        return Counter(one["path"].rpartition("/")[2] for one in asked)

    def messages(self) -> int:
        """The messages that wait in Redis for a worker."""
        with self.house.valkey.client() as client:
            lists = [key for key in client.keys("*") if client.type(key) == b"list"]
            return sum(client.llen(key) for key in lists)

    def hints(self) -> int:
        """How many hints were ever published for work that is due."""
        with self.house.ledger.database.engine.connect() as connection:
            return sum(connection.execute(select(queues.c.last_no)).scalars())

    def ended(self) -> Job:
        """Wait for the end of the only job."""
        eventually(lambda: all(job.ended for job in deletions(self.house)), within=120)
        return deletions(self.house)[0]


@contextmanager
def archived(
    deploy: Deploy,
    simulators: Simulators,
    monkeypatch: pytest.MonkeyPatch,
    *,
    days: int = 1,
    count: int,
) -> Iterator[tuple[Archived, Plan]]:
    """Days that are to be deleted, and the planner."""
    found = Archived(deploy, simulators, days, count)
    with planner(found.house, monkeypatch) as plan:
        found.archive(plan)
        yield found, plan


@pytest.mark.soak
def test_a_large_day_is_one_job_and_a_killed_worker_asks_nothing_twice(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand recordings: one job and one message. A worker is killed in the middle, and the
    next one asks the provider for none of them again but for the one that was under way. Each
    has one line in the job's history.
    """
    with archived(deploy, simulators, monkeypatch, count=1000) as (day, plan):
        before = day.hints()
        plan(day.days[-1])
        plan(day.days[-1])
        assert (len(deletions(day.house)), day.messages()) == (1, 1)
        first = day.house.worker("first")
        eventually(lambda: len(day.asked()) > 150, within=120, pause=0.01)
        first.kill()
        killed_at = len(day.asked())
        day.house.worker("second")
        job = day.ended()
        hints = day.hints() - before
    asked = day.asked()
    assert killed_at < 1000
    assert (sorted(asked), job.state) == (sorted(day.ids), "done")
    assert asked.total() <= 1001
    assert len(simulators.log.effects("recording_deleted")) == 1000
    assert sorted(said_of(day.house, job)) == sorted(day.ids)
    # One for a batch of a hundred, and those that announce what the dead worker held.
    assert hints <= 20


def test_a_recording_that_fails_does_not_stop_the_others(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is refused, one is gone already, of one the answer is lost, and the provider asks to
    wait: the others are deleted, the history says what became of each, and a retry asks for the
    refused one alone.
    """
    with archived(deploy, simulators, monkeypatch, count=8) as (day, plan):
        refused, gone, lost, waits = day.ids[:4]
        for status in (400, 404):
            day.account.fault("delete", "answer", status=status, times=1)
        day.account.fault("delete", "reset", when="after", skip=2)
        day.account.fault("delete", "answer", status=503, retry_after=2, skip=1)
        plan(day.days[-1])
        day.house.worker()
        job = day.ended()
        said = said_of(day.house, job)
        history = [one["why"] for one in day.house.ledger.jobs.history(job.job_id)]
        assert job.state == "failed"
        assert "1 of 8 recordings" in (job.reason or "")
        assert (job.result or {}).items() >= {"deleted": 5, "gone": 2, "failed": 1}.items()
        assert [said[one].split(" ", 2)[2].split(";")[0] for one in (gone, lost, waits)] == [
            "was already gone at the provider",
            "was already gone at the provider",
            "was deleted",
        ]
        assert "not deleted" in said[refused]
        assert "400" in said[refused]
        assert any("asked to wait" in line for line in history)
        (alert,) = day.house.ledger.alerts.all_open()
        assert alert["cause"] == f"job:deletion:india:{day.days[0]}"

        asked = day.asked()
        assert asked == Counter({**dict.fromkeys(day.ids, 1), lost: 2, waits: 2})
        assert day.house.run("retry", job.job_id, *BY).returncode == 0
        eventually(lambda: len(deletions(day.house)) == 2)
        again = day.ended()
    assert (again.state, (again.result or {})["deleted"]) == ("done", 1)
    assert day.asked() - asked == Counter({refused: 1})
    assert len(simulators.log.effects("recording_deleted")) == 7


def test_a_provider_in_trouble_is_asked_for_few_recordings(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the provider answers nothing but errors, the job waits with its words, and the most of
    the day is not asked for; then everything is deleted.
    """
    with archived(deploy, simulators, monkeypatch, count=12) as (day, plan):
        day.account.fault("delete", "answer", status=500, times=None)
        plan(day.days[-1])
        # The test looks at it before its next try.
        day.house.settings |= {"POLL_FIRST_SECONDS": "10", "POLL_MAX_SECONDS": "10"}
        day.house.worker()
        waiting = eventually(
            lambda: next((job for job in deletions(day.house) if "500" in (job.reason or "")), None)
        )
        assert (waiting.state, day.asked().total()) == ("waiting", 3)
        day.simulators.vonage.clear_faults("delete")
        job = day.ended()
    assert (job.state, (job.result or {})["deleted"]) == ("done", 12)
    assert len(simulators.log.effects("recording_deleted")) == 12


def test_recordings_whose_jobs_an_older_release_opened_are_left_to_them(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older release was killed between the jobs that it opened for two recordings and its note
    on the day; one of them was done, one waits, and one had failed. Each is deleted once.
    """
    with archived(deploy, simulators, monkeypatch, count=5) as (day, plan):
        ledger = day.house.ledger

        def older(recording_id: str) -> Job:
            parameters = {"recording_id": recording_id, "day": day.days[0].isoformat()}
            request_id = f"day:{day.days[0]}/{recording_id}"
            asked = Request("recording.delete", "india", request_id, parameters, DUE)
            return ledger.opening.open(asked, by="nightly plan")[0]

        done, failed, waits = day.ids[:3]
        day.account.fault("delete", "answer", status=400, times=1)
        broken = older(failed)
        worker = day.house.worker("old")
        eventually(lambda: ledger.jobs.job(broken.job_id).ended)
        whole = older(done)
        eventually(lambda: ledger.jobs.job(whole.job_id).state == "done")
        assert worker.stop() == 0
        open_one = older(waits)
        plan(day.days[-1])
        day.house.worker("new")
        day.ended()
        (job,) = [one for one in deletions(day.house) if "recording_id" not in one.parameters]
        assert ledger.jobs.job(open_one.job_id).state == "done"
        assert job.state == "done"
    assert day.asked() == Counter({**dict.fromkeys(day.ids, 1), failed: 2})
    assert sorted(said_of(day.house, job)) == sorted({failed, *day.ids[3:]})


def test_many_days_that_are_due_at_once_are_planned_a_few_at_a_time(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After years of keeping, ``delete_after_days`` is set: each plan opens ten days at most, none
    is forgotten, and days without recordings count for nothing.
    """
    with archived(deploy, simulators, monkeypatch, days=12, count=1) as (found, plan):
        plan(found.days[-1])
        assert (len(deletions(found.house)), found.messages()) == (10, 10)
        plan(found.days[-1])
        assert len(deletions(found.house)) == 12
        # Killed before it noted the days: the same jobs are found again.
        with found.house.ledger.database.engine.begin() as connection:
            connection.execute(update(days).values(deleted_at=None))
        plan(found.days[-1])
        assert len(deletions(found.house)) == 12
        found.house.worker()
        eventually(lambda: all(job.state == "done" for job in deletions(found.house)), within=60)
    assert found.asked() == Counter(dict.fromkeys(found.ids, 1))


def test_a_day_is_left_alone_once_its_nights_delete_nothing(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``delete_after_days`` is taken back after the job was opened: nothing is deleted, and the job
    says why.
    """
    with archived(deploy, simulators, monkeypatch, count=2) as (day, plan):
        plan(day.days[-1])
        file = day.house.accounts_file
        file.write_text(file.read_text().replace("delete_after_days = 30", "delete_after_days = 0"))
        day.house.worker()
        job = day.ended()
    assert (job.state, day.asked().total()) == ("failed", 0)
    assert "no longer delete recordings" in (job.reason or "")
