"""Services that hang: what does not need them continues, commands name them and end, stops end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import httpx
import pytest

from ledger.alerts import JOB, Alert
from ledger.core.schema import jobs
from ledger.errors import LedgerAway
from ledger.ledger import Ledger

from .alert_receiver import AlertReceiver
from .buckets import Buckets
from .certified_calls import call_house
from .deployment import Deployment, Process, account_toml
from .hung import hanging, relay, suspended
from .ledgers import pass_time, running
from .servers import Postgres, free_port
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually, in_time

pytestmark = pytest.mark.long

Deploy = Callable[..., Deployment]
DAY = date(2026, 11, 10)


def answers(house: Deployment, path: str) -> bool:
    """Whether a worker answers 200 at its metrics' address."""
    try:
        address = f"http://{house.settings['METRICS_BIND']}{path}"
        return httpx.get(address, trust_env=False, timeout=LOADED_SECONDS).is_success
    except httpx.TransportError:
        return False


def takes_over(house: Deployment) -> None:
    """Wait until the job of a dead worker is due again."""
    job, lease = running(house.ledger, "lost", account="legal")
    house.ledger.leases.drop(lease)
    pass_time(house.ledger, 60, jobs.c.lease_until)
    eventually(
        lambda: house.ledger.jobs.job(job.job_id).takeovers == 1,
        what="the job was not taken over",
    )


def said(house: Deployment, *commands: str) -> dict[str, tuple[int, str]]:
    """The status of each command, and what it says; all run at the same time, and end in time."""
    with in_time(), ThreadPoolExecutor(len(commands)) as pool:
        ended = pool.map(lambda one: house.run(*one.split()), commands)
        return {
            command: (one.returncode, one.stdout + one.stderr)
            for command, one in zip(commands, ended, strict=True)
        }


def ends(worker: Process) -> None:
    """The worker ends in time and in order."""
    assert worker.stop(within=LOADED_SECONDS) == 0, worker.log()


