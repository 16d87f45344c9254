"""A whole house whose archive lies in a bucket: every kind of job, killed workers, lost answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import boto3
import pytest
from celery import Celery

from archive import paths
from config.settings import ROOT
from ledger.core import states
from ledger.core.job import Job

from .buckets import Buckets
from .certified_calls import CallHouse
from .deployment import Deployment, account_toml
from .ozeki_house import OzekiHouse
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


DAY = date(2026, 11, 10)
#: Large enough to go up in parts.
SIZE = 36_000_000
#: Of every kind of file the answer to the first request that stores it is lost.
LOST = [
    *["/manifest.json", "/recordings.jsonl", "/recordings/", "/certified-calls/"],
    *["india/chain/", "legal/chain/", "office/chain/", paths.IDENTITY_PATH],
]


@pytest.fixture
def buckets(each_store: Buckets) -> Buckets:
    """Each kind of object store."""
    return each_store


class BucketHouse:
    """Vonage, gsmblockchain and Ozeki accounts, and one archive in a bucket."""

    def __init__(
        self, buckets: Buckets, deploy: Callable[..., Deployment], simulators: Simulators
    ) -> None:
        self.buckets = buckets
        self.simulators = simulators
        self.vonage = simulators.vonage.account(username="john.doe@vbc.prod")
        self.vonage.configure(ready_after_polls=0, bytes_per_second=SIZE // 40)
        self.recordings = self.vonage.seed(DAY, "Asia/Kolkata", 4, size_bytes=SIZE // 4)
        self.single = self.vonage.add({"start": "2026-11-12T06:00:00+00:00"})
        self.platform = simulators.gsmblockchain.account()
        url = f"http://127.0.0.1:{free_port()}"
        self.pbx = simulators.ozeki.account(control="http", notify_url=f"{url}/ozeki/office/notify")
        accounts = [
            account_toml("india", self.vonage.configuration(), {"catchup_days": 1}),
            account_toml("legal", self.platform.configuration()),
            account_toml("office", {**self.pbx.configuration(), "control": "http"}),
        ]
        self.bucket = buckets.bucket()
        self.archive = f"{buckets.scheme}://{self.bucket}/house"
        self.house = deploy(
            "\n".join(accounts),
            settings={
                "ARCHIVE_URL": self.archive,
                "HOOKS_URL": url,
                "HOOKS_BIND": url.removeprefix("http://"),
            },
            surroundings=buckets.environment,
        )
        self.calls = CallHouse(self.house, self.platform)
        self.office = OzekiHouse(self.house, self.pbx, url, simulators)

    def held(self) -> int:
        """How much of the transfer lies in the spool."""
        return sum(part.stat().st_size for part in self.house.spool.glob("zip-*.part"))

    def run(self) -> Job:
        """The job of the night, once it has ended."""

        def look() -> Job | None:
            (job,) = self.house.ledger.jobs.jobs(kind="export.run")
            return job if job.ended else None

        return eventually(look, within=60, what="the night was not archived")

    def unfinished(self) -> list[str]:
        """The paths of uploads on S3 that nobody ended."""
        client = boto3.client(
            "s3", endpoint_url=self.buckets.endpoint, region_name=self.buckets.region
        )
        found = client.list_multipart_uploads(Bucket=self.bucket)
        return [one["Key"] for one in found.get("Uploads", ())]

    def covered(self) -> list[str]:
        """Every path that a chain's entry names, as often as it is named."""
        store = self.house.store
        return [
            entry["path"]
            for path in store.paths()
            if "/chain/" in path
            for entry in json.loads(store.read(path))["entries"]
        ]


