"""``status``, ``show``, ``retry``, ``cancel``, ``coverage`` and ``migrate``: the ledger, typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from config.settings import settings
from ledger.core import states
from ledger.core.states import DAY_GAVE_UP
from ledger.ledger import Ledger
from tasks.days import windows
from tasks.days.day import day_request, day_row

from .deployment import Deployment, account_toml
from .ledgers import claim_job, opened, running, with_parts
from .recent_days import TODAY, ZONE
from .waiting import LOADED_SECONDS

DAY = timedelta(days=1)
NUMBER = "+34600123456"
INDIA = {
    "provider": "vonage",
    "base_url": "http://127.0.0.1:1/none",
    "token_url": "http://127.0.0.1:1/token",
    "username": "john.doe@vbc.prod",
    "password": "sesame-open",
    "client_id": "id",
    "client_secret": "sesame-shut",
}


@pytest.fixture
def house(deploy: Callable[..., Deployment]) -> Deployment:
    """A deployment without a worker: an account with nights, a ledger of its own."""
    # Every command is a process of its own: what a test holds must outlast several of them.
    settings = {"LEASE_SECONDS": "30"}
    return deploy(
        account_toml("india", INDIA, {"timezone": ZONE, "catchup_days": 3}), settings=settings
    )


@pytest.fixture(scope="module")
def untouched(deploy_for_module: Callable[..., Deployment]) -> Deployment:
    """The same for commands that change nothing."""
    return deploy_for_module(account_toml("india", INDIA, {"timezone": ZONE, "catchup_days": 3}))


def failed(ledger: Ledger, request_id: str, **given: Any) -> str:
    """The id of a job that failed."""
    job, lease = running(ledger, request_id, **given)
    error = {"type": "Rejected", "message": "not done: the provider said no"}
    ledger.execution.finish(lease, states.FAILED, reason=error["message"], error=error)
    return job.job_id


def test_status_is_an_array_of_jobs_for_programs(house: Deployment) -> None:
    """``status --json`` prints the jobs exactly as the ledger shows them, the last changed first,
    and only those that were asked for.
    """
    first = opened(house.ledger, "r1")
    second = opened(house.ledger, "r2", kind="recording.download", account="other")
    failed(house.ledger, "r3")
    printed = json.loads(house.run("status", "--json").stdout)
    assert [job["request_id"] for job in printed] == ["r3", "r2", "r1"]
    assert printed[2] == house.ledger.jobs.job(first.job_id).summary()
    for arguments in (
        ["--account", "other"],
        ["--kind", "recording.download"],
        ["--state", "pending", "--limit", "1"],
    ):
        (only,) = json.loads(house.run("status", "--json", *arguments).stdout)
        assert only["job_id"] == second.job_id


def test_a_job_that_is_worked_on_is_not_told_to_wait(house: Deployment) -> None:
    """While a job runs, neither people nor programs read why it waited before; of a transfer they
    read how far it is.
    """
    job, lease = running(house.ledger, "r1")
    house.ledger.execution.postpone(lease, "export abc: not ready", seconds=0)
    _, again = claim_job(house.ledger, job.job_id)
    again.transfer = {"bytes": 5, "total": 9, "rate": 1, "seconds_left": 4, "exact": True}
    again.progress()
    house.ledger.leases.renew()
    (printed,) = json.loads(house.run("status", "--json").stdout)
    assert (printed["state"], printed["reason"]) == ("running", None)
    said = house.run("status").stdout
    assert "not ready" not in said
    assert "r1: 5 bytes of 9 bytes, 1 byte/s, 4 s left" in said


def test_status_tells_people_what_is_owed(house: Deployment) -> None:
    """The table holds each job's state and reason; below it stand what is owed and why not done."""
    job_id = failed(house.ledger, "r1")
    house.ledger.outbox.owe(job_id, "india", "chain", {"path": "p", "sha256": "s"})
    (owed,) = house.ledger.outbox.due(limit=1)
    house.ledger.outbox.failed([owed.id], "the disk is full")
    said = house.run("status").stdout
    (line,) = [line for line in said.splitlines() if job_id in line]
    assert "failed" in line
    assert "the provider said no" in line
    assert "all jobs: 1 failed" in said
    assert "pending: 1 chain entry not yet written since " in said
    assert "the disk is full" in said