def test_doctor_names_providers_and_receivers_that_hang(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Two providers and the receiver of notifications take connections and answer nothing: doctor
    says so of each, and of all else what it is.
    """
    with relay(simulators.gsmblockchain.account().configuration()["base_url"]) as hangs:
        hangs.freeze()
        dead = f"http://127.0.0.1:{hangs.port}"
        vonage = {**simulators.vonage.account().configuration(), "base_url": dead}
        pbx = simulators.ozeki.account(control="http", notify_url=f"{dead}/notify")
        office = {**pbx.configuration(), "control": "http", "base_url": f"{dead}/pbx"}
        accounts = [account_toml("india", vonage), account_toml("office", office)]
        house = deploy("\n".join(accounts), settings={"HOOKS_URL": dead})
        house.ledger.identity.prepare()
        status, words = said(house, "doctor")["doctor"]
    assert status == 1
    for subject in ("provider of india", "account india", "provider of office", "account office"):
        assert f"{subject}: " in words
        assert f"{subject}: its credentials are accepted" not in words
    assert "hooks: " in words
    assert "does not answer from here" in words
    assert "no call awaits a decision" in words


def test_a_hung_server_does_not_hold_a_statement(postgres: Postgres) -> None:
    """A PostgreSQL whose processes stand still is away after seconds, even in the middle of a
    transaction; once it continues, so does the ledger.
    """
    with postgres.database() as url:
        ledger = Ledger(url, lease_seconds=3)
        ledger.identity.prepare()
        away = pytest.raises(LedgerAway, match="no answer from the server for 7 s")
        with suspended(postgres.pid), in_time(), away:
            ledger.jobs.counts()
        assert ledger.jobs.counts() is not None
        ledger.close()


def test_a_receiver_of_alerts_that_hangs_delays_nothing(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A receiver that takes connections and answers nothing: calls are placed and archived, jobs of
    dead workers are taken over, alerts are logged, and the worker ends; the alerts stay pending.
    """
    with AlertReceiver() as receiver:
        receiver.meets = ["hang"]
        told = {"ALERT_URL": receiver.url, "ALERT_SECRET": "signed-with-this"}
        calling = call_house(deploy, simulators, settings=told)
        house = calling.house
        for number in range(3):
            house.ledger.alerts.open(Alert(f"job:{number}", JOB, "legal", f"alert {number}"))
        worker = house.worker()
        eventually(lambda: receiver.received, what="no alert was sent")
        with in_time(), house.producer() as app:
            for name in ("one", "two"):
                assert calling.ask(app, name).get(timeout=60)["state"] == "done"
            takes_over(house)
            eventually(lambda: len(calling.receipts()) == 2, what="a receipt was not written")
            eventually(lambda: "alert 2" in worker.log(), what="an alert was not logged")
            ends(worker)
        assert receiver.taken() == []
        found = {one["kind"]: one for one in house.ledger.outbox.waiting()}
        assert "did not answer" in found["webhook"]["reason"]
        house.close()


@pytest.mark.soak
def test_a_hung_ledger(deploy: Deploy, simulators: Simulators, postgres: Postgres) -> None:
    """With PostgreSQL hung, metrics and probes are served, commands end and name it, a worker that
    starts says what it waits for, and stops end.
    """
    with postgres.database() as url:
        bind = f"127.0.0.1:{free_port()}"
        calling = call_house(deploy, simulators, ledger_url=url, settings={"METRICS_BIND": bind})
        house = calling.house
        worker = house.worker()
        with suspended(postgres.pid):
            found = said(house, "doctor", "status", "coverage", "health worker")
            for command in ("doctor", "status", "coverage"):
                assert found[command][0] == 1
                assert "the ledger does not answer" in found[command][1]
            assert "earwitness is consumed by" in found["doctor"][1]
            assert found["health worker"][0] == 0
            for path in ("/metrics", "/healthz", "/readyz"):
                assert answers(house, path), path
            ends(worker)
            second = house.worker("second", ready=False)
            eventually(lambda: "the ledger does not answer" in second.log(), what="nothing is said")
            eventually(lambda: answers(house, "/healthz"), what="no probe is answered")
            assert not answers(house, "/readyz")
        with house.producer() as app:
            assert calling.ask(app, "afterwards").get(timeout=60)
        house.close()


@pytest.mark.soak
def test_a_hung_redis(deploy: Deploy, simulators: Simulators) -> None:
    """With Redis hung, jobs are taken over, commands end and name it, the worker is alive and not
    ready, and ends.
    """
    bind = f"127.0.0.1:{free_port()}"
    house = call_house(deploy, simulators, settings={"METRICS_BIND": bind}).house
    worker = house.worker()
    house.valkey.freeze()
    takes_over(house)
    found = said(house, "doctor", "status", "coverage", "health worker", "drain")
    assert "redis: does not answer" in found["doctor"][1]
    assert [found[one][0] for one in ("status", "coverage", "health worker")] == [0, 0, 0]
    assert (found["drain"][0], "Redis does not answer" in found["drain"][1]) == (1, True)
    eventually(lambda: not answers(house, "/readyz"), what="the worker is ready")
    assert answers(house, "/healthz")
    assert answers(house, "/metrics")
    ends(worker)


@pytest.mark.soak
def test_a_name_that_is_not_resolved(
    deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> None:
    """While the name of Redis is not resolved, a worker starts, takes jobs over and serves metrics;
    commands end; the worker ends, or works once there is an answer.
    """
    switch = tmp_path / "hangs"
    switch.touch()
    name = "redis.example"
    bind = f"127.0.0.1:{free_port()}"
    calling = call_house(deploy, simulators, settings={"METRICS_BIND": bind})
    house = calling.house
    house.settings["REDIS_URL"] = f"redis://{name}:{house.valkey.port}/0"
    house.surroundings = hanging(switch, HANGING_NAME=name)
    worker = house.worker(ready=False)
    eventually(lambda: answers(house, "/healthz"), what="no probe is answered")
    eventually(lambda: "Redis has not answered for 5 s" in worker.log(), what="nothing is said")
    takes_over(house)
    found = said(house, "doctor", "status", "coverage", "health worker")
    assert "redis: the check did not finish: no answer for 7 s" in found["doctor"][1]
    assert [found[one][0] for one in ("status", "coverage", "health worker")] == [0, 0, 0]
    ends(worker)
    house.worker("second", ready=False)
    switch.unlink()
    with house.producer() as app:
        assert calling.ask(app, "afterwards").get(timeout=60)


@pytest.mark.soak
def test_a_worker_ends_while_a_transfer_waits_for_a_hung_archive(
    buckets: Buckets, deploy: Deploy, simulators: Simulators
) -> None:
    """A transfer that stores its file in an archive that hangs does not keep a worker that was told
    to stop; another worker archives the day.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    account.seed(DAY, "Asia/Kolkata", 2, size_bytes=400_000)
    accounts = account_toml("india", account.configuration(), {"catchup_days": 1})
    with relay(buckets.endpoint) as hangs:
        house = deploy(
            accounts,
            settings={"ARCHIVE_URL": f"s3://{buckets.bucket()}/house", "LEASE_SECONDS": "4"},
            surroundings={
                **buckets.environment,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{hangs.port}",
            },
        )
        worker = house.worker()
        hangs.freeze()
        with house.producer() as app:
            house.send(app, "export.run", account="india", day=DAY.isoformat())
            eventually(
                lambda: [one for one in house.ledger.jobs.jobs() if one.state == "running"],
                what="no jobs are started",
            )
            ends(worker)
            house.worker("second")
            hangs.thaw()
            eventually(
                lambda: (
                    [one.state for one in house.ledger.jobs.jobs(kind="export.run")] == ["done"]
                ),
                within=90,
                what="the day was not archived",
            )
        house.close()
