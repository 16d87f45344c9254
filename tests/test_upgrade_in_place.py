"""A ledger and an archive of an older release, killed at its work, go on with today's program.

The copies in samples/upgrade were made with 84f0523 by old_house.py: one whose ledger is an SQLite
file, and whose Redis lives on, and one on PostgreSQL, whose Redis is lost.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from sqlalchemy import update

from config.queues import DUE
from ledger.core.opening import Request
from ledger.core.schema import days, jobs

from .deployment import zip_is_whole
from .restored import sums
from .simulators import Simulators
from .upgraded_house import UpgradedHouse, unpacked
from .waiting import eventually

#: How the calls of the old house had ended, by the names of their tasks.
CALLS = {
    "placed": "done",
    "refused": "failed",
    "unknown": "needs_decision",
    "decided": "done",
    "decided late": "failed",
    "cancelled": "cancelled",
}


@pytest.fixture(params=["sqlite", "postgres"])
def either(
    request: pytest.FixtureRequest, tmp_path: Path, simulators: Simulators
) -> Iterator[UpgradedHouse]:
    """The house of each copy; its ledger is not migrated yet."""
    server = request.getfixturevalue("postgres") if request.param == "postgres" else None
    folder = tmp_path / "house"
    with unpacked(request.param, folder, simulators, server) as upgraded:
        yield upgraded


@pytest.fixture
def upgraded(tmp_path: Path, simulators: Simulators) -> Iterator[UpgradedHouse]:
    """The house whose ledger is an SQLite file, not migrated yet."""
    with unpacked("sqlite", tmp_path / "house", simulators, None) as house:
        yield house


def test_commands_show_what_they_showed(either: UpgradedHouse) -> None:
    """After the migration, before any worker: jobs, days, alerts and the archive are as they were,
    and nothing is found wrong with them.
    """
    refused = either.house.run("status")
    assert (refused.returncode, "earwitness migrate" in refused.stderr) == (1, True)
    either.run("migrate")

    printed = either.old["printed"]
    assert either.jobs() == {job["job_id"]: job for job in printed["status"]}
    exported = [one for one in printed["coverage"] if one["generation"]]
    assert [one for one in either.coverage() if one["generation"]] == exported
    causes = [one["cause"] for one in either.asked("alerts", status=1)]
    assert causes == [one["cause"] for one in printed["alerts"]]
    for name in ("cut", "in flight"):
        assert either.asked("show", either.old["tasks"][name]).items() >= either.shown(name).items()

    heads = [f"--head={name}={sha256}" for name, sha256 in printed["verify"]["heads"].items()]
    assert either.asked("verify", *heads).items() >= printed["verify"].items()
    either.run("archive")
    found = either.asked("doctor", status=None)
    wrong = [one for one in found if one["level"] == "error"]
    assert [one for one in wrong if one["subject"] in ("archive", "redis")] == []
    assert either.before == sums(either.house.archive)


def test_work_goes_on(either: UpgradedHouse) -> None:
    """The first worker after the upgrade does everything that the killed ones left, and the next
    night. What the two releases have archived together is whole, and makes a ledger anew.
    """
    either.run("migrate")
    deletions_are_half_planned(either)
    worker = either.start()
    with either.house.producer() as app:
        either.end_call()
        the_transfer_is_resumed(either, app)
        the_export_is_fetched(either, app)
        calls_are_placed_once(either, app)
        eventually(lambda: collected(either), what="the recording was not collected")
        people_and_callers_are_notified(either)
        the_incomplete_day_is_completed(either)
        the_next_night_is_exported(either, app)
        recordings_are_deleted_once(either)
        eventually(either.chained, what="something is not under the chain")
    assert worker.stop() == 0

    ends = {job["state"] for job in either.jobs().values()}
    assert ends == {"done", "failed", "cancelled", "needs_decision"}
    archived = either.days()
    assert {one["state"] for one in archived.values()} == {"complete"}
    assert either.before.items() <= sums(either.house.archive).items()
    assert all(zip_is_whole(path) for path in either.house.archive.rglob("*.zip"))
    assert either.asked("verify")["problems"] == []
    either.house.ledger_url = f"sqlite:///{either.folder / 'rebuilt.sqlite3'}"
    either.run("rebuild")
    assert either.days() == archived


def the_transfer_is_resumed(either: UpgradedHouse, app: Celery) -> None:
    """At the byte where it was cut, of the same file."""
    cut = either.old["exports"]["cut"]
    done = either.answer_of(app, "cut")
    assert (done["archived"], done["missing"]) == (len(cut["recording_ids"]), 0)
    (transfer,) = either.simulators.log.transfers(cut["job_id"])
    assert transfer["range"] == f"bytes={either.old['held_bytes']}-"
    assert transfer["if_range"] == f'"{cut["etag"]}"'
    whole = (either.folder / "export.zip").read_bytes()
    assert transfer["sent_bytes"] == len(whole) - either.old["held_bytes"]
    (kept,) = either.house.archive.glob(f"india/exports/*/*/*/*/{cut['job_id']}.*.zip")
    assert kept.read_bytes() == whole
    assert either.simulators.log.exports("india@vbc.prod") == []


def the_export_is_fetched(either: UpgradedHouse, app: Celery) -> None:
    """The export that was created before is not created once more."""
    waits = either.old["exports"]["waits"]
    assert either.answer_of(app, "waits")["archived"] == len(waits["recording_ids"])
    assert either.simulators.log.transfers(waits["job_id"])
    assert either.simulators.log.exports("goa@vbc.prod") == []


def calls_are_placed_once(either: UpgradedHouse, app: Celery) -> None:
    """Calls that were never sent are placed, the one on its way is left to people, and of the
    others each request id gives its first outcome.
    """
    assert either.answer_of(app, "held")["state"] == "done"
    assert type(either.answer_of(app, "in flight")).__name__ == "Uncertain"
    ends = {**CALLS, "in flight": "needs_decision", "held": "done", "queued": "done"}
    ids = {name: either.call_again(app, name) for name in ends}
    jobs = either.jobs()
    assert {name: jobs[job_id]["state"] for name, job_id in ids.items()} == ends
    placed = [len(account.calls()) for account in (either.dark, either.legal)]
    assert placed == [1, 1], "the one that was held, and the one that was queued"


def collected(either: UpgradedHouse) -> bool:
    """Whether the recording that an old worker had started is in the archive."""
    (made,) = either.office.recordings()
    return made["sha256"] in sums(either.house.archive).values()


def people_and_callers_are_notified(either: UpgradedHouse) -> None:
    """Of what they were not reached for before; and the receipts are written."""
    ends = {"decided late": "failed", "in flight": "needs_decision", "held": "done"}
    states = {either.shown(name)["job_id"]: state for name, state in ends.items()}
    eventually(lambda: states.items() <= either.notified(), what="a caller was not notified")

    def causes() -> set[str]:
        return {one["cause"] for one in either.alerts.taken()}

    wanted = {one["cause"] for one in either.old["printed"]["alerts"]}
    wanted.add(f"decision:{either.shown('in flight')['job_id']}")
    eventually(lambda: wanted <= causes(), what="people were not alerted")

    def receipts() -> set[str]:
        return {path.name for path in either.house.archive.rglob("certified-calls/*/*/*.json")}

    number = {"decided late": ".2", "in flight": "", "held": ""}
    files = {f"{either.shown(name)['job_id']}{n}.json" for name, n in number.items()}
    eventually(lambda: files <= receipts(), what="a receipt was not written")


def the_incomplete_day_is_completed(either: UpgradedHouse) -> None:
    """By a later generation, which fetches the missing recording and nothing else."""
    day = either.day("incomplete")
    old = either.days()[day]
    either.run("export", "--account", "india", "--from", day, "--to", day, "--wait")
    new = either.days()[day]
    assert (old["state"], new["state"], new["missing"]) == ("incomplete", "complete", 0)
    assert new["generation"] == old["generation"] + 1
    assert len(either.simulators.log.requests("audio", "india@vbc.prod")) == 1
    assert either.simulators.log.exports("india@vbc.prod") == []


def the_next_night_is_exported(either: UpgradedHouse, app: Celery) -> None:
    """Yesterday of both accounts, on which nobody called."""
    either.house.send(app, "nightly.plan")
    yesterday = datetime.now(ZoneInfo(either.old["zone"])).date() - timedelta(days=1)
    asked = ("coverage", "--from", str(yesterday), "--to", str(yesterday))
    eventually(lambda: either.house.run(*asked).returncode == 0, what="the night was not exported")


def deletions_are_half_planned(either: UpgradedHouse) -> None:
    """The old night had opened all deletions of one day and one deletion of the other, and was
    killed before it noted either day.
    """
    day = either.day("filled")
    zone = ZoneInfo(either.old["zone"])
    starts = {str(one["id"]): one["start"] for one in either.old["recordings"]["surat"]}
    recording_id = min(
        one
        for one, start in starts.items()
        if datetime.fromisoformat(start).astimezone(zone).date().isoformat() == day
    )
    parameters = {"recording_id": recording_id, "day": day}
    request_id = f"day:{day}/{recording_id}"
    older = Request("recording.delete", "surat", request_id, parameters, DUE)
    ledger = either.house.ledger
    job, _ = ledger.opening.open(older, by="nightly plan")
    with ledger.database.engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.job_id == job.job_id).values(hinted_at=None))
        connection.execute(update(days).values(deleted_at=None))


def recordings_are_deleted_once(either: UpgradedHouse) -> None:
    """Those whose deletion an old night had opened by their own jobs, and what no old night had
    come to by the job of its day. No day is left, and the provider is asked once for each.
    """
    log = either.simulators.log
    seeded = sorted(one["id"] for one in either.old["recordings"]["surat"])

    def of_days() -> dict[str, dict[str, int]]:
        jobs = [job for job in either.jobs().values() if job["kind"] == "recording.delete"]
        results = [job["result"] for job in jobs if job["account"] == "surat" and job["result"]]
        return {one["day"]: one for one in results if "day" in one}

    days = {either.day("parts"), either.day("filled")}
    eventually(lambda: of_days().keys() == days, within=60, what="a day is not deleted")
    assert sorted(one["recording_id"] for one in log.effects("recording_deleted")) == seeded
    assert len(log.requests("delete", "surat@vbc.prod")) == len(seeded)
    deleted = [of_days()[either.day(name)]["deleted"] for name in ("parts", "filled")]
    assert deleted == [0, 1]


def test_a_new_ledger_is_rebuilt_from_the_old_archive(upgraded: UpgradedHouse) -> None:
    """It has the same days and the same calls as the old ledger, and the same name."""
    upgraded.run("migrate")
    old_jobs, old_days = upgraded.jobs(), upgraded.days()
    for path in upgraded.folder.glob("ledger.sqlite3*"):
        path.unlink()
    upgraded.run("rebuild")
    assert upgraded.before == sums(upgraded.house.archive)

    archived = ("manifest", "state", "generation", "listed", "archived", "missing", "job_id")
    india = [one for one in old_days.values() if one["manifest"]]
    new_days = upgraded.days()
    for one in india:
        assert {name: new_days[one["day"]][name] for name in archived} == {
            name: one[name] for name in archived
        }
    new_jobs = upgraded.jobs()
    for name in ("placed", "refused", "unknown", "decided", "download", "retrieve", "filters"):
        job_id = upgraded.shown(name)["job_id"]
        told = ("kind", "account", "state", "result")
        assert [new_jobs[job_id][one] for one in told] == [old_jobs[job_id][one] for one in told]
    assert upgraded.start().alive


def test_the_first_worker_notes_how_long_the_chains_are(upgraded: UpgradedHouse) -> None:
    """The ledger knows the newest entry of every chain, of those that nothing lengthens as well."""
    upgraded.run("migrate")
    upgraded.house.worker("first")
    with closing(sqlite3.connect(upgraded.folder / "ledger.sqlite3")) as ledger:
        heads = dict(ledger.execute("SELECT account, sha256 FROM chain_heads").fetchall())
    assert heads["office"] == upgraded.old["printed"]["verify"]["heads"]["office"]


@pytest.mark.parametrize("lost", ["all", "newest"])
def test_an_archive_that_lacks_days_is_not_adopted(upgraded: UpgradedHouse, lost: str) -> None:
    """Gone, or an older copy, before the upgrade: no worker starts."""
    archive = upgraded.house.archive
    if lost == "all":
        shutil.rmtree(archive)
    else:
        max(archive.glob("india/chain/*.json")).unlink()
    upgraded.run("migrate")
    worker = upgraded.house.worker("refused", ready=False)
    eventually(lambda: not worker.alive, what="the worker did not end")
    assert worker.popen.returncode != 0
    assert "Traceback" not in worker.log()
    found = upgraded.asked("doctor", status=1)
    assert [one for one in found if (one["subject"], one["level"]) == ("archive", "error")]


def test_a_file_that_was_lost_before_is_found(upgraded: UpgradedHouse) -> None:
    """By the first comparison, from what jobs of the older release have left in the ledger."""
    day = upgraded.day("parts")
    path, _ = upgraded.house.archive.glob(f"india/exports/{day.replace('-', '/')}/*/*.zip")
    path.unlink()
    upgraded.run("migrate")
    assert day in upgraded.run("archive", status=1)
    assert upgraded.days()[day]["state"] == "damaged"
