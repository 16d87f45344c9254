"""Nights of Vonage's global API: both kinds of recordings, and exports that are followed."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ledger.ledger import Ledger

from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .test_creation import quarter_of_an_hour_later, waits

NIGHTLY = {"timezone": ZONE}
Deploy = Callable[..., Deployment]


def made(simulators: Simulators, alias: str, **switches: Any) -> AccountDoor:
    """A global account with four company recordings of yesterday and three on demand, one of them
    of the same call as a company recording and of the same file name.
    """
    door = simulators.vonage.account(username=f"{alias}@vbc.prod", region="global", **switches)
    company = door.seed(YESTERDAY, ZONE, 4)
    door.seed(YESTERDAY, ZONE, 2, user_id="self")
    one = {name: company[1][name] for name in ("call_id", "start", "file_name", "duration")}
    door.add({**one, "user_id": "self"})
    return door


def table(alias: str, door: AccountDoor, recordings: str = "both", **nightly: Any) -> str:
    """The account as a section of accounts.toml."""
    told = {**door.configuration(), "recordings": recordings}
    return account_toml(alias, told, {**NIGHTLY, **nightly})


def span(alias: str) -> list[str]:
    """Yesterday, as commands take it."""
    return ["--account", alias, "--from", str(YESTERDAY), "--to", str(YESTERDAY)]


def exported(house: Deployment, alias: str) -> tuple[int, dict[str, Any], str]:
    """Export yesterday to its end: the status, the job and what people saw of it."""
    done = house.run("export", *span(alias), "--wait", "--json")
    (job,) = json.loads(done.stdout)
    return done.returncode, job, done.stderr


def lines(house: Deployment, job: dict[str, Any]) -> list[dict[str, Any]]:
    """What the manifest of a day lists."""
    known = json.loads(house.store.read(job["result"]["manifest"]))
    listed = house.store.read(known["recordings"]["path"])
    return [json.loads(line) for line in listed.splitlines()]


def are_whole(house: Deployment, door: AccountDoor, job: dict[str, Any]) -> None:
    """Every recording of both kinds is archived once, byte for byte, and tells its kind."""
    listed = lines(house, job)
    kinds = {
        str(one["id"]): user is not None for user in (None, "self") for one in door.recordings(user)
    }
    assert {one["id"]: one.get("on_demand", False) for one in listed} == kinds
    assert len(listed) == len(kinds)
    for one in listed:
        assert hashlib.sha256(audio(house, one)).hexdigest() == door.sha256(one["id"])


def figures_of(house: Deployment, job_id: str) -> list[int]:
    """How many files were done, each time that an export was looked at."""
    whys = [str(one["why"]) for one in house.ledger.jobs.history(job_id)]
    return [int(found[1]) for why in whys if (found := re.search(r"(\d+) of \d+ files", why))]


def audio(house: Deployment, line: dict[str, Any]) -> bytes:
    """A recording's bytes, out of its ZIP or its own file."""
    path = house.archive / line["path"]
    if "member" not in line:
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(line["member"])


def test_a_night_of_both_kinds(deploy: Deploy, simulators: Simulators) -> None:
    """Both kinds come by exports of their own, two recordings of one call included; progress is
    shown, nothing is retrieved before it is ready, and a later generation, coverage, verify, doctor
    and a rebuild know the day as any other.
    """
    door = made(simulators, "madrid", ready_after_polls=3)
    house = deploy(table("madrid", door))
    house.worker()
    door.fault("job", "backwards", files=3, skip=4, times=2)
    late = door.recordings("self")[0]["id"]
    door.withhold(late, from_="everywhere")
    status, job, seen = exported(house, "madrid")
    assert (status, job["result"]["listed"], job["result"]["missing"]) == (1, 7, 1)
    assert str(late) in job["reason"]
    assert "of 4 files, status in_progress" in seen
    made_jobs = door.jobs()
    assert sorted(one["user_id"] is None for one in made_jobs) == [False, True]
    for one in made_jobs:
        asked = simulators.log.requests(account=door.username, job_id=one["id"])
        assert [r["operation"] for r in asked] == ["job"] * 4 + ["retrieve"]
    for part in json.loads(house.run("show", job["job_id"], "--json").stdout)["parts"]:
        assert part["state"] == "done"
        if part["kind"] != "export.retrieve":
            continue
        figures = figures_of(house, part["job_id"])
        assert len(figures) == 3
        assert figures == sorted(figures), "a count fell"
    door.release(late)
    status, job, _ = exported(house, "madrid")
    assert (status, job["result"]["archived"], job["result"]["missing"]) == (0, 7, 0)
    assert len(door.jobs()) == 2, "a later generation fetches what is missing alone"
    are_whole(house, door, job)
    assert house.run("verify").returncode == 0
    covered = house.run("coverage", *span("madrid"))
    assert "complete, 7 of 7" in covered.stdout
    doctor = {one["subject"]: one for one in json.loads(house.run("doctor", "--json").stdout)}
    assert doctor["account madrid"]["level"] == "ok"
    _is_rebuilt(house, job)


def _is_rebuilt(house: Deployment, job: dict[str, Any]) -> None:
    (before,) = house.ledger.days.of("madrid", YESTERDAY, YESTERDAY)
    for process in house.processes:
        process.stop()
    house.ledger_url = f"sqlite:///{house.folder / 'anew.sqlite3'}"
    assert not json.loads(house.run("rebuild", "--json").stdout)["not_taken"]
    anew = Ledger(house.ledger_url)
    try:
        (row,) = anew.days.of("madrid", YESTERDAY, YESTERDAY)
    finally:
        anew.close()
    assert (row.state, row.generation, row.manifest, row.timezone) == (
        before.state,
        2,
        job["result"]["manifest"],
        ZONE,
    )