def test_show_masks_people_until_somebody_asks(house: Deployment) -> None:
    """A number, a name and an extension are masked; --reveal shows them, and the job's history
    says who looked.
    """
    filters = {"caller_id": NUMBER, "cnam": "María Gil", "extension": "101", "dnis": "4711"}
    job = opened(house.ledger, "r1", parameters={"filters": filters})
    hidden = house.run("show", "r1")
    assert hidden.returncode == 0
    assert "***456" in hidden.stdout
    for secret in (NUMBER, NUMBER[1:], "María", '"101"', "4711"):
        assert secret not in hidden.stdout
    assert house.ledger.jobs.history(job.job_id)[-1]["why"] == "opened"
    shown = json.loads(house.run("show", job.job_id, "--reveal", "--json").stdout)
    assert shown["parameters"]["filters"] == filters
    assert shown["history"][-1] == house.ledger.jobs.history(job.job_id)[-1]
    assert shown["history"][-1]["why"] == "personal data revealed"
    assert shown["history"][-1]["by"]


def test_show_finds_a_job_by_each_of_its_names(house: Deployment) -> None:
    """By job id, request id and the id of a task that asked; with its parts, their transfers and
    its history. A name of two jobs names both.
    """
    job = opened(house.ledger, "r1", task_id="task-1")
    for name in (job.job_id, "r1", "task-1"):
        assert json.loads(house.run("show", name, "--json").stdout)["job_id"] == job.job_id
    parent, parts = with_parts(house.ledger, 2)
    shown = json.loads(house.run("show", parent.job_id, "--json").stdout)
    assert [part["job_id"] for part in shown["parts"]] == [part.job_id for part in parts]
    said = house.run("show", parent.job_id).stdout
    assert all(part.job_id in said for part in parts)
    assert "waits for 2 parts" in said
    other = opened(house.ledger, "r1", account="other")
    both = house.run("show", "r1")
    assert both.returncode == 1
    assert job.job_id in both.stderr
    assert other.job_id in both.stderr
    unknown = house.run("show", "nobody")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)


def test_retry_opens_the_work_again_without_redis(house: Deployment) -> None:
    """With Redis dead a failed job is opened once more, with who and why, within seconds; what has
    not failed is refused.
    """
    old = failed(house.ledger, "r1")
    fresh = opened(house.ledger, "r2")
    house.valkey.stop()
    done = house.run(
        "retry", "r1", "--by", "ana", "--note", "the line is back", "--json", within=LOADED_SECONDS
    )
    assert done.returncode == 0
    again = json.loads(done.stdout)
    assert (again["state"], again["request_id"]) == ("pending", "r1#2")
    assert house.ledger.jobs.history(again["job_id"])[0]["by"] == "ana"
    assert "the line is back" in house.ledger.jobs.history(old)[-1]["why"]
    refused = house.run("retry", fresh.job_id)
    assert refused.returncode == 1
    assert "not failed" in refused.stderr


def test_cancel_ends_what_waits_and_asks_what_runs(house: Deployment) -> None:
    """A waiting job is cancelled at once, a running one is asked to stop, an ended one refused."""
    waiting = opened(house.ledger, "r1")
    busy, lease = running(house.ledger, "r2")
    assert house.run("cancel", "r1").returncode == 0
    assert house.ledger.jobs.job(waiting.job_id).state == "cancelled"
    said = house.run("cancel", "r2")
    assert "next heartbeat" in said.stdout
    assert house.ledger.jobs.job(busy.job_id).cancel_requested
    house.ledger.execution.finish(lease, states.DONE)
    refused = house.run("cancel", "r2")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)


