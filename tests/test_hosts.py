"""Several hosts, clocks four minutes apart: one ledger, one archive, everything once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery

from ledger.core import states
from ledger.core.job import Job
from tasks.errors import CapReached, Uncertain

from .certified_calls import ASKED
from .deployment import Deployment, Process, account_toml, zip_is_whole
from .hosts import Host
from .ozeki_house import OzekiHouse
from .recent_days import YESTERDAY, ZONE
from .servers import Postgres, free_port
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


MB = 1_000_000
SIZE = 20 * MB
#: Requests for certified calls: so many names, so many asked twice, so many paid.
NAMES, TWICE, CAP = 60, 20, 45
AHEAD = 120.0

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) ", re.MULTILINE)


@dataclass
class Night:
    """The accounts at their providers, and the hosts."""

    house: Deployment
    fast: Host
    slow: Host
    office: OzekiHouse
    india: Any
    platform: Any
    simulators: Simulators

    def run(self) -> Job:
        """The job of yesterday's export."""
        (job,) = self.house.ledger.jobs.jobs(kind="export.run")
        return job

    def part(self) -> Job:
        """The job that fetches its ZIP."""
        (part,) = self.house.ledger.jobs.parts(self.run().job_id)
        return part

    def host(self, name: str) -> Host:
        return self.fast if name == self.fast.name else self.slow


