"""Nights: every day of every account is exported once, caught up, completed, never disturbed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery, current_app
from celery.beat import PersistentScheduler

from archive.store.protocol import INCOMING
from config.settings import settings
from ledger.core import states
from ledger.core.job import Job
from tasks.days.day import open_day
from tasks.nights import tasks as nightly
from tasks.runtime import context

from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .waiting import eventually

DAY = timedelta(days=1)
Deploy = Callable[..., Deployment]


@contextmanager
def planner(
    house: Deployment, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[date], dict[str, Any]]]:
    """The planner as it runs in the night after a day: the real one, with that night's clock."""
    for name, value in house.environment.items():
        if name.startswith("EARWITNESS_"):
            monkeypatch.setenv(name, value)
    _forget()

    def plan(day: date) -> dict[str, Any]:
        _forget()
        night = datetime.combine(day + DAY, datetime.min.time(), ZoneInfo(ZONE))
        return nightly.plan((night + timedelta(hours=4)).astimezone(UTC))

    before = current_app._get_current_object()
    with house.producer() as app:
        # The planner's hints go where the workers are, as from a worker of ours.
        app.set_current()
        try:
            yield plan
        finally:
            before.set_current()
            _forget()


def _forget() -> None:
    settings.cache_clear()
    for shared in (context.ledger, context.store, context.spool):
        shared.cache_clear()


def days_of(house: Deployment, account: str) -> dict[date, str]:
    """The states of an account's days."""
    return {day.day: day.state for day in house.ledger.days.of(account)}


def manifests(house: Deployment, account: str, day: date) -> list[dict[str, Any]]:
    """The day's manifests as they lie on disk, by generation."""
    found = house.archive.glob(f"{account}/exports/{day:%Y/%m/%d}/*/manifest.json")
    read = [json.loads(path.read_text()) for path in found]
    return sorted(read, key=lambda manifest: manifest["generation"])


def files(root: Path) -> dict[str, str]:
    """Every file's SHA-256, by its path; of other days some may still be written."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {"chain", INCOMING} & set(path.parts)
    }


def settled(house: Deployment, account: str, day: date, state: str) -> Job:
    """Wait until the day has this state; its newest job."""

    def newest() -> Job | None:
        (row,) = house.ledger.days.of(account, day, day)
        job = house.ledger.jobs.job(row.job_id or "")
        return job if row.state == state and job.ended else None

    return eventually(newest, within=90, what=f"{day} of {account} did not become {state}")


def _stopped_three_days_ago(schedule: Path) -> None:
    """A beat's schedule file as it was left when everything stopped three days ago."""
    app = Celery()
    app.conf.update(timezone="UTC", enable_utc=True)
    app.conf.beat_schedule = {
        "nightly.plan": {"task": "earwitness.nightly.plan", "schedule": 300.0}
    }
    scheduler = PersistentScheduler(app, schedule_filename=str(schedule))
    scheduler.schedule["nightly.plan"].last_run_at = datetime.now(UTC) - 3 * DAY
    scheduler.close()


def test_two_beats_and_three_missed_days_give_one_export_each(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Two accounts, three days missed, two beats with schedule files of their own, alive to the
    end: exactly one complete export per account and day, at the simulator and on disk.
    """
    days = [YESTERDAY - n * DAY for n in range(3)]
    sections, accounts = [], {}
    for alias in ("india", "branch"):
        account = simulators.vonage.account(username=f"{alias}@vbc.prod")
        for day in days:
            account.seed(day, ZONE, 3)
        sections.append(
            account_toml(alias, account.configuration(), {"timezone": ZONE, "catchup_days": 3})
        )
        accounts[alias] = account.username
    house = deploy("\n".join(sections))
    house.worker("first")
    house.worker("second")
    for name in ("beat-one", "beat-two"):
        _stopped_three_days_ago(house.folder / f"{name}.schedule")
    beats = [house.beat("beat-one"), house.beat("beat-two")]
    for alias in accounts:
        for day in days:
            eventually(
                lambda alias=alias, day=day: days_of(house, alias).get(day) == "complete",  # type: ignore[misc]
                within=60,
                what=f"{day} of {alias} was not completed",
            )
    eventually(
        lambda: all("Sending due task nightly.plan" in beat.log() for beat in beats),
        what="a beat sent nothing",
    )
    assert all(beat.alive for beat in beats)
    created = Counter((e["account"], e["window"][0]) for e in simulators.log.exports())
    assert len(created) == 6
    assert set(created.values()) == {1}
    for alias in accounts:
        for day in days:
            (manifest,) = manifests(house, alias, day)
            assert manifest["complete"]
            assert (manifest["listed"], manifest["archived"]) == (3, 3)
            start, end = (datetime.fromisoformat(manifest["window"][k]) for k in ("start", "end"))
            assert end - start == DAY
            assert start == datetime.combine(day, time(), ZoneInfo(ZONE))


def test_days_that_met_a_wrong_password_complete_once_it_is_right(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password wrong for two nights, then put right at the provider: the next plan completes
    both days with no hand moved.
    """
    days = [YESTERDAY - DAY, YESTERDAY]
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    right = account.password
    for day in days:
        account.seed(day, ZONE, 3)
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 1})
    )
    account.change_password("another one")
    house.worker()
    with planner(house, monkeypatch) as plan:
        for day in days:
            plan(day)
            eventually(
                lambda day=day: any(  # type: ignore[misc]
                    "refuses the credentials" in (job.reason or "")
                    for job in house.ledger.jobs.jobs(kind="export.run")
                    if job.parameters["day"] == day.isoformat()
                ),
                within=60,
                what="the refused login is not shown",
            )
        assert simulators.log.exports() == []
        account.change_password(right)
        plan(days[-1])
        for day in days:
            settled(house, "india", day, "complete")
    assert len(simulators.log.exports()) == 2
    assert [len(manifests(house, "india", day)) for day in days] == [1, 1]


