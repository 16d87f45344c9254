"""Draining: a worker takes no work, finishes or hands over its own, and is alive and not ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from socket import gethostname
from typing import Any

import httpx
import pytest

from ledger.core import states
from ledger.core.job import Job

from .certified_calls import CallHouse
from .deployment import Deployment, Process, account_toml
from .gates import Gate, gate
from .servers import free_port
from .simulators import Simulators
from .test_transfers_survive import resumed_from
from .waiting import LOADED_SECONDS, eventually

pytestmark = pytest.mark.long

Deploy = Callable[..., Deployment]
DAY = date(2026, 11, 10)
SIZE = 2_000_000


class DrainedHouse:
    """Two workers, a platform for calls and a provider whose transfers are slow."""

    def __init__(self, deploy: Deploy, simulators: Simulators) -> None:
        self.simulators = simulators
        self.vonage = simulators.vonage.account(username="john.doe@vbc.prod")
        self.vonage.configure(ready_after_polls=0, bytes_per_second=SIZE // 60)
        self.vonage.seed(DAY, "Asia/Kolkata", 1, size_bytes=SIZE)
        platform = simulators.gsmblockchain.account()
        self.metrics = f"127.0.0.1:{free_port()}"
        accounts = [
            account_toml("india", self.vonage.configuration(), {"catchup_days": 1}),
            account_toml("legal", {**platform.configuration(), "timeout_seconds": 60}),
        ]
        self.house = deploy("\n".join(accounts), settings={"METRICS_BIND": self.metrics})
        self.calling = CallHouse(self.house, platform)
        self.platform = platform

    def probe(self, path: str) -> tuple[int, str]:
        """What the first worker answers: the status and the sentence."""
        with httpx.Client(trust_env=False, timeout=LOADED_SECONDS) as visitor:
            answer = visitor.get(f"http://{self.metrics}{path}")
        return answer.status_code, answer.text.strip()

    def part(self) -> Path | None:
        """The transfer's part in the spool, once it has some bytes."""
        parts = [one for one in self.house.spool.glob("zip-*.part") if one.stat().st_size > 50_000]
        return parts[0] if parts else None

    def run(self, *arguments: str) -> tuple[int, str]:
        """A command's status, and all that it says."""
        done = self.house.run(*arguments)
        return done.returncode, (done.stdout + done.stderr).strip()

    def transfer(self) -> Job:
        """The job of the transfer."""
        (job,) = self.house.ledger.jobs.jobs(kind="export.retrieve")
        return job

    def transfers(self) -> list[Any]:
        """Every answer that carried bytes of the export, as the provider saw it."""
        (export,) = self.simulators.log.exports()
        return list(self.simulators.log.transfers(export["job_ids"][0]))

    def name(self, worker: str) -> str:
        """The whole node name of a worker."""
        return f"{worker}@{gethostname()}"


@pytest.fixture
def scene(deploy: Deploy, simulators: Simulators) -> Iterator[DrainedHouse]:
    """Such a house, with nothing started."""
    made = DrainedHouse(deploy, simulators)
    yield made
    made.house.close()


@pytest.mark.soak
def test_a_drained_worker_finishes_and_hands_over(scene: DrainedHouse) -> None:
    """A transfer goes to the other worker at its byte and a call is finished; the drained worker
    lives, is not ready, takes nothing, and works again after undrain; a new start takes work, too.
    """
    house, first = scene.house, scene.name("first")
    worker = house.worker("first")
    with house.producer() as app:
        eventually(lambda: scene.probe("/readyz")[0] == 200, what="the worker is not ready")
        house.send(app, "export.run", account="india", day=DAY.isoformat())
        part = eventually(scene.part, what="no transfer")
        drained = scene.run("drain", "--node", first, "--wait", "--timeout", "60")
        assert drained[0] == 0, drained
        assert f"{first} takes no more work" in drained[1]
        assert f"{first} is drained" in drained[1]
        held = part.stat().st_size
        assert scene.transfer().state == states.WAITING
        nothing_is_taken(scene, worker, first)

        scene.vonage.configure(bytes_per_second=None)
        house.worker("second")
        assert scene.calling.ask(app, "elsewhere").get(timeout=60)
        eventually(lambda: scene.transfer().state == states.DONE, what="no transfer", within=60)
        assert [resumed_from(one) for one in scene.transfers()[1:]] == [held]

        assert scene.run("undrain", "--node", first) == (0, f"{first} takes work again")
        eventually(lambda: scene.probe("/readyz")[0] == 200, what="the worker is not ready")
        asked = ("health", "worker", "--ready", "--node", first)
        eventually(lambda: scene.run(*asked)[0] == 0, what="health says that it is not ready")
        assert scene.run("undrain", "--node", first) == (0, f"{first} was not drained")


def nothing_is_taken(scene: DrainedHouse, worker: Process, node: str) -> None:
    """The drained worker lives, says what it is, and keeps so when Redis was away."""
    assert scene.probe("/healthz") == (
        200,
        f"{node} is draining and takes no work; to resume: earwitness undrain --node {node}",
    )
    assert scene.probe("/readyz")[0] == 503
    assert scene.run("health", "worker")[0] == 0
    assert scene.run("health", "worker", "--ready")[0] == 1
    said = scene.run("doctor")[1]
    assert f"{node} is drained and takes no work" in said
    assert f"drained: {node}" in said
    assert worker.alive


@pytest.fixture
def held(simulators: Simulators) -> Iterator[Gate]:
    """A gate before the platform for calls."""
    with gate(simulators.url) as made:
        yield made


def test_every_worker_of_this_host_is_drained(
    scene: DrainedHouse, simulators: Simulators, held: Gate
) -> None:
    """Without a node, all workers of the host are drained, whatever their names; a call that runs
    is waited for, up to the limit; a worker that ends is done; a new start takes work again.
    """
    house = scene.house
    assert "no worker is running here" in scene.run("drain")[1]
    accounts = house.accounts_file.read_text()
    house.accounts_file.write_text(
        accounts.replace(f"{simulators.url}/gsmblockchain", f"{held.url}/gsmblockchain")
    )
    worker = house.celery("worker", "-n", "w@hostA", "--loglevel", "INFO", name="w")
    named = ("health", "worker", "--node", "w@hostA")
    eventually(lambda: "consumes" in scene.run(*named)[1], what="w@hostA is not healthy")
    with house.producer() as app:
        asked = scene.calling.ask(app, "slow")
        scene.calling.in_state("slow", states.RUNNING)
        status, said = scene.run("drain", "--wait", "--timeout", "0.5")
        assert (status, "w@hostA (1)" in said, "stay drained" in said) == (1, True, True), said
        held.open()
        status, said = scene.run("drain", "--wait")
        assert (status, said.splitlines()[-1]) == (0, "w@hostA is drained"), said
        assert asked.get(timeout=60)
        left = scene.calling.ask(app, "left")
        assert worker.stop() == 0
        assert scene.run("undrain", "--node", "w@hostA")[0] == 1
        house.celery("worker", "-n", "w@hostA", "--loglevel", "INFO", name="w again")
        assert left.get(timeout=60)
