"""An archive that hangs: what does not need it goes on, and everything that looks at it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ledger.core import states
from ledger.core.schema import jobs

from .buckets import Buckets
from .certified_calls import CallHouse
from .deployment import Deployment, account_toml
from .hung import hanging, relay
from .ledgers import pass_time, running
from .servers import free_port
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually, in_time

pytestmark = pytest.mark.long

Deploy = Callable[..., Deployment]


@dataclass
class HungHouse:
    """A house that places certified calls, with its archive in a bucket that can hang."""

    calling: CallHouse
    freeze: Callable[[], None]
    thaw: Callable[[], None]
    metrics: str

    @property
    def house(self) -> Deployment:
        return self.calling.house

    def probe(self, path: str) -> httpx.Response:
        """What the worker answers at its metrics' address."""
        with httpx.Client(trust_env=False, timeout=LOADED_SECONDS) as visitor:
            return visitor.get(f"http://{self.metrics}{path}")

    def is_alive(self) -> bool:
        """Whether the worker answers that it works."""
        try:
            return self.probe("/healthz").is_success
        except httpx.TransportError:
            return False

    def loses_a_worker(self) -> str:
        """A job whose worker has died; its id."""
        job, lease = running(self.house.ledger, "lost", account="legal")
        self.house.ledger.leases.drop(lease)
        pass_time(self.house.ledger, 60, jobs.c.lease_until)
        return job.job_id

    def is_taken_over(self, job_id: str) -> bool:
        """Whether the job of a dead worker is due again."""
        return self.house.ledger.jobs.job(job_id).takeovers == 1


@pytest.fixture(params=["bucket", pytest.param("folder", marks=pytest.mark.soak)])
def scene(
    request: pytest.FixtureRequest, deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> Iterator[HungHouse]:
    """Such a house, with nothing started: its archive is in a bucket, or in a folder that hangs as
    one on a network does whose server is gone.
    """
    platform = simulators.gsmblockchain.account()
    accounts = account_toml("legal", {**platform.configuration(), "timeout_seconds": 3})
    house = deploy(accounts, settings={"METRICS_BIND": f"127.0.0.1:{free_port()}"})
    calling = CallHouse(house, platform)
    if request.param == "folder":
        switch = tmp_path / "hangs"
        house.surroundings = hanging(switch, HANGING_FOLDER=str(house.archive))
        yield HungHouse(calling, switch.touch, switch.unlink, house.settings["METRICS_BIND"])
        switch.unlink(missing_ok=True)
    else:
        buckets: Buckets = request.getfixturevalue("buckets")
        with relay(buckets.endpoint) as hangs:
            endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{hangs.port}"}
            house.surroundings = {**buckets.environment, **endpoint}
            house.settings["ARCHIVE_URL"] = f"s3://{buckets.bucket()}/house"
            yield HungHouse(calling, hangs.freeze, hangs.thaw, house.settings["METRICS_BIND"])
            hangs.thaw()
    house.close()


def test_a_hung_archive_stalls_nothing_else(scene: HungHouse) -> None:
    """With the archive hung, a worker places calls, takes jobs from dead workers, serves metrics
    and probes, and starts; commands name what hangs and end; once the archive is back, what waited
    is stored.
    """
    house = scene.house
    house.worker("first")
    with house.producer() as app:
        assert scene.calling.ask(app, "before").get(timeout=60)
        eventually(lambda: len(scene.calling.receipts()) == 1, what="no receipt")
        scene.freeze()
        assert scene.calling.ask(app, "during").get(timeout=60)
        assert scene.calling.placed() == 2
        lost = scene.loses_a_worker()
        eventually(
            lambda: scene.is_taken_over(lost),
            within=LOADED_SECONDS,
            what="the job was not taken over",
        )
        assert scene.probe("/metrics").status_code == 200
        assert scene.probe("/healthz").status_code == 200
        assert scene.probe("/readyz").status_code == 200
        second = house.worker("second", ready=False)
        look_at_the_hung_archive(house)
        eventually(lambda: " ready." in second.log(), what="the second worker does not start")
        assert "has not answered for 5 s; the worker starts" in second.log()
        assert second.stop(within=LOADED_SECONDS) == 0
        scene.thaw()
        eventually(lambda: len(scene.calling.receipts()) == 2, within=60, what="no second receipt")


def look_at_the_hung_archive(house: Deployment) -> None:
    """Every command that looks at the archive, or at nothing of it, ends and says what it knows."""
    commands = [("doctor",), ("coverage",), ("status",), ("health", "worker")]
    with in_time(), ThreadPoolExecutor(len(commands)) as pool:
        doctor, coverage, status, health = pool.map(lambda one: house.run(*one), commands)
    assert "archive: the check did not finish: no answer for 7 s" in doctor.stdout
    assert "no call awaits a decision" in doctor.stdout
    assert doctor.returncode == 1
    assert "has not answered for 7 s" in coverage.stderr
    assert coverage.returncode == 1
    assert (status.returncode, health.returncode) == (0, 0)


@pytest.mark.soak
def test_a_worker_reports_what_hangs_once_and_stops(scene: HungHouse) -> None:
    """A loop that the archive keeps waiting is reported once in the log and by doctor; a worker
    that was told to stop ends, and with the archive back a new one does what was left.
    """
    house = scene.house
    worker = house.worker("first")
    with house.producer() as app:
        scene.freeze()
        assert scene.calling.ask(app, "during").get(timeout=60)
        report = "the archive has kept the loop 'receipts' of this worker waiting"
        eventually(lambda: report in worker.log(), within=60, what="nothing was reported")
        assert "the archive has kept" in house.run("doctor").stdout
        assert worker.log().count(report) == 1
        assert worker.stop(within=LOADED_SECONDS) == 0
        third = house.worker("third", ready=False)
        eventually(scene.is_alive, what="no probe is answered")
        scene.thaw()
        eventually(lambda: len(scene.calling.receipts()) == 1, within=60, what="no receipt")
        assert third.alive
    assert scene.calling.job("during").state == states.DONE  # type: ignore[union-attr]
