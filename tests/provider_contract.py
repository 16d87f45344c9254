"""The contract that every registered provider keeps, step by step, through real processes.

A provider is asked for everything that its client inherits from (`providers.interface`), and every
other task refuses its account. Each failure is a sentence that names the provider.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
from celery import Celery

from archive.store.directory import Store
from ledger.core.job import Job, job_id
from ledger.days import Day
from ledger.ledger import Ledger
from providers import registry
from providers.interface import (
    CollectsRecordings,
    DeletesRecordings,
    ExportsInBulk,
    ListsCalls,
    ListsRecordings,
    PlacesCertifiedCalls,
    Probes,
    StartsRecordings,
    StopsRecordings,
)

from . import forked
from .certified_calls import ASKED
from .deployment import ROOT, Deployment, Process, eventually
from .metrics_night import Shown
from .playgrounds import Calling, Listing, Playground
from .recent_days import ZONE

ALIAS = "one"
_DAY = timedelta(days=1)

#: Plans the nights as of the night after a day.
Plan = Callable[[date], dict[str, Any]]


class House(Deployment):
    """A deployment whose processes load a module first, which registers one more provider."""

    module: str | None = None

    def celery(self, *arguments: str, name: str) -> Process:
        if self.module is None:
            return super().celery(*arguments, name=name)
        # The first imports everything itself, the module before all of ours.
        command = self._command("celery", "-A", "worker", *arguments)
        return self._started(command, name, fresh=name == "worker")

    def hooks(self) -> Process:
        """Start the receiver of notifications."""
        return self._started([sys.executable, "-m", "worker", "hooks"], "hooks")

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.with_module", str(self.module), *words]

    def _started(self, command: list[str], name: str, *, fresh: bool = False) -> Process:
        output = self.folder / f"{name}.log"
        process = Process(command, self.environment, output, fresh=fresh)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, within: float = 60) -> subprocess.CompletedProcess[str]:
        if self.module is None:
            return super().run(*arguments, within=within)
        _, _, module, *words = self._command("worker", *arguments)
        return forked.run(module, words, self.environment, ROOT, within=within)


@dataclass
class Contract:
    """A provider under test: its name, a house with one account of it, and its simulator's side."""

    name: str
    house: House
    play: Playground
    caller: Celery
    metrics_url: str

    def has(self, capability: type[Probes]) -> bool:
        """Whether the provider says that it can do this."""
        return registry.providers()[self.name].has(capability)

    def ask(self, task: str, **given: Any) -> Any:
        """What a task of the account answers; raises what it raises."""
        return self.house.send(self.caller, task, account=ALIAS, **given).get(timeout=60)

    def command(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        done = self.house.run(*arguments, "--json")
        assert done.stdout, f"{self.name}: {' '.join(arguments)} says nothing: {done.stderr}"
        return json.loads(done.stdout)

    def day(self, day: date, state: str, generation: int) -> tuple[Day, Job]:
        """The day and its job, once it has come to this state in this generation."""

        def look() -> tuple[Day, Job] | None:
            found = self.house.ledger.days.of(ALIAS, day, day)
            if not found or found[0].generation != generation or found[0].state != state:
                return None
            job = self.house.ledger.jobs.job(found[0].job_id or "")
            return (found[0], job) if job.ended else None

        what = f"{self.name}: generation {generation} of {day} did not become {state}"
        return eventually(look, within=60, what=what)

    def told(self, path: str) -> dict[str, Any]:
        """A JSON document of the archive."""
        return dict(json.loads(self.house.store.read(path)))

    def settled(self) -> None:
        """Nothing is pending any more, chain entries and receipts included."""
        what = f"{self.name}: something is owed"
        eventually(lambda: not self.house.ledger.outbox.waiting(), what=what)


def everyone(contract: Contract) -> None:
    """Doctor and `accounts check` ask the provider something harmless, and it answers."""
    found = {one["subject"]: one for one in contract.command("doctor")}
    told = found.get(f"account {ALIAS}")
    assert told is not None, f"{contract.name}: doctor does not look at its account"
    assert told["level"] == "ok", f"{contract.name}: doctor says {told}"
    if contract.has(ListsRecordings):
        beat = found["beat"]["meaning"]
        assert ALIAS in beat, f"{contract.name}: doctor says nothing of its nights: {beat}"
    (checked,) = contract.command("accounts", "check")
    assert checked["provider"] == contract.name
    assert checked["outcome"] in ("ok", "not tried"), f"{contract.name}: {checked}"


def refuses(contract: Contract) -> None:
    """What the provider cannot do is refused at once, and the refusal names it."""
    filters = {"start:gte": "2026-11-01T00:00:00Z", "start:lte": "2026-11-01T23:59:59Z"}
    tasks: list[tuple[type[Probes], str, dict[str, Any]]] = [
        (ListsRecordings, "recording.list", {}),
        (ListsRecordings, "recording.get", {"recording_id": "1"}),
        (ListsRecordings, "recording.download", {"recording_id": "1"}),
        (ListsRecordings, "export.run", {"day": "2026-11-01"}),
        (ExportsInBulk, "export.create", {"filters": filters}),
        (ExportsInBulk, "export.retrieve", {"provider_job_id": "1"}),
        (DeletesRecordings, "recording.delete", {"recording_id": "1"}),
        (ListsCalls, "call.list", {}),
        (StartsRecordings, "recording.start", {"call_id": "1"}),
        (StopsRecordings, "recording.stop", {"call_id": "1"}),
        (CollectsRecordings, "recording.collect", {"call_id": "1"}),
        (PlacesCertifiedCalls, "certified_call.request", {**ASKED, "request_id": "1"}),
    ]
    for capability, task, given in tasks:
        if contract.has(capability):
            continue
        given.pop("account", None)
        try:
            answer = contract.ask(task, **given)
        except Exception as error:  # noqa: BLE001 - Celery makes a class of its own of it
            told = f"{type(error).__name__}: {error}"
        else:
            told = f"answers {answer}"
        wanted = f"InvalidArgument: not done: account: {ALIAS!r} is a {contract.name} account"
        assert told.startswith(wanted), f"{contract.name}: {task} is not refused: {told}"


def lists(contract: Contract, ids: list[str]) -> None:
    """The recordings come as a page and one by one, in the archive's words."""
    play = cast(Listing, contract.play)
    page = contract.ask("recording.list", page_size=100)
    assert {one["id"] for one in page["recordings"]} == set(ids), f"{contract.name}: {page}"
    for one in page["recordings"]:
        lacking = {"id", "start", "duration", "file_size_in_bytes"} - one.keys()
        assert not lacking, f"{contract.name}: a listed recording does not tell {lacking}"
    found = contract.ask("recording.get", recording_id=ids[0])
    assert found["id"] == ids[0]
    kept = contract.ask("recording.download", recording_id=ids[0])
    assert kept["sha256"] == play.sha256(ids[0]), f"{contract.name}: other bytes were kept"
    metadata = contract.told(kept["path"].rpartition(".")[0] + ".json")
    assert metadata["provider"] == contract.name
    assert metadata["recording_id"] == ids[0]


def archives(contract: Contract, plan: Plan, day: date) -> None:
    """A night with a recording missing, the night that fetches it, and one with a late recording;
    commands and metrics tell of each.
    """
    name, play = contract.name, cast(Listing, contract.play)
    ids = play.seed(day, ZONE, 4)
    lists(contract, ids)
    shown = Shown(httpx.get(f"{contract.metrics_url}/metrics", trust_env=False, timeout=30).text)
    late = shown.value("nights_unplanned", account=ALIAS)
    assert late, f"{name}: no metric tells that its nights are not planned"
    play.withhold(ids[1])
    plan(day)
    row, job = contract.day(day, "incomplete", 1)
    assert ids[1] in (job.reason or ""), f"{name}: {job.reason!r} does not name what is missing"
    _is_manifest(contract, row, complete=False, listed=4)
    _is_covered(contract, day, "incomplete", 3)
    play.release(ids[1])
    plan(day + _DAY)
    row, _ = contract.day(day, "complete", 2)
    _is_manifest(contract, row, complete=True, listed=4)
    ids.append(play.add(datetime.combine(day, time(12), ZoneInfo(ZONE))))
    plan(day + 2 * _DAY)
    row, _ = contract.day(day, "complete", 3)
    _is_manifest(contract, row, complete=True, listed=5)
    _is_covered(contract, day, "complete", 5)
    _are_kept(contract, row, ids)


def rebuilds(contract: Contract, day: date) -> None:
    """A ledger rebuilt from the archive knows the day as before."""
    before = contract.house.ledger.days.of(ALIAS, day, day)
    jobs = {job.job_id: job for job in contract.house.ledger.jobs.jobs(limit=100)}
    ledger = _rebuilt(contract)
    try:
        (row,) = ledger.days.of(ALIAS, day, day)
        known = ledger.jobs.jobs(limit=100)
    finally:
        ledger.close()
    wanted = [(one.state, one.generation, one.manifest, one.timezone) for one in before]
    assert [(row.state, row.generation, row.manifest, row.timezone)] == wanted, contract.name
    for job in known:
        assert job.state == jobs[job.job_id].state, f"{contract.name}: {job}"
    assert "recording.download" in {job.kind for job in known}, contract.name
    _is_covered(contract, day, "complete", 5)


def records(contract: Contract) -> None:
    """A live call is listed; its recording is started, and stopped where that is possible."""
    play = cast(Calling, contract.play)
    call_id = play.begin()
    listed = [one["call_id"] for one in contract.ask("call.list")["calls"]]
    assert call_id in listed, f"{contract.name}: {call_id} is not among {listed}"
    begun = contract.ask("recording.start", call_id=call_id, request_id="start")
    assert begun["call_id"] == call_id
    if contract.has(StopsRecordings):
        ended = contract.ask("recording.stop", call_id=call_id)
        assert ended["recording_since"] is None, f"{contract.name}: {ended}"
    if not contract.has(CollectsRecordings):
        assert not begun["collected"]
        assert begun["not_collected_because"], f"{contract.name} does not say why"
        return
    assert begun["collected"], f"{contract.name}: {begun}"
    play.end(call_id)
    kept = contract.ask("recording.collect", call_id=call_id)
    metadata = contract.told(kept["path"].rpartition(".")[0] + ".json")
    assert metadata["provider"] == contract.name
    ledger = _rebuilt(contract)
    try:
        job = ledger.jobs.job(kept["job_id"])
    finally:
        ledger.close()
    assert (job.kind, job.state) == ("recording.collect", "done"), contract.name


def places(contract: Contract) -> None:
    """A certified call is placed once; its receipt names the provider, and a rebuild knows it."""
    asked = {**ASKED, "request_id": "call"}
    asked.pop("account")
    placed = contract.ask("certified_call.request", **asked)
    assert placed["state"] == "done"
    contract.settled()
    (path,) = contract.house.store.paths(f"{ALIAS}/certified-calls/")
    assert contract.told(path)["provider"] == contract.name
    ledger = _rebuilt(contract)
    try:
        job = ledger.jobs.job(job_id(ALIAS, "earwitness.certified_call.request", "call"))
    finally:
        ledger.close()
    assert job.state == "done", contract.name


def _is_manifest(contract: Contract, row: Day, *, complete: bool, listed: int) -> None:
    told = contract.told(row.manifest or "")
    wanted = {"provider": contract.name, "complete": complete, "listed": listed, "timezone": ZONE}
    found = {name: told[name] for name in wanted}
    assert found == wanted, f"{contract.name}: the manifest of generation {row.generation}"
    in_bulk = contract.has(ExportsInBulk)
    assert in_bulk or not told["parts"], f"{contract.name}: it makes no ZIPs"


def _is_covered(contract: Contract, day: date, state: str, archived: int) -> None:
    lines = contract.command("coverage", "--from", day.isoformat(), "--to", day.isoformat())
    found = [(one["account"], one["state"], one["archived"]) for one in lines]
    assert found == [(ALIAS, state, archived)], f"{contract.name}: coverage says {lines}"


def _are_kept(contract: Contract, row: Day, ids: list[str]) -> None:
    """Every recording is in the archive byte for byte, and was fetched once alone."""
    store, play = contract.house.store, cast(Listing, contract.play)
    listed = contract.told(row.manifest or "")["recordings"]["path"]
    lines = [json.loads(line) for line in store.read(listed).splitlines()]
    kept = {line["id"]: hashlib.sha256(_audio(store, line)).hexdigest() for line in lines}
    assert kept == {one: play.sha256(one) for one in ids}, f"{contract.name}: other recordings"
    given = getattr(play, "given", None)
    assert given is None or set(given.values()) == {1}, f"{contract.name}: fetched {given}"
    contract.settled()
    done = contract.house.run("verify")
    assert done.returncode == 0, f"{contract.name}: {done.stdout}{done.stderr}"


def _audio(store: Store, line: dict[str, Any]) -> bytes:
    """A recording's bytes, out of its ZIP or its own file."""
    with store.open(line["path"]) as file:
        data: bytes = file.read()
    if "member" not in line:
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(line["member"])


def _rebuilt(contract: Contract) -> Ledger:
    """A ledger made from the archive alone, once the workers have stopped."""
    contract.settled()
    for process in contract.house.processes:
        process.stop()
    contract.house.ledger_url = f"sqlite:///{contract.house.folder / 'anew.sqlite3'}"
    done = contract.command("rebuild")
    assert not done["not_taken"], f"{contract.name}: {done}"
    return Ledger(contract.house.ledger_url)