def test_withheld_and_late_recordings_come_in_later_generations(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One recording withheld on the first night, one listed only two days later: both are in later
    generations, and the files of the first are unchanged byte for byte.
    """
    day = YESTERDAY - 2 * DAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    seeded = account.seed(day, ZONE, 4)
    withheld = seeded[1]["id"]
    account.withhold(withheld, from_="everywhere")
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 3})
    )
    house.worker()
    with planner(house, monkeypatch) as plan:
        plan(day)
        job = settled(house, "india", day, "incomplete")
        assert job.state == states.FAILED
        assert str(withheld) in (job.reason or "")
        first = files(house.archive)
        plan(day)
        assert len(house.ledger.jobs.jobs(kind="export.run")) == 3, "the same night planned twice"
        account.release(withheld)
        plan(day + DAY)
        settled(house, "india", day, "complete")
        late = account.add({"start": datetime.combine(day, datetime.min.time(), ZoneInfo(ZONE))})
        plan(day + 2 * DAY)
        eventually(lambda: len(manifests(house, "india", day)) == 3, within=60)
        settled(house, "india", day, "complete")
    generations = manifests(house, "india", day)
    assert [one["complete"] for one in generations] == [False, True, True]
    assert [one["listed"] for one in generations] == [4, 4, 5]
    fetched = [[file["recording_id"] for file in one["files"]] for one in generations]
    assert fetched == [[], [str(withheld)], [str(late["id"])]]
    now = files(house.archive)
    assert {path: now.get(path) for path in first} == first
    for recording in (withheld, late["id"]):
        (audio,) = house.archive.glob(f"india/recordings/*/*/*/{recording}.mp3")
        assert hashlib.sha256(audio.read_bytes()).hexdigest() == account.sha256(recording)
    windows = Counter(tuple(e["window"]) for e in simulators.log.exports())
    assert set(windows.values()) == {1}, "a later generation asked for another export"


def test_a_complete_day_is_looked_at_again_and_left_alone(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the night after and on the last of the catch-up a complete day is listed again; where
    nothing is new there is no new manifest, and no export.
    """
    day = YESTERDAY - 3 * DAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(day, ZONE, 2)
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 3})
    )
    house.worker()
    with planner(house, monkeypatch) as plan:
        looks = []
        for nights in range(4):
            plan(day + nights * DAY)
            settled(house, "india", day, "complete")
            jobs = house.ledger.jobs.jobs(kind="export.run", limit=500)
            looks.append(sum(job.parameters["day"] == day.isoformat() for job in jobs))
    assert looks == [1, 2, 3, 3]
    assert len(manifests(house, "india", day)) == 1


