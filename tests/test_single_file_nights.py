"""Nights by single files, and the gaps of a bulk night: fetched in bounded batches of the downloads
queue, never twice, whatever waits or dies in between.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from config.queues import DOWNLOADS
from ledger.core.job import Job
from tasks.days.day import open_day
from tasks.exports.batches import BATCH_SIZE, KIND, MOST_BATCHES
from tasks.exports.strategies import SingleFilesNight
from tasks.runtime import context
from tasks.runtime.runner import Attempt, Ended, Run, carry_out

from .buckets import Buckets
from .deployment import Deployment, account_toml
from .fifth_server import FifthServer
from .provider_contract import House
from .servers import Valkey
from .simulators import Simulators
from .test_nights import planner
from .test_provider_contract import registered
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]


class Night:
    """A house with one account whose provider gives single files alone, and its provider."""

    def __init__(self, house: House, server: FifthServer, app: Celery) -> None:
        self.house = house
        self.server = server
        self._app = app

    def begin(self) -> Any:
        """Ask for the day's export."""
        return self.house.send(self._app, "export.run", account="one", day=DAY.isoformat())

    def batches(self) -> list[Job]:
        """The batches of the one run."""
        (run,) = self.house.ledger.jobs.jobs(kind="export.run")
        parts = self.house.ledger.jobs.parts(run.job_id)
        assert {one.kind for one in parts} <= {KIND}
        return parts

    def until_under_way(self, uid: str) -> None:
        """Wait until a recording that stops in its middle is being fetched."""
        eventually(lambda: self.server.given[uid], what=f"{uid} was not asked for")

    def comparison(self) -> Path:
        """The run's comparison in the spool."""
        (path,) = self.house.spool.glob("comparison-*")
        return path


@pytest.fixture
def night(tmp_path: Path, valkey: Valkey) -> Iterator[Callable[..., Night]]:
    """Opens the house, with a worker in it."""
    with ExitStack() as stack:

        def opened(**more: Any) -> Night:
            module = stack.enter_context(registered("fifth"))
            server = stack.enter_context(FifthServer())
            account = {**server.configuration(), "timeout_seconds": 30}
            accounts = account_toml("one", account, {"catchup_days": 1})
            house = House(tmp_path, valkey, accounts, **more)
            house.module = module
            stack.callback(house.close)
            house.worker("first")
            return Night(house, server, stack.enter_context(house.producer()))

        yield opened


def attempted(job_id: str, run: Run) -> Job:
    """Do one attempt at a job in this process."""
    claimed = context.ledger().execution.claim(job_id)
    assert claimed is not None
    return carry_out(Attempt(*claimed, task_id="test"), run)


def all_kept(attempt: Attempt) -> Ended:
    """Carry out a batch as if every recording of it were in the archive."""
    for _, line in attempt.job.work["left"]:
        attempt.job.work["kept"].append([line["id"], f"one/{line['id']}.mp3", 1, "0" * 64])
    attempt.note(left=[])
    return Ended(counted(len(attempt.job.work["kept"])))