def plan(house: Deployment, monkeypatch: pytest.MonkeyPatch, gave_up: bool = False) -> None:
    """Put the last three days of the account into the ledger, as the planner does."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    rows = [day_row("india", TODAY - n * DAY, gave_up=gave_up and n == 3) for n in (3, 2, 1)]
    catchup_days = 2 if gave_up else 3
    house.ledger.days.plan(
        "india", rows, night=TODAY, catchup_days=catchup_days, request_for=day_request, by="test"
    )


def by_hand(house: Deployment, monkeypatch: pytest.MonkeyPatch, *days: date) -> None:
    """Open the export of days as ``export`` does, whatever nights there are."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    for day in days:
        row = day_row("india", day, gave_up=False)
        house.ledger.days.open(row, night=TODAY, request_for=day_request, by="test")


def end(house: Deployment, ago: int, state: str, **counts: int) -> None:
    """Bring the export of a day to its end, with a manifest where something was counted."""
    (row,) = house.ledger.days.of("india", TODAY - ago * DAY, TODAY - ago * DAY)
    claimed = house.ledger.execution.claim(row.job_id or "")
    assert claimed is not None
    result = {"manifest": f"india/{ago}/manifest.json", **counts} if counts else None
    reason = None if state == states.DONE else f"not done: reason {ago}"
    house.ledger.execution.finish(claimed[1], state, reason=reason, result=result)


def test_coverage_has_a_line_for_each_day(
    house: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complete, incomplete n of m with the reason, failed; status 1 until all are complete."""
    plan(house, monkeypatch)
    end(house, 3, states.DONE, listed=9, archived=9, missing=0)
    end(house, 2, states.FAILED, listed=9, archived=7, missing=2)
    end(house, 1, states.FAILED)
    done = house.run("coverage")
    assert done.returncode == 1
    _, complete, incomplete, broken = done.stdout.splitlines()
    assert f"{TODAY - 3 * DAY}  complete, 9 of 9" in complete
    assert f"{TODAY - 2 * DAY}  incomplete 7 of 9" in incomplete
    assert "reason 2" in incomplete
    assert f"{TODAY - DAY}  failed" in broken
    assert "reason 1" in broken
    day = str(TODAY - 3 * DAY)
    only = house.run("coverage", "--account", "india", "--from", day, "--to", day, "--json")
    assert only.returncode == 0
    (line,) = json.loads(only.stdout)
    assert (line["state"], line["archived"], line["listed"]) == ("complete", 9, 9)


def test_coverage_hides_no_day(house: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days that run, that were given up, that nobody planned and that are not due each have their
    line, and none of them counts as complete.
    """
    before = house.run("coverage")
    assert before.returncode == 1
    assert [line.split()[2] for line in before.stdout.splitlines()[1:]] == ["waiting"] * 3
    plan(house, monkeypatch, gave_up=True)
    span = ["--from", str(TODAY - 4 * DAY), "--to", str(TODAY)]
    lines = json.loads(house.run("coverage", *span, "--json").stdout)
    assert [line["state"] for line in lines] == [
        "not due", "gave up", "waiting", "waiting", "not due",
    ]  # fmt: skip
    assert "first night" in lines[0]["reason"]
    assert house.ledger.days.of("india")[0].state == DAY_GAVE_UP
    unknown = house.run("coverage", "--account", "nobody")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)