def test_an_edited_filter_disturbs_neither_old_days_nor_other_accounts(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter edited between two nights holds for the days planned from then on."""
    day = YESTERDAY - DAY
    sections = {}
    for alias in ("india", "branch"):
        account = simulators.vonage.account(username=f"{alias}@vbc.prod")
        for each in (day, day + DAY):
            account.seed(each, ZONE, 2)
        account.withhold(account.recordings()[0]["id"], from_="everywhere")
        sections[alias] = account

    def text(india: dict[str, Any]) -> str:
        return "\n".join(
            [
                account_toml(
                    "india",
                    sections["india"].configuration(),
                    {"timezone": ZONE, "catchup_days": 2, **india},
                ),
                account_toml(
                    "branch",
                    sections["branch"].configuration(),
                    {"timezone": ZONE, "catchup_days": 2},
                ),
            ]
        )

    house = deploy(text({}))
    house.worker()
    with planner(house, monkeypatch) as plan:
        plan(day)
        before = {alias: settled(house, alias, day, "incomplete") for alias in sections}
        house.accounts_file.write_text(text({"filters": {"call_direction": "INBOUND"}}))
        plan(day + DAY)
        for alias in sections:
            settled(house, alias, day, "incomplete")
            settled(house, alias, day + DAY, "complete")
    filters = {
        (row.account, row.day): row.filters
        for alias in sections
        for row in house.ledger.days.of(alias)
    }
    assert filters[("india", day)] == filters[("branch", day)] == {}
    assert filters[("branch", day + DAY)] == {}
    assert filters[("india", day + DAY)] == {"call_direction": "INBOUND"}
    for alias, job in before.items():
        again = manifests(house, alias, day)
        assert [one["filters"] for one in again] == [{}] * len(again)
        assert house.ledger.jobs.job(job.job_id) == job


def test_days_beyond_the_catch_up_are_given_up_in_sight(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long outage the days that are too old are rows of their own, visibly given up; a
    person can still ask for one.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    old, new = YESTERDAY - 5 * DAY, YESTERDAY
    for day in (old, old + DAY, new):
        account.seed(day, ZONE, 1)
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 2})
    )
    house.worker()
    with planner(house, monkeypatch) as plan:
        plan(old)
        settled(house, "india", old, "complete")
        plan(new)
        settled(house, "india", new, "complete")
    found = days_of(house, "india")
    assert [found[old + n * DAY] for n in (1, 2, 3)] == ["gave_up"] * 3
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=(old + DAY).isoformat())
        assert asked.get(timeout=60)["archived"] == 1
    assert days_of(house, "india")[old + DAY] == "complete"


def test_a_day_that_a_person_asks_for_hides_no_other(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage somebody asks for yesterday before the first night is planned: the days
    between are caught up or given up all the same, and people are told until each is exported.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    old, new = YESTERDAY - 5 * DAY, YESTERDAY
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 2})
    )
    house.ledger.identity.prepare()
    with planner(house, monkeypatch) as plan:
        plan(old)
        open_day("india", new, by="operator")
        found = days_of(house, "india")
        assert [found[old + n * DAY] for n in range(1, 6)] == ["gave_up"] * 3 + ["due", "running"]
        plan(new)
        assert days_of(house, "india")[new - DAY] == "running"
        lost = [old + n * DAY for n in (1, 2, 3)]
        told = f"day:india:{lost[0]}..{lost[-1]}"
        for day in lost:
            assert told in {one["cause"] for one in house.ledger.alerts.all_open()}
            job, _ = open_day("india", day, by="operator")
            claimed = house.ledger.execution.claim(job.job_id)
            assert claimed is not None
            house.ledger.execution.finish(claimed[1], states.DONE)
        assert told not in {one["cause"] for one in house.ledger.alerts.all_open()}


def test_who_asks_before_the_first_night_takes_nothing_from_it(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account is new, and somebody asks for yesterday at once: the first night catches up the
    days before all the same.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 3})
    )
    house.ledger.identity.prepare()
    with planner(house, monkeypatch) as plan:
        open_day("india", YESTERDAY, by="operator")
        assert days_of(house, "india") == {YESTERDAY: "running"}
        plan(YESTERDAY)
    assert days_of(house, "india") == dict.fromkeys(
        [YESTERDAY - n * DAY for n in range(3)], "running"
    )


def test_days_counted_by_another_time_zone_leave_no_hour_between(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time zone is edited between two nights: the first day that is counted by the new one
    begins where the last one of the old one ended, or before.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")

    def text(zone: str) -> str:
        nightly = {"catchup_days": 1, "timezone": zone}
        return account_toml("india", account.configuration(), nightly)

    house = deploy(text(ZONE))
    house.ledger.identity.prepare()
    with planner(house, monkeypatch) as plan:
        for days, zone in ((-6, ZONE), (-4, "America/New_York"), (-2, "Pacific/Auckland")):
            house.accounts_file.write_text(text(zone))
            plan(YESTERDAY + days * DAY)
            plan(YESTERDAY + (days + 1) * DAY)
    rows = house.ledger.days.of("india")
    assert {row.timezone for row in rows} == {ZONE, "America/New_York", "Pacific/Auckland"}
    for before, after in pairwise(rows):
        assert after.day == before.day + DAY
        assert after.window_start <= before.window_end


def test_a_day_is_not_exported_before_the_provider_s_own_clock_says_so(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Our clock may run ahead: while the provider's Date is not past the day's end and its time to
    settle, the day waits and no export is made.
    """
    day = YESTERDAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(day, ZONE, 1)
    account.configure(clock_offset=-2 * 86_400)
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 1})
    )
    house.worker()
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=day.isoformat())
        eventually(
            lambda: any("settles until" in (j.reason or "") for j in house.ledger.jobs.jobs()),
            what="the day did not wait",
        )
        eventually(lambda: asked.state == "RETRY", what="it is not shown as waiting")
    assert simulators.log.exports() == []


def test_an_account_that_fails_does_not_stop_the_others(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account's provider is dead: the other account's night is complete."""
    day = YESTERDAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(day, ZONE, 2)
    dead = {**account.configuration(), "base_url": "http://127.0.0.1:9/x", "username": "other"}
    house = deploy(
        account_toml("broken", dead, {"timezone": ZONE, "catchup_days": 1})
        + account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 1})
    )
    house.worker()
    with planner(house, monkeypatch) as plan:
        plan(day)
        settled(house, "india", day, "complete")
    assert days_of(house, "broken")[day] == "running"
