"""A caller's own Celery application on the same Redis database: neither gets in the other's way."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from .deployment import Deployment, Process, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
TASKS = 200

#: What a caller writes: nothing of ours is imported, every setting is Celery's own.
CALLER = """
import json
import os
from pathlib import Path

from celery import Celery

app = Celery("caller", broker={url!r}, backend={url!r})
app.conf.update(broker_connection_retry_on_startup=True)


@app.task(name="caller.double")
def double(number):
    return {{"doubled": 2 * number, "pid": os.getpid()}}


@app.task(name="caller.told", bind=True)
def told(self, **told):
    with Path({told!r}).open("a") as file:
        file.write(json.dumps({{"id": self.request.id, "pid": os.getpid(), **told}}) + "\\n")
"""

#: A line of a worker's log that says which task it received.
_RECEIVED = re.compile(r"Task [\w.]+\[([0-9a-f-]{36})\] received")


class Both:
    """Our worker and a caller's, each in a process of its own, on one database."""

    def __init__(self, house: Deployment, account: Any, folder: Path) -> None:
        self.house = house
        self.account = account
        self.told = folder / "told.jsonl"
        url = house.valkey.url
        (folder / "caller.py").write_text(CALLER.format(url=url, told=str(self.told)))
        self.ours = house.worker("ours")
        self.theirs = self._their_worker(folder)

    def _their_worker(self, folder: Path) -> Process:
        command = [sys.executable, "-m", "celery", "--workdir", str(folder), "-A", "caller"]
        command += ["worker", "-n", "caller@%h", "-P", "threads", "-c", "4", "--loglevel", "INFO"]
        process = Process(command, {"PATH": "", "PYTHONPATH": str(folder)}, folder / "caller.log")
        self.house.processes.append(process)
        eventually(lambda: " ready." in process.log(), what="the caller's worker was not ready")
        return process

    def notified(self) -> list[dict[str, Any]]:
        """What the caller's task ``caller.told`` was told, in order."""
        if not self.told.exists():
            return []
        return [json.loads(line) for line in self.told.read_text().splitlines()]


@pytest.fixture
def both(deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path) -> Both:
    """One account with four recordings, and both workers ready."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, ZONE, 4)
    account.configure(ready_after_polls=0)
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    folder = tmp_path / "caller"
    folder.mkdir()
    return Both(house, account, folder)


@pytest.fixture
def app(both: Both) -> Iterator[Celery]:
    """The caller's application, from which tasks are sent."""
    with both.house.producer() as producer:
        yield producer


def received(process: Process) -> set[str]:
    """The ids of the tasks that a worker received."""
    return set(_RECEIVED.findall(process.log()))


def test_two_applications_share_one_database(both: Both, app: Celery) -> None:
    """200 tasks of the caller's and 200 of ours, in turn: all succeed, each on its own worker, told
    by both workers' logs and by the process that carried the caller's out.
    """
    run = both.house.send(app, "export.run", account="india", day=DAY.isoformat()).get(timeout=60)
    recording = str(both.account.recordings()[0]["id"])
    theirs, ours = [], []
    for number in range(TASKS):
        theirs.append(app.send_task("caller.double", args=[number]))
        if number % 4:
            ours.append(both.house.send(app, "job.status", job_id=run["job_id"]))
        else:
            asked = {"account": "india", "recording_id": recording}
            ours.append(both.house.send(app, "recording.get", **asked))
    results = [one.get(timeout=60) for one in theirs]
    assert [one["doubled"] for one in results] == [2 * number for number in range(TASKS)]
    assert {one["pid"] for one in results} == {both.theirs.pid}
    answers = [one.get(timeout=60) for one in ours]
    assert {one.get("state", one.get("id")) for one in answers} == {"done", recording}
    assert received(both.theirs) == {one.id for one in theirs}
    assert received(both.ours) >= {one.id for one in ours}
    assert not received(both.ours) & received(both.theirs)


@pytest.mark.parametrize("recording", ["there", "gone"])
def test_the_caller_s_application_is_notified(both: Both, app: Celery, recording: str) -> None:
    """``notify`` runs a task of the caller's on the caller's own worker, with the job's ids, its
    state, and its result or its error; of a success, with the head of the chain, which an earlier
    download has begun.
    """
    first, earlier = (str(one["id"]) for one in both.account.recordings()[:2])
    recording_id = first if recording == "there" else "404404"
    if recording == "there":
        begun = both.house.send(app, "recording.download", account="india", recording_id=earlier)
        begun.get(timeout=60)
        eventually(lambda: not both.house.ledger.outbox.waiting(), what="there is no chain yet")
    asked = both.house.send(
        app,
        "recording.download",
        account="india",
        recording_id=recording_id,
        request_id="order-7",
        notify={"task": "caller.told", "queue": "celery"},
    )
    answer = asked.get(timeout=60, propagate=False)
    (told, *again) = eventually(both.notified, what="nobody was told")
    assert all(one == told for one in again), "a repetition differs"
    (job,) = both.house.ledger.jobs.named("order-7")
    named = {name: told[name] for name in ("job_id", "request_id", "kind", "pid")}
    assert named == {
        "job_id": job.job_id,
        "request_id": "order-7",
        "kind": "recording.download",
        "pid": both.theirs.pid,
    }
    if recording == "there":
        head = told["result"].pop("chain_head")
        assert {"job_id": job.job_id, **told["result"]} == answer
        assert (told["state"], told["error"], len(head)) == ("done", None, 64)
    else:
        assert (told["state"], told["result"]) == ("failed", None)
        assert told["error"] == {"type": "Rejected", "message": str(answer)}
    assert told["id"] in received(both.theirs)