FAULTS = {
    "failed": ("failed_job", {}),
    "cancelled": ("failed_job", {"share": 1.0, "status": "CANCELLED"}),
    "expired": ("expired_job", {}),
    "lost": ("lost_job", {}),
}


def test_exports_that_go_wrong_are_created_anew(deploy: Deploy, simulators: Simulators) -> None:
    """A failed, expired or lost export is asked for once more, and the night completes; its part
    says in a sentence what became of it.
    """
    doors = {alias: made(simulators, alias, ready_after_polls=1) for alias in FAULTS}
    house = deploy("\n".join(table(alias, door) for alias, door in doors.items()))
    house.worker()
    for alias, (kind, more) in FAULTS.items():
        doors[alias].fault("export", kind, **more)
        status, job, _ = exported(house, alias)
        assert (status, job["result"]["archived"]) == (0, 7), (alias, job)
        are_whole(house, doors[alias], job)
        created = simulators.log.exports(doors[alias].username)
        assert [one["user_id"] is None for one in created] == [True, False, True, False]
        reasons = [part.reason for part in house.ledger.jobs.parts(job["job_id"]) if part.error]
        (reason,) = reasons
        assert {
            "failed": "the provider gave up export",
            "cancelled": "status CANCELLED",
            "expired": "HTTP 410",
            "lost": "the provider has lost export",
        }[alias] in reason


def test_an_export_that_was_created_is_not_created_again(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Where the provider asks to wait before the second export, the first one stands."""
    door = made(simulators, "busy", ready_after_polls=0)
    door.fault("on_demand_export", "answer", times=2, status=429, body="wso2-json", retry_after=1)
    house = deploy(table("busy", door))
    house.worker()
    status, job, _ = exported(house, "busy")
    assert (status, job["result"]["archived"]) == (0, 7)
    created = simulators.log.exports(door.username)
    assert [one["user_id"] is None for one in created] == [True, False]


def test_an_unknown_export_is_repeated_alone(deploy: Deploy, simulators: Simulators) -> None:
    """The answer to the second creation is lost: only that one is created again, later."""
    door = made(simulators, "lossy", ready_after_polls=0)
    door.fault("on_demand_export", "reset", when="after")
    house = deploy(table("lossy", door))
    house.worker()
    with house.producer() as app:
        asked = house.send(app, "export.run", account="lossy", day=YESTERDAY.isoformat())
        job = waits(house, "unknown whether the export was created")
        quarter_of_an_hour_later(house, job)
        assert asked.get(timeout=60)["archived"] == 7
    created = simulators.log.exports(door.username)
    assert [one["user_id"] is None for one in created] == [True, False, False]


def test_an_export_that_never_ends_is_not_waited_for_longer(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A stalled export ends at the deadline with its figures; the recordings come one by one."""
    door = made(simulators, "stalled", ready_after_polls=0)
    door.fault("export", "stalled_job", times=None, share=0.5)
    settings = {"POLL_DEADLINE_HOURS": "0.001"}
    house = deploy(table("stalled", door, "company"), settings=settings)
    house.worker()
    status, job, _ = exported(house, "stalled")
    assert (status, job["result"]["archived"]) == (0, 4)
    assert {r["operation"] for r in simulators.log.requests(account=door.username)}.isdisjoint(
        {"retrieve", "on_demand_list"}
    )
    for part in house.ledger.jobs.parts(job["job_id"], kind="export.retrieve"):
        assert part.error is not None
        assert part.error["type"] == "NotReady"
        assert "2 of 4 files, status in_progress" in part.error["message"]


def test_on_demand_recordings_alone(deploy: Deploy, simulators: Simulators) -> None:
    """An account of them alone archives nothing of the company's, and deletes what it may."""
    door = made(simulators, "mine", ready_after_polls=0)
    told = {**door.configuration(), "recordings": "on_demand", "allow_delete": True}
    told["user_id"] = door.user_id
    house = deploy(account_toml("mine", told, NIGHTLY))
    house.worker()
    status, job, _ = exported(house, "mine")
    assert (status, job["result"]["listed"]) == (0, 3)
    assert all(one["on_demand"] for one in lines(house, job))
    one = lines(house, job)[0]["id"]
    with house.producer() as app:
        ended = house.send(app, "recording.delete", account="mine", recording_id=one).get(30)
    assert ended["deleted"]
    assert len(door.recordings("self")) == 2
    assert len(door.recordings()) == 4


@pytest.mark.parametrize("has_status", [False, True])
def test_india_is_asked_for_its_status_once(
    deploy: Deploy, simulators: Simulators, has_status: bool
) -> None:
    """Without a status India is asked for it once, by whichever worker; with it, it is used."""
    door = simulators.vonage.account(status_endpoint=has_status, ready_after_polls=2)
    days = [YESTERDAY - timedelta(days=n) for n in range(3)]
    for day in days:
        door.seed(day, ZONE, 3)
    house = deploy(account_toml("india", door.configuration(), NIGHTLY))
    house.worker("first")
    for day in days:
        if day == days[-1]:
            house.worker("second")
            house.processes[0].stop()
        chosen = ["--account", "india", "--from", str(day), "--to", str(day)]
        assert house.run("export", *chosen, "--wait").returncode == 0
    asked = [
        r["operation"]
        for r in simulators.log.requests(account=door.username)
        if r["operation"] in ("job", "jobs", "retrieve", "none")
    ]
    if has_status:
        assert asked == ["job", "job", "job", "retrieve"] * 3
    else:
        assert sorted(asked) == ["job", "jobs"] + ["retrieve"] * 9