@pytest.fixture
def night(
    deploy: Callable[..., Deployment], simulators: Simulators, postgres: Postgres
) -> Iterator[Night]:
    """Yesterday's recordings, a platform for certified calls, a telephone system; two hosts."""
    india = simulators.vonage.account(username="john.doe@vbc.prod")
    india.seed(YESTERDAY, ZONE, 4, size_bytes=SIZE // 4)
    india.configure(ready_after_polls=1, bytes_per_second=SIZE // 60)
    platform = simulators.gsmblockchain.account()
    hooks = f"http://127.0.0.1:{free_port()}"
    pbx = simulators.ozeki.account(control="http", notify_url=f"{hooks}/ozeki/office/notify")
    limits = {"timezone": ZONE, "max_calls_per_day": CAP}  # no midnight is near
    calls = {**platform.configuration(), "timeout_seconds": 20, **limits}
    accounts = [
        account_toml("india", india.configuration(), {"timezone": ZONE, "catchup_days": 1}),
        account_toml("legal", calls),
        account_toml("office", {**pbx.configuration(), "control": "http", "timeout_seconds": 3}),
    ]
    bind = hooks.removeprefix("http://")
    with postgres.database() as url:
        house = deploy(
            "\n".join(accounts),
            ledger_url=url,
            settings={"HOOKS_URL": hooks, "HOOKS_BIND": bind},
        )
        fast, slow = Host(house, "fast", AHEAD), Host(house, "slow", -AHEAD)
        office = OzekiHouse(house, pbx, hooks, simulators)
        yield Night(house, fast, slow, office, india, platform, simulators)
        for one in (fast, slow, house):
            one.close()


def shown_ahead(process: Process) -> float:
    """By how many seconds the log of a process is ahead of this machine's clock."""
    (*_, last) = _STAMP.findall(process.log())
    written = datetime.fromtimestamp(process.output.stat().st_mtime, UTC)
    return (datetime.fromisoformat(last) - written).total_seconds()


@pytest.mark.timeout(180)
def test_a_night_on_two_hosts_whose_clocks_differ(night: Night) -> None:
    """One host two minutes ahead and one two minutes behind, PostgreSQL, spools of their own: 60
    certified calls, 20 of them asked twice, under a cap; a night planned by beat's tick, whose
    transfer no clock takes from a live host, and which the other one finishes after kill -9; a call
    recorded, its end told to a receiver on one host and its file collected by any. All of it once,
    with one login at the provider.
    """
    workers = {one.name: one.worker_of_it() for one in (night.fast, night.slow)}
    for host in (night.fast, night.slow):
        assert abs(shown_ahead(workers[host.name]) - host.ahead) < 20, workers[host.name].log()
    receiver = night.fast.hooks()
    eventually(lambda: "listening" in receiver.log(), what="the receiver did not listen")
    _clocks_are_told(night)
    with night.house.producer() as app:
        _calls_are_paid_once(night, app)
        night.house.send(app, "nightly.plan")
        _a_call_is_recorded(night, app)
    killed = _a_transfer_changes_hosts(night, workers)
    _the_night_is_complete(night, killed)


def _clocks_are_told(night: Night) -> None:
    """doctor, on a host whose own clock is right, names both, once both answer in time."""

    def told() -> list[str] | None:
        found = json.loads(night.house.run("doctor", "--json").stdout)
        workers = [one["meaning"] for one in found if one["subject"] == "workers"]
        return workers if sum("the clock of " in one for one in workers) == 2 else None

    meanings = eventually(told, what="doctor does not name two clocks")
    for name, way in (("fast", "ahead of"), ("slow", "behind")):
        (meaning,) = [one for one in meanings if f"the clock of {name}@" in one]
        assert re.search(rf"1\d\d s {way}", meaning)
    assert not any("SQLite" in one for one in meanings)


def _calls_are_paid_once(night: Night, app: Celery) -> None:
    names = [f"call-{number}" for number in range(NAMES)]
    asked = [
        app.send_task(
            "earwitness.certified_call.request",
            kwargs={**ASKED, "request_id": name},
            queue="earwitness",
        )
        for name in [*names, *names[:TWICE]]
    ]
    told = [one.get(timeout=60, propagate=False) for one in asked]
    # On a machine that stands still for seconds a call may need a decision: it keeps its place.
    others = [one for one in told if not isinstance(one, dict | CapReached | Uncertain)]
    assert not others
    jobs = night.house.ledger.jobs.jobs(kind="certified_call.request")
    assert len(jobs) == CAP
    done = [job.job_id for job in jobs if job.state == states.DONE]
    assert {one["job_id"] for one in told if isinstance(one, dict)} <= set(done)
    assert len(done) <= len(night.platform.calls()) <= CAP
    for first, again in zip(told[:TWICE], told[NAMES:], strict=True):
        if isinstance(first, dict) and isinstance(again, dict):
            assert first == again


def _a_call_is_recorded(night: Night, app: Celery) -> None:
    call_id = str(night.office.pbx.call())
    assert night.office.ask(app, call_id).get(timeout=60)["collected"] is True
    night.office.pbx.end(call_id)
    night.office.one_file()
    assert len(night.office.pbx.recordings()) == 1


def _a_transfer_changes_hosts(night: Night, workers: dict[str, Process]) -> Host:
    """The host that holds the transfer is killed while most of it is still to come; returns that
    host.
    """

    def held() -> Host | None:
        for host in (night.fast, night.slow):
            if sum(part.stat().st_size for part in host.parts()) >= 0.05 * SIZE:
                return host
        return None

    holder = eventually(held, within=60, what="the transfer did not begin")
    part = night.part()
    assert (part.state, part.takeovers) == (states.RUNNING, 0), "a live host's lease was taken"
    (taken, *again) = [
        one["by"]
        for one in night.house.ledger.jobs.history(part.job_id)
        if one["to"] == states.RUNNING and one["by"].partition(":")[0] == holder.name
    ][-1:]
    assert taken.startswith(f"{holder.name}:")
    assert not again
    workers[holder.name].kill()
    night.india.configure(bytes_per_second=None)
    return holder


def _the_night_is_complete(night: Night, killed: Host) -> None:
    ledger = night.house.ledger
    job = eventually(
        lambda: found if (found := night.run()).ended else None,
        within=60,
        what="the night was not archived",
    )
    assert job.state == states.DONE, job.reason
    assert [day.state for day in ledger.days.of("india")] == ["complete"]
    assert night.part().takeovers == 1
    (path,) = night.house.archive.glob("india/exports/*/*/*/*/*.zip")
    assert zip_is_whole(path)
    # The other host's spool was empty: it began anew, and nobody mixed what two hosts held.
    (export,) = night.simulators.log.exports()
    first, second = night.simulators.log.transfers(export["job_ids"][0])
    assert first["range"] is None
    assert second["range"] is None
    assert len(night.simulators.log.effects("token_issued", night.india.username)) == 1
    eventually(lambda: not ledger.outbox.waiting(), what="something stayed owed")
    verified = night.house.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    survivor = night.slow if killed is night.fast else night.fast
    eventually(lambda: not survivor.parts(), what="an archived download stayed in the spool")
    assert killed.parts(), "what a dead host held is its own to sweep"
