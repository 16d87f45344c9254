"""``rebuild``: what the archive tells, the new ledger knows; what is damaged is not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery

from archive import chain
from archive.documents.chain_entry import Covered
from archive.store.directory import DirectoryStore
from ledger.core import states
from ledger.core.job import Job, job_id
from ledger.days import Day
from ledger.ledger import Ledger

from .archives import audio as recorded
from .certified_calls import CallHouse
from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]
OLDER = YESTERDAY - timedelta(days=3)
CALL = "certified_call.request"
COLLECTED = "0d2f2f5c-5d9b-5b0c-9d43-0c7d7d1a4b11"


class House:
    """A house that has done one of everything that lies in an archive, and has stopped."""

    def __init__(self, deploy: Deploy, simulators: Simulators) -> None:
        self.india, platform = simulators.vonage.account(), simulators.gsmblockchain.account()
        self.india.configure(ready_after_polls=0)
        for day in (YESTERDAY, OLDER):
            self.india.seed(day, ZONE, 2)
        nights = account_toml(
            "india", self.india.configuration(), {"timezone": ZONE, "catchup_days": 2}
        )
        self.house = deploy(nights + account_toml("legal", platform.configuration()))
        self.calls = CallHouse(self.house, platform)
        worker = self.house.worker()
        with self.house.producer() as app:
            self._work(app)
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")
        assert worker.stop() == 0
        self._collect()
        self.original = self.house.ledger

    @property
    def store(self) -> DirectoryStore:
        """The archive."""
        return self.house.store

    def _work(self, app: Celery) -> None:
        """A complete day, one that is not, an export by filters, a download, three calls."""
        withheld = self.india.recordings()[-1]["id"]
        self.india.withhold(withheld, "everywhere")
        recording_id = str(self.india.recordings()[0]["id"])
        span = {"start:gte": f"{OLDER}T00:00:00Z", "start:lte": f"{OLDER}T23:59:59Z"}
        asked: list[tuple[str, dict[str, Any]]] = [
            ("export.run", {"day": YESTERDAY.isoformat()}),
            ("export.run", {"day": OLDER.isoformat()}),
            ("export.run", {"filters": {**span, "call_direction": "INBOUND"}, "request_id": "f"}),
            ("recording.download", {"recording_id": recording_id, "request_id": "d"}),
        ]
        self.calls.platform.fault("call", "ko", message="no credit")
        self.calls.ask(app, "refused").get(timeout=30, propagate=False)
        # Under an entry of the chain that a later one confirms.
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")
        sent = [self.house.send(app, task, account="india", **given) for task, given in asked]
        self.calls.ask(app, "placed").get(timeout=60)
        self.calls.platform.fault("call", "answer", status=500, body={})
        self.calls.ask(app, "unknown").get(timeout=30, propagate=False)
        for one in sent:
            one.get(timeout=60, propagate=False)

    def _collect(self) -> None:
        """A recording of an Ozeki server, as the worker would have left it."""
        audio = "office/recordings/2026/11/20/" + COLLECTED
        stored = self.store.create(f"{audio}.mp3", recorded(17))
        told = {
            "schema": 1,
            "kind": "recording",
            "account": "office",
            "provider": "ozeki",
            "recording_id": COLLECTED,
            "path": stored.path,
            "bytes": stored.bytes,
            "sha256": stored.sha256,
            "recording": {"call_id": "17", "control": "http", "file_name": "17.mp3"},
            "job_id": COLLECTED,
            "created_at": "2026-11-20T10:00:00Z",
            "version": "1",
        }
        metadata = self.store.create(f"{audio}.json", json.dumps(told).encode())
        chain.append(self.store, "office", [Covered.of(metadata)])

    def rebuilt(self, url: str) -> tuple[int, dict[str, Any], Ledger]:
        """The status of a rebuild into another ledger, what it says, and that ledger."""
        self.house.ledger_url = url
        done = self.house.run("rebuild", "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout), Ledger(url)

    def job(self, ledger: Ledger, task: str, account: str, request_id: str) -> Job:
        """A job as a caller knows it beforehand."""
        return ledger.jobs.job(job_id(account, f"earwitness.{task}", request_id))


def known(ledger: Ledger) -> dict[str, tuple[Any, ...]]:
    """What has to be the same of every job that the archive tells of. (Nobody can ask for a day's
    own job under its id: its fingerprint decides nothing.)
    """
    kinds = ("export.run", "recording.download", CALL)
    return {
        job.job_id: (
            job.kind,
            job.account,
            job.state,
            job.parameters,
            job.result,
            None if "day" in job.parameters else job.fingerprint,
        )
        for job in ledger.jobs.jobs(limit=1000)
        if job.kind in kinds
    }


def days(ledger: Ledger) -> list[Day]:
    """The days that were exported."""
    return [day for day in ledger.days.of("india") if day.generation]


def damage(root: Path, pattern: str) -> str:
    """Change one bit in the middle of a file; its path in the archive."""
    (path,) = root.glob(pattern)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    return str(path.relative_to(root))


def test_what_the_archive_tells_is_known_as_before(
    deploy: Deploy, simulators: Simulators, ledger_url: str
) -> None:
    """Every job with its id, parameters and outcome, every day with its generation: as in the
    ledger that was lost. Days between those that are known are due or visibly given up, the cap of
    the day counts, who asks for a collected recording finds it, and another rebuild is refused.
    """
    house = House(deploy, simulators)
    before, exported = known(house.original), days(house.original)
    assert len(before) == 7
    status, told, ledger = house.rebuilt(ledger_url)
    assert (status, told["not_taken"], told["uncovered"]) == (0, {}, [])
    assert ledger.identity.identity() == told["ledger"] == house.original.identity.identity()
    assert ledger.identity.quarantined()
    collected = ledger.jobs.job(COLLECTED)
    assert collected.state == states.DONE
    instruction = ledger.recording_instructions.newest("office", "17")
    assert instruction is not None
    assert instruction.collect_job_id == COLLECTED

    assert known(ledger) == before
    assert days(ledger) == exported
    shown = {day.day: day.state for day in ledger.days.of("india")}
    assert shown[OLDER] == states.DAY_INCOMPLETE
    assert shown[YESTERDAY] == states.DAY_COMPLETE
    assert shown[YESTERDAY - timedelta(days=1)] == states.DAY_DUE
    assert shown[YESTERDAY - timedelta(days=2)] == states.DAY_GAVE_UP
    undecided = [job.request_id for job, _ in ledger.jobs.undecided()]
    assert undecided == ["unknown"]
    history = ledger.jobs.history(house.job(ledger, CALL, "legal", "placed").job_id)
    assert "certified-calls" in history[0]["why"]

    again = house.house.run("rebuild")
    assert again.returncode == 1
    assert f"the ledger {told['ledger']} at " in again.stderr
    assert "is not empty" in again.stderr
    ledger.close()


def test_what_is_damaged_is_not_believed(
    deploy: Deploy, simulators: Simulators, ledger_url: str
) -> None:
    """A bit in a receipt, in a manifest, in a ZIP, in audio: each is named with what was not taken.
    The call needs a decision and is not placed again, the export is failed, the day of the ZIP is
    incomplete. A file that no chain covers yet is taken, named, and owed to the chain.
    """
    house = House(deploy, simulators)
    root, store = house.house.archive, house.store
    refused = house.job(house.original, CALL, "legal", "refused")
    unknown = house.job(house.original, CALL, "legal", "unknown")
    by_filters = house.job(house.original, "export.run", "india", "f")
    zip_file = damage(root, f"india/exports/{YESTERDAY:%Y/%m/%d}/*/*.zip")
    wrong = {
        zip_file,
        damage(root, f"legal/certified-calls/*/*/{refused.job_id}.json"),
        damage(root, f"india/exports/*/*/*/{by_filters.job_id}/manifest.json"),
        damage(root, f"office/recordings/*/*/*/{COLLECTED}.mp3"),
    }
    (first,) = [path for path in store.paths("legal/certified-calls/") if unknown.job_id in path]
    decided = {"outcome": "resolved", "decided": "not placed", "by": "ana", "note": "not there"}
    later = first.replace(".json", ".2.json")
    store.create(later, json.dumps({**json.loads(store.read(first)), **decided}).encode())

    status, told, ledger = house.rebuilt(ledger_url)
    # Where the newest entry of a chain covers one of them, nothing tells which of the two is wrong.
    not_taken = {path for path in told["not_taken"] if "/chain/" not in path}
    assert (status, not_taken, told["uncovered"]) == (1, wrong, [later])
    (chained,) = [one for one in ledger.outbox.waiting() if one["kind"] == "chain"]
    assert (chained["kind"], chained["count"]) == ("chain", 1)
    lost = ledger.jobs.job(refused.job_id)
    assert lost.state == states.NEEDS_DECISION
    assert "is damaged" in str(lost.reason)
    assert ledger.jobs.job(unknown.job_id).state == states.FAILED
    failed = ledger.jobs.job(by_filters.job_id)
    assert (failed.state, (failed.error or {})["type"]) == (states.FAILED, "Damaged")
    (day,) = ledger.days.of("india", YESTERDAY, YESTERDAY)
    assert (day.state, day.generation) == (states.DAY_INCOMPLETE, 1)
    assert COLLECTED not in {job.job_id for job in ledger.jobs.jobs(limit=1000)}

    lifted = house.house.run("quarantine", "--lift", "--by", "ana", "--note", "compared")
    assert lifted.returncode == 0, lifted.stderr
    placed = house.calls.placed()
    worker = house.house.worker("after")
    assert "the ledger is in quarantine:" not in worker.log()
    with house.house.producer() as app:
        for name in ("refused", "unknown"):
            assert isinstance(house.calls.ask(app, name).get(30, propagate=False), Exception)
        # As docs/restore.md says where there is no copy of a ZIP.
        (root / zip_file).unlink()
        again = house.house.send(app, "export.run", account="india", day=YESTERDAY.isoformat())
        anew = again.get(timeout=60)
        assert (anew["listed"], anew["archived"], anew["missing"]) == (2, 2, 0)
        assert len(json.loads(store.read(anew["manifest"]))["files"]) == 2
        eventually(lambda: not ledger.outbox.waiting(), what="a chain entry is owed")
        (day,) = ledger.days.of("india", YESTERDAY, YESTERDAY)
        assert (day.state, day.generation) == (states.DAY_COMPLETE, 2)
    assert house.calls.placed() == placed
    ledger.close()