@pytest.mark.timeout(240)
def test_every_kind_of_job_on_a_bucket(
    buckets: Buckets, deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A call is placed while the bucket is away, and its receipt comes later; a night waits, is
    killed in its transfer and in its upload, and is archived; single recordings of both kinds
    come. Although the answer to the first put of every kind of file was lost, each file stands
    once under the chain, and all of it is found by the command line, which needs no settings.
    """
    scene = BucketHouse(buckets, deploy, simulators)
    for containing in LOST:
        buckets.front.misbehave("lost", "PUT", containing)
    with scene.house.producer() as app:
        _begin_while_away(scene, app)
        _kill_twice(scene)
        scene.house.worker("third", loglevel="DEBUG")
        _singles(scene, app)
        result = scene.run().result
        assert result is not None
        assert result["archived"] == 4
        eventually(scene.calls.receipts, what="the receipt did not come")
        (receipt,) = scene.calls.receipts()
        assert receipt["outcome"] == "placed"
        _one_chain_entry_each(scene)
        _verified_by_a_job(scene, app)
    _by_hand(scene)
    scene.house.close()
    for process in scene.house.processes:
        assert buckets.secret not in process.log()


def _begin_while_away(scene: BucketHouse, app: Celery) -> None:
    scene.house.worker("first", loglevel="DEBUG")
    scene.buckets.front.away = True
    assert scene.calls.ask(app, "contract-1").get(timeout=60)["state"] == states.DONE
    scene.house.send(app, "export.run", account="india", day=DAY.isoformat())
    eventually(
        lambda: any(
            f"the archive {scene.archive} does not answer" in (job.reason or "")
            for kind in ("export.run", "export.retrieve")
            for job in scene.house.ledger.jobs.jobs(kind=kind)
        ),
        within=60,
        what="that the bucket is away is not shown",
    )
    assert scene.calls.placed() == 1
    scene.buckets.front.away = False


def _kill_twice(scene: BucketHouse) -> None:
    """In the transfer to the spool, and in the upload to the bucket."""
    (first,) = scene.house.processes
    eventually(lambda: scene.held() > 0.05 * SIZE, what="the transfer did not begin")
    first.kill()
    held = scene.held()
    scene.vonage.configure(bytes_per_second=None)
    part = "comp=block&" if scene.buckets.scheme == "az" else "partNumber=3"
    scene.buckets.front.misbehave("hang", "PUT", part)
    second = scene.house.worker("second", loglevel="DEBUG")
    eventually(
        lambda: any(scene.bucket in one and part in one for one in scene.buckets.front.seen),
        within=60,
        what="no upload began",
    )
    second.kill()
    scene.buckets.front.go_on()
    (export,) = scene.simulators.log.exports()
    again = scene.simulators.log.transfers(export["job_ids"][0])[1]
    assert again["range"] == f"bytes={held}-"


def _singles(scene: BucketHouse, app: Celery) -> None:
    told = scene.house.send(
        app, "recording.download", account="india", recording_id=str(scene.single["id"])
    ).get(timeout=60)
    assert scene.house.store.checksum(told["path"]).sha256 == told["sha256"]
    scene.office.hooks()
    call_id = scene.pbx.call()
    assert scene.office.ask(app, call_id).get(timeout=60)["collected"] is True
    scene.pbx.end(call_id)
    scene.office.one_file()


def _one_chain_entry_each(scene: BucketHouse) -> None:
    def covered() -> list[str]:
        return sorted(map(paths.kind_of, set(scene.covered())))

    kinds = ["identity", "manifest", "metadata", "metadata", "receipt"]
    eventually(lambda: covered() == kinds, what=f"the chains are not {kinds}")
    # Each chain's first entry names the ledger; all else is named once.
    assert len(scene.covered()) == len(kinds) + 2


def _verified_by_a_job(scene: BucketHouse, app: Celery) -> None:
    """What a killed upload left is no part of the archive."""
    verified = scene.house.send(app, "archive.verify").get(timeout=60)
    assert verified["files"] == len(list(scene.house.store.paths()))
    assert set(verified["heads"]) == {"india", "legal", "office"}
    if scene.buckets.scheme == "s3":
        assert len(scene.unfinished()) == 1
    doctor = scene.house.run("doctor").stdout
    assert "the storage refuses to overwrite files" in doctor
    assert scene.archive in doctor


def _by_hand(scene: BucketHouse) -> None:
    bare = {"PATH": os.environ["PATH"], **scene.house.surroundings}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "worker", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    assert "verify: ok" in run("verify", scene.archive)
    found = json.loads(run("find", "--archive", scene.archive, "--json"))
    assert len(found) == 6
    to: Path = scene.house.folder / "extracted"
    recording = str(scene.recordings[0]["id"])
    run("extract", recording, "--archive", scene.archive, "--to", str(to))
    assert sorted(path.suffix for path in to.iterdir()) == [".json", ".json", ".mp3"]