def recordings_of(house: Deployment, result: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a run's list."""
    told = json.loads(house.store.read(result["manifest"]))
    return [json.loads(line) for line in house.store.read(told["recordings"]["path"]).splitlines()]


def are_under_chain(house: Deployment) -> None:
    """Everything that is owed was done, and a verification finds nothing wrong."""
    eventually(lambda: not house.ledger.outbox.waiting(), what="something is owed")
    done = house.run("verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_three_hundred_recordings_come_in_batches_through_a_killed_worker(
    night: Callable[..., Night],
) -> None:
    """No batch is large, no more of them run at once than there are slots, and a killed worker
    costs at most the one file of each that was under way. The list is read for the run's first
    look (one page) and for the two passes of its comparison, and at no wait.
    """
    one = night(settings={"TRANSFERS_PER_WORKER": "2"})
    ids = one.server.seed(DAY, ZONE, 300)
    # A file in two of the batches stops in its middle, so that neither slot comes to the end.
    stop = [one.server.held[ids[number * BATCH_SIZE - 1]] for number in (1, 2)]
    for recording in stop:
        recording.flows.clear()
    answer = one.begin()
    eventually(lambda: sum(one.server.given.values()) >= 80, within=120, what="nothing comes")
    one.house.processes[0].kill()
    before_second = sum(one.server.given.values())
    for recording in stop:
        recording.flows.set()
    one.house.worker("second")
    result = answer.get(timeout=240)
    assert (result["listed"], result["archived"], result["missing"]) == (300, 300, 0)
    assert before_second < 300, "the worker was killed too late"
    batches = one.batches()
    sizes = [len(batch.parameters["recording_ids"]) for batch in batches]
    assert sizes == [BATCH_SIZE] * (300 // BATCH_SIZE)
    assert {batch.queue for batch in batches} == {DOWNLOADS}
    assert all(batch.result == counted(BATCH_SIZE) for batch in batches)
    assert set(one.server.given) == set(ids)
    assert max(one.server.given.values()) <= 2
    assert sum(one.server.given.values()) <= 300 + 2
    assert one.server.most_at_once <= 2
    assert one.server.pages == 1 + 2 * 3
    assert [line["id"] for line in recordings_of(one.house, result)] == ids
    assert not [path for path in one.house.spool.iterdir() if path.is_file()]
    are_under_chain(one.house)


def counted(archived: int, missing: int = 0) -> dict[str, int]:
    """The result of a batch."""
    return {"recordings": archived + missing, "archived": archived, "missing": missing}


def test_batches_take_every_slot_and_no_other(night: Callable[..., Night]) -> None:
    """Two of three batches run beside each other where two transfers may, and the third waits,
    whichever it is: no order is promised among batches.
    """
    one = night(settings={"TRANSFERS_PER_WORKER": "2"})
    ids = one.server.seed(DAY, ZONE, 2 * BATCH_SIZE + 1)
    firsts = ids[0], ids[BATCH_SIZE], ids[2 * BATCH_SIZE]
    for uid in firsts:
        one.server.held[uid].flows.clear()
    answer = one.begin()
    eventually(lambda: sum(one.server.given.values()) >= 2, what="no two batches began")
    assert {uid: count for uid, count in one.server.given.items() if count} in [
        dict.fromkeys(two, 1) for two in itertools.combinations(firsts, 2)
    ]
    for uid in firsts:
        one.server.held[uid].flows.set()
    assert answer.get(timeout=120)["archived"] == len(ids)
    assert one.server.most_at_once == 2


def test_a_wait_reads_and_fetches_nothing_again(
    night: Callable[..., Night], buckets: Buckets
) -> None:
    """Where the provider asks to wait in the middle, the batch goes on at that very recording; a
    run whose list the archive refuses goes on there. Each file in the archive is read back once, as
    it is stored; the provider's list is not asked for again.
    """
    address = f"s3://{buckets.bucket()}/house"
    one = night(settings={"ARCHIVE_URL": address}, surroundings=buckets.environment)
    ids = one.server.seed(DAY, ZONE, 12)
    one.server.withhold(ids[1])
    one.server.throttled.update((ids[3], ids[8]))
    buckets.front.misbehave("403", "PUT", "recordings.jsonl")
    with pytest.raises(Exception, match=f"1 of 12 recordings missing .*{ids[1]}.*HTTP 404"):
        one.begin().get(timeout=120)
    (batch,) = one.batches()
    (run,) = one.house.ledger.jobs.jobs(kind="export.run")
    assert (batch.attempts, run.attempts) == (3, 3)
    assert batch.result == counted(11, 1)
    assert {one.server.given[uid] for uid in ids if uid != ids[1]} == {1}
    assert one.server.pages == 3
    place = address.removeprefix("s3:/")
    read = Counter(
        seen.split("?")[0]
        for seen in buckets.front.seen
        if seen.startswith(f"GET {place}/one/recordings/")
    )
    assert len(read) == 11, read
    assert set(read.values()) == {1}, read


@pytest.mark.parametrize("how", ["lost", "altered"])
def test_a_lost_comparison_is_made_again(night: Callable[..., Night], how: str) -> None:
    """The spool is of one host and may be emptied. The run then lists again, fetches what has been
    added since, and nothing that its batches have fetched.
    """
    one = night()
    ids = one.server.seed(DAY, ZONE, 5)
    one.server.withhold(ids[3])
    one.server.held[ids[2]].flows.clear()
    answer = one.begin()
    one.until_under_way(ids[2])
    if how == "lost":
        one.comparison().unlink()
    else:
        with one.comparison().open("ab") as file:
            file.write(b"\0")
    ids.append(one.server.add(one.server.held[ids[1]].began + timedelta(minutes=1)))
    one.server.held[ids[2]].flows.set()
    with pytest.raises(Exception, match="1 of 6 recordings missing"):
        answer.get(timeout=120)
    first, second = one.batches()
    assert (first.result, second.result) == (counted(4, 1), counted(1))
    assert second.parameters == {"recording_ids": [ids[-1]]}
    assert {uid: one.server.given[uid] for uid in ids} == {**dict.fromkeys(ids, 1), ids[3]: 0}
    are_under_chain(one.house)


def test_a_cancelled_batch_leaves_gaps_that_are_named(night: Callable[..., Night]) -> None:
    """The run ends incomplete, and says why; what had come is kept."""
    one = night()
    ids = one.server.seed(DAY, ZONE, 3)
    one.server.throttled.add(ids[1])
    one.server.retry_after_seconds = 600
    answer = one.begin()
    eventually(lambda: one.house.ledger.jobs.jobs(kind=KIND, state="waiting"), what="nothing waits")
    (batch,) = one.batches()
    refused = one.house.run("retry", batch.job_id, "--note", "test")
    assert refused.returncode == 1, refused.stdout
    done = one.house.run("cancel", batch.job_id)
    assert done.returncode == 0, done.stderr
    with pytest.raises(
        Exception, match=f"2 of 3 recordings missing .*; batch {batch.job_id}: .*cancelled"
    ):
        answer.get(timeout=60)
    (run,) = one.house.ledger.jobs.jobs(kind="export.run")
    assert run.result is not None
    lines = recordings_of(one.house, run.result)
    assert not lines[0].get("missing")
    assert lines[2]["missing"]


def test_a_file_in_the_way_fails_the_run_in_its_own_name(night: Callable[..., Night]) -> None:
    """Nothing is overwritten; people are told once, of the export and not of its part."""
    one = night()
    ids = one.server.seed(DAY, ZONE, 2)
    there = one.house.archive / f"one/recordings/{DAY:%Y/%m/%d}/{ids[1]}.mp3"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"other")
    with pytest.raises(Exception, match=f"not done: .*{ids[1]}.mp3"):
        one.begin().get(timeout=60)
    assert there.read_bytes() == b"other"
    found = [one for one in one.house.ledger.alerts.all_open() if ids[1] in one["message"]]
    assert {alert["message"].split()[0] for alert in found} == {"export.run", "day"}
    assert len(found) == 2


def test_the_gaps_of_a_bulk_night_take_the_same_way(deploy: Deploy, simulators: Simulators) -> None:
    """What no ZIP holds comes in a batch; the metadata names the run, and the run its gaps."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    seeded = [str(one["id"]) for one in account.seed(DAY, ZONE, 5)]
    for uid in seeded[1:3]:
        account.withhold(uid)
    account.withhold(seeded[3], from_="everywhere")
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    house.worker()
    with house.producer() as app:
        answer = house.send(app, "export.run", account="india", day=DAY.isoformat())
        with pytest.raises(Exception, match=f"1 of 5 recordings missing .*{seeded[3]}"):
            answer.get(timeout=90)
    (run,) = house.ledger.jobs.jobs(kind="export.run")
    (batch,) = house.ledger.jobs.parts(run.job_id, kind=KIND)
    assert batch.queue == DOWNLOADS
    assert batch.parameters == {"recording_ids": seeded[1:4]}
    assert batch.result == counted(2, 1)
    assert batch.work["left"] == [], "the ledger holds what was listed, though it is done with"
    metadata = sorted(house.archive.glob("india/recordings/*/*/*/*.json"))
    assert {json.loads(path.read_text())["job_id"] for path in metadata} == {run.job_id}
    asked = [one["operation"] for one in simulators.log.requests()]
    assert "list" not in asked[asked.index("audio") :], asked
    are_under_chain(house)


def test_a_large_night_goes_in_rounds(
    tmp_path: Path, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many recordings a day has, a run opens a limited number of batches at once, and the
    next ones from what it knows: the list is not read for them again.
    """
    count = BATCH_SIZE * MOST_BATCHES + BATCH_SIZE + 1
    with registered("fifth") as module, FifthServer() as server:
        accounts = account_toml("one", server.configuration(), {"catchup_days": 1})
        house = House(tmp_path, valkey, accounts)
        house.module = module
        server.seed(DAY, ZONE, count)
        assert house.run("migrate").returncode == 0
        with planner(house, monkeypatch):
            job, _ = open_day("one", DAY, by="test")
            night = SingleFilesNight()
            sizes: list[list[int]] = []
            while not (job := attempted(job.job_id, night.run)).ended:
                batches = house.ledger.jobs.parts(job.job_id)[sum(map(len, sizes)) :]
                for batch in batches:
                    attempted(batch.job_id, all_kept)
                sizes.append([len(one.parameters["recording_ids"]) for one in batches])
                pages = server.pages
            assert sizes == [[BATCH_SIZE] * MOST_BATCHES, [BATCH_SIZE, 1]]
            assert server.pages == pages == 1 + 2 * -(-count // 100)
            assert job.result is not None
            assert (job.result["listed"], job.result["archived"]) == (count, count)
            assert not list(house.spool.glob("*"))
        house.close()


def test_no_application_may_send_a_batch(night: Callable[..., Night]) -> None:
    """The task is internal: the catalogue does not name it, and its sender is refused."""
    one = night()
    named = json.loads(one.house.run("catalogue").stdout)["tasks"]
    assert "earwitness.export.run" in named
    assert f"earwitness.{KIND}" not in named
    with pytest.raises(Exception, match=f"earwitness.{KIND} is internal"):
        one.house.send(one._app, KIND, account="one", recording_ids=["1"]).get(timeout=60)
    assert one.house.ledger.jobs.jobs() == []