def test_days_that_nobody_asked_for_are_no_failure(
    deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account without nights, two of its days exported by hand: those between them are shown as
    not due, and the status is 0. Who names a span asks for each of its days, and the status is 1;
    so it is where a day that was asked for is not complete.
    """
    house = deploy(account_toml("india", INDIA), settings={"LEASE_SECONDS": "30"})
    by_hand(house, monkeypatch, TODAY - 5 * DAY, TODAY - 3 * DAY)
    end(house, 5, states.DONE, listed=9, archived=9, missing=0)
    end(house, 3, states.DONE, listed=4, archived=4, missing=0)
    done = house.run("coverage")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert f"{TODAY - 4 * DAY}  not due" in done.stdout
    assert house.run("coverage", "--from", str(TODAY - 5 * DAY)).returncode == 1
    by_hand(house, monkeypatch, TODAY - 2 * DAY)
    assert house.run("coverage").returncode == 1


def test_days_that_beat_will_open_are_waited_for(
    house: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a day was exported by hand before the first tick, the days before it that the tick
    opens are shown as waiting, without ``--from`` too. A day that no tick opens is not.
    """
    by_hand(house, monkeypatch, TODAY - DAY)
    end(house, 1, states.DONE, listed=9, archived=9, missing=0)
    done = house.run("coverage", "--json")
    assert done.returncode == 1
    lines = json.loads(done.stdout)
    assert [line["state"] for line in lines] == ["waiting", "waiting", "complete"]
    assert "next tick opens it" in lines[0]["reason"]
    old = str(TODAY - 40 * DAY)
    (line,) = json.loads(house.run("coverage", "--from", old, "--to", old, "--json").stdout)
    assert (line["state"], "first night" in line["reason"]) == ("not due", True)


def test_days_that_the_next_tick_gives_up_are_shown_so(
    house: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long outage the days beyond ``catchup_days`` are not said to be opened soon."""
    by_hand(house, monkeypatch, TODAY - 6 * DAY)
    lines = json.loads(house.run("coverage", "--json").stdout)
    assert [line["state"] for line in lines] == [
        "waiting", "gave up", "gave up", "waiting", "waiting", "waiting",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "option"), [(30, 31, "--from"), (0, 0, "--from"), (-1, 30, "--to")]
)
def test_a_day_that_is_not_over_is_named_with_the_date_to_ask(
    untouched: Deployment, first: int, last: int, option: str
) -> None:
    """A refusal names the option at fault and the first date on which the export can be asked."""
    span = [str(TODAY + n * DAY) for n in (first, last)]
    done = untouched.run("export", "--account", "india", "--from", span[0], "--to", span[1])
    assert done.returncode == 2
    day = TODAY + (first if option == "--from" else last) * DAY
    assert f"{option} {day} is not over" in done.stderr
    assert f"request it on {day + DAY} or later" in done.stderr


def test_export_shows_what_it_would_do_and_does_nothing(
    house: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run tells each day's window and act, and leaves the ledger as it was."""
    plan(house, monkeypatch)
    end(house, 3, states.DONE, listed=9, archived=9, missing=0)
    jobs = house.ledger.jobs.counts()
    span = ["--from", str(TODAY - 4 * DAY), "--to", str(TODAY - 2 * DAY)]
    done = house.run("export", "--account", "india", *span, "--dry-run", "--json")
    assert done.returncode == 0
    fresh, complete, under_way = json.loads(done.stdout)
    assert fresh["would"] == "export (generation 1)"
    assert complete["would"].startswith("nothing: it is complete")
    assert under_way["would"].startswith("nothing: it is running")
    start, _ = windows.window(TODAY - 4 * DAY, ZONE)
    assert fresh["start"] == f"{start:%Y-%m-%dT%H:%M:%SZ}"
    assert house.ledger.jobs.counts() == jobs


def test_export_needs_no_redis(house: Deployment) -> None:
    """With Redis dead the days are opened all the same, within seconds; a day that is not over is
    refused before any is opened.
    """
    house.valkey.stop()
    refused = house.run(
        "export", "--account", "india", "--from", str(TODAY - DAY), "--to", str(TODAY)
    )
    assert refused.returncode == 2
    assert house.ledger.jobs.counts() == {}
    span = ["--from", str(TODAY - 2 * DAY), "--to", str(TODAY - DAY)]
    done = house.run("export", "--account", "india", *span, within=LOADED_SECONDS)
    assert done.returncode == 0
    assert house.ledger.jobs.counts() == {"pending": 2}
    assert "Traceback" not in done.stderr
    unknown = house.run("export", "--account", "nobody", *span)
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)


def test_migrate_makes_a_ledger_and_leaves_one_as_it_is(house: Deployment) -> None:
    """Twice the same version and the same identity."""
    first, second = house.run("migrate"), house.run("migrate")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
    assert house.ledger.identity.identity() in first.stdout
