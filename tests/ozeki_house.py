"""A house that records calls of a simulated Ozeki server, as several files of tests need it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from celery import Celery

from ledger.core import states
from ledger.core.job import Job, job_id
from ledger.recording_instructions import Instruction

from .deployment import Deployment, Process, account_toml
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually


@dataclass
class OzekiHouse:
    """A deployment with the account ``office``, its telephone system, the receiver's address."""

    house: Deployment
    pbx: Any
    url: str
    simulators: Simulators
    control: str = "http"

    def hooks(self, name: str = "hooks") -> Process:
        """Start the receiver and wait until it listens."""
        command = [sys.executable, "-m", "worker", "hooks"]
        process = Process(command, self.house.environment, self.house.folder / f"{name}.log")
        self.house.processes.append(process)
        eventually(
            lambda: "listening" in process.own_log() or not process.alive,
            what="the receiver did not listen",
        )
        assert process.alive, process.log()
        return process

    def ask(self, app: Celery, call_id: str, request_id: str = "r1", **given: Any) -> Any:
        """Ask for a recording as another application would; its AsyncResult."""
        asked = {"account": "office", "call_id": call_id, "request_id": request_id, **given}
        return self.house.send(app, "recording.start", **asked)

    def start(self, request_id: str = "r1") -> Job | None:
        """The start's job, or None while there is none."""
        return self._job(job_id("office", "earwitness.recording.start", request_id))

    def collect(self, request_id: str = "r1") -> Job | None:
        """The collection that was opened with a start, or None."""
        start = job_id("office", "earwitness.recording.start", request_id)
        return self._job(job_id("office", "earwitness.recording.collect", f"{start}/recording"))

    def collected(self, request_id: str = "r1", *wanted: str, within: float = 60) -> Job:
        """The collection once it is in one of these states, else once it is done."""

        def look() -> Job | None:
            job = self.collect(request_id)
            return job if job is not None and job.state in (wanted or (states.DONE,)) else None

        return eventually(look, within=within, what=f"it was never {wanted or 'done'}")

    def instruction(self, request_id: str = "r1") -> Instruction:
        """The instruction that a start was opened with."""
        start = job_id("office", "earwitness.recording.start", request_id)
        found = self.house.ledger.recording_instructions.of_job(start)
        assert found is not None
        return found

    def armed(self, request_id: str = "r1") -> Instruction:
        """The instruction of a start that waits, once it is there."""
        eventually(lambda: self.start(request_id) is not None, what="no start was opened")
        return self.instruction(request_id)

    def completed_url(self, token: str) -> str:
        return f"{self.url}/ozeki/office/completed/{token}"

    def post(self, url: str, fields: dict[str, str], **more: Any) -> httpx.Response:
        """Send a form as the telephone system does."""
        return httpx.post(url, data=fields, trust_env=False, **{"timeout": 30, **more})

    def recorded(self, **given: Any) -> str:
        """A call that is recorded; its id."""
        call_id = str(self.pbx.call())
        with self.house.producer() as app:
            assert self.ask(app, call_id, **given).get(timeout=30)["collected"] is True
        return call_id

    def one_file(self) -> None:
        """The recording was collected as the telephone system made it."""
        job = self.collected()
        assert job.result is not None
        assert job.result["sha256"] in [one["sha256"] for one in self.pbx.recordings()]
        self.archived(job)

    def log(self, name: str) -> str:
        """What a process has printed so far."""
        return (self.house.folder / f"{name}.log").read_text()

    def archived(self, job: Job) -> dict[str, Any]:
        """The metadata in the archive of what a job collected, its file and its chain proven."""
        assert job.result is not None
        store = self.house.store
        path = job.result["path"]
        assert store.checksum(path).sha256 == job.result["sha256"]
        metadata = path.rpartition(".")[0] + ".json"

        def chained() -> bool:
            entries = [
                entry["path"]
                for one in store.paths("office/chain")
                for entry in json.loads(store.read(one))["entries"]
            ]
            return metadata in entries

        eventually(chained, what="it was not put under the chain")
        told: dict[str, Any] = json.loads(store.read(metadata))
        return told

    def notified(self, name: str) -> list[dict[str, Any]]:
        """What the telephone system noted of the notifications that it sent."""
        sent = self.simulators.log.effects("notification_sent", self.pbx.name)
        return [one for one in sent if one["notification"] == name]

    def _job(self, wanted: str) -> Job | None:
        found = self.house.ledger.jobs.named(wanted)
        return found[0] if found else None


def ozeki_house(
    deploy: Callable[..., Deployment],
    simulators: Simulators,
    control: str = "http",
    **given: Any,
) -> OzekiHouse:
    """A house with one Ozeki account; ``given`` are fields of the account, and ``settings`` and
    ``ledger_url`` of the deployment.
    """
    url = f"http://127.0.0.1:{free_port()}"
    options = {key: given.pop(key) for key in ("ledger_url",) if key in given}
    settings = {"HOOKS_URL": url, "HOOKS_BIND": url.removeprefix("http://")}
    settings |= given.pop("settings", {})
    pbx = simulators.ozeki.account(control=control, notify_url=f"{url}/ozeki/office/notify")
    fields = {**pbx.configuration(), "control": control, "timeout_seconds": 10, **given}
    house = deploy(account_toml("office", fields), settings=settings, **options)
    return OzekiHouse(house, pbx, url, simulators, control)
