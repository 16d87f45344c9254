"""The tasks as other applications meet them: arguments in, results and exceptions out."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import update

from config.queues import DUE
from ledger.core.opening import Request
from ledger.core.schema import jobs

from .archives import Builder
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]


class House:
    """One account with four recordings, a worker, and a caller."""

    def __init__(self, house: Deployment, account: Any, app: Celery) -> None:
        self.house = house
        self.account = account
        self.app = app
        self.ids = [str(one["id"]) for one in account.recordings()]

    def send(self, task: str, **kwargs: Any) -> Any:
        return self.house.send(self.app, task, **kwargs)

    def ask(self, task: str, **kwargs: Any) -> Any:
        """The result of a task on the account, or the exception it ended with."""
        return self.send(task, account="india", **kwargs).get(timeout=30, propagate=False)

    def refused(self, error: str, task: str, **kwargs: Any) -> str:
        """The message of the exception that a task on the account ends with."""
        ended = self.ask(task, **kwargs)
        assert type(ended).__name__ == error, ended
        assert str(ended).split(":")[0] in ("done", "not done", "unknown"), ended
        return str(ended)


@contextmanager
def opened(deploy: Deploy, simulators: Simulators, **more: Any) -> Iterator[House]:
    """A house with a worker that is ready."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, ZONE, 4)
    account.configure(ready_after_polls=0)
    house = deploy(account_toml("india", {**account.configuration(), **more}, {"catchup_days": 1}))
    house.worker()
    with house.producer() as app:
        yield House(house, account, app)


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators) -> Iterator[House]:
    """A house whose account allows deleting."""
    with opened(deploy, simulators, allow_delete=True) as made:
        yield made


@pytest.fixture(scope="module")
def untouched(deploy_for_module: Deploy, simulators_of_module: Simulators) -> Iterator[House]:
    """A house for tests that are refused and open no job."""
    with opened(deploy_for_module, simulators_of_module, allow_delete=True) as made:
        yield made


def chained(house: House, path: str) -> bool:
    """Whether the account's chain names a path with the sum that it has on disk."""
    summed = hashlib.sha256((house.house.archive / path).read_bytes()).hexdigest()
    entries = [
        entry
        for file in house.house.archive.glob("india/chain/*.json")
        for entry in json.loads(file.read_text())["entries"]
    ]
    return {"path": path, "sha256": summed} in entries


def test_lists_and_single_recordings_are_answered(house: House) -> None:
    """A list has every field of the vendor's, ids as text and times in UTC; a page is a page; one
    recording is looked at by its id; neither opens a job. Redis forgets the answer in ten minutes.
    """
    asked = house.send(
        "recording.list",
        account="india",
        filters={"start:gte": "2026-11-09T18:30:00+00:00"},
        page_size=3,
        order="start:ASC",
    )
    listed = asked.get(timeout=60)
    assert [one["id"] for one in listed["recordings"]] == house.ids[:3]
    assert (listed["page"], listed["page_size"], listed["total_items"]) == (1, 3, 4)
    first = listed["recordings"][0]
    assert first["start"] == "2026-11-09T18:30:00Z"
    assert {"caller_id", "dnis", "duration", "file_name", "call_id", "_links"} <= set(first)
    assert house.ask("recording.get", recording_id=house.ids[0]) == first
    key = house.app.backend.get_key_for_task(asked.id)
    assert 0 < house.app.backend.client.ttl(key) <= 600
    assert house.house.ledger.jobs.jobs() == []
    assert "HTTP 404" in house.refused("Rejected", "recording.get", recording_id="1")


def test_a_recording_is_downloaded_with_its_metadata_under_the_chain(house: House) -> None:
    """The audio lies in the archive as the provider serves it, its JSON beside it and chained; the
    same request id replays the result without another request.
    """
    recording = house.ids[1]
    result = house.ask("recording.download", recording_id=recording, request_id="order-1")
    audio = (house.house.archive / result["path"]).read_bytes()
    assert hashlib.sha256(audio).hexdigest() == result["sha256"]
    assert result["sha256"] == house.account.sha256(recording)
    assert result["path"] == f"india/recordings/2026/11/10/{recording}.mp3"
    metadata = result["path"].replace(".mp3", ".json")
    content = json.loads((house.house.archive / metadata).read_text())
    assert (content["sha256"], content["recording"]["id"]) == (result["sha256"], recording)
    eventually(lambda: chained(house, metadata), what="the metadata was not chained")
    again = house.ask("recording.download", recording_id=recording, request_id="order-1")
    assert again == result
    assert house.ask("recording.download", recording_id=recording)["path"] == result["path"]


def test_a_recording_is_deleted_only_when_it_is_proven_to_be_kept(house: House) -> None:
    """Not archived: refused, and still there. Archived and chained: deleted at the provider, with a
    job that can be looked up. With a reason and ``unarchived`` it goes without.
    """
    kept, unkept = house.ids[0], house.ids[1]
    message = house.refused("Rejected", "recording.delete", recording_id=kept)
    assert "not archived" in message
    house.ask("recording.download", recording_id=kept)
    path = f"india/recordings/2026/11/10/{kept}.json"
    eventually(lambda: chained(house, path), what="the metadata was not chained")
    deleted = house.ask("recording.delete", recording_id=kept, request_id="gone")
    assert (deleted["deleted"], deleted["archived_as"]) == (True, path)
    assert "reason" in house.refused(
        "InvalidArgument", "recording.delete", recording_id=unkept, unarchived=True
    )
    without = house.ask(
        "recording.delete", recording_id=unkept, unarchived=True, reason="a wrong number"
    )
    assert (without["deleted"], without["archived_as"]) == (True, None)
    left = house.ask("recording.list")["recordings"]
    assert {one["id"] for one in left} == set(house.ids[2:])
    history = house.house.ledger.jobs.history(deleted["job_id"])
    assert history[-1]["to"] == "done"
    again = house.ask("recording.delete", recording_id=kept)
    assert "HTTP 404" in str(again) or again["deleted"] is False


def test_damage_in_the_archive_forbids_deleting(house: House) -> None:
    """A flipped bit in the archived audio: the provider's copy stays. So it does where the metadata
    was rewritten to agree with it: the chain vouches for neither.
    """
    recording = house.ids[0]
    result = house.ask("recording.download", recording_id=recording)
    path = house.house.archive / result["path"]
    eventually(lambda: chained(house, result["path"].replace(".mp3", ".json")))
    path.chmod(0o644)
    audio = bytearray(path.read_bytes())
    audio[100] ^= 1
    path.write_bytes(audio)
    house.refused("Rejected", "recording.delete", recording_id=recording)
    told = path.with_suffix(".json")
    told.chmod(0o644)
    metadata = json.loads(told.read_text())
    told.write_text(json.dumps({**metadata, "sha256": hashlib.sha256(audio).hexdigest()}))
    message = house.refused("Rejected", "recording.delete", recording_id=recording)
    assert "not archived, verified and chained" in message
    assert house.ask("recording.get", recording_id=recording)["id"] == recording


def test_deleting_needs_the_account_s_leave(deploy: Deploy, simulators: Simulators) -> None:
    """Without ``allow_delete`` nothing is deleted and no job is opened; a job that was opened while
    it was allowed deletes nothing either.
    """
    with opened(deploy, simulators) as house:
        message = house.refused("InvalidArgument", "recording.delete", recording_id=house.ids[0])
        assert "allow_delete" in message
        assert house.house.ledger.jobs.jobs() == []
        kept = house.ids[0]
        parameters = {"recording_id": kept, "unarchived": True, "reason": "a wrong number"}
        earlier = Request(
            kind="recording.delete",
            account="india",
            request_id="earlier",
            parameters=parameters,
            queue=DUE,
        )
        opened_then, _ = house.house.ledger.opening.open(earlier, by="test")
        job = eventually(
            lambda: next((one for one in house.house.ledger.jobs.jobs() if one.ended), None)
        )
        assert (job.job_id, job.state) == (opened_then.job_id, "failed")
        assert "no longer allows deletion" in (job.reason or "")
        assert house.ask("recording.get", recording_id=kept)["id"] == kept


def test_an_export_is_created_and_retrieved_on_its_own(house: House) -> None:
    """Creation tells the provider's ids, retrieval archives the ZIP under a manifest of its own."""
    created = house.ask("export.create", filters={"call_direction": "INBOUND"})
    (provider_job_id,) = created["provider_job_ids"]
    result = house.ask("export.retrieve", provider_job_id=provider_job_id)
    stored = (house.house.archive / result["path"]).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == result["sha256"]
    manifest = str(result["path"]).rpartition("/")[0] + "/manifest.json"
    eventually(lambda: chained(house, manifest), what="the manifest was not chained")
    content = json.loads((house.house.archive / manifest).read_text())
    assert [len(part["members"]) for part in content["parts"]] == [result["members"]]


def test_an_export_by_filters_is_reconciled(house: House) -> None:
    """With both bounds of start any window can be run; without them it is refused."""
    window = {"start:gte": "2026-11-10T00:00:00Z", "start:lte": "2026-11-10T12:00:00Z"}
    result = house.ask("export.run", filters=window)
    assert result["listed"] == result["archived"] > 0
    assert "start:gte" in house.refused(
        "InvalidArgument", "export.run", filters={"start:gte": window["start:gte"]}
    )
    assert "either day or filters" in house.refused("InvalidArgument", "export.run")
    assert "not over" in house.refused("InvalidArgument", "export.run", day="2099-01-01")


@pytest.mark.parametrize(
    ("task", "kwargs", "named"),
    [
        ("recording.list", {"page": 0}, "page"),
        ("recording.list", {"order": "start"}, "order"),
        ("recording.list", {"filters": {"start:gte": "yesterday"}}, "filters.start:gte"),
        ("recording.list", {"colour": "red"}, "colour"),
        ("recording.download", {}, "recording_id"),
        ("recording.download", {"recording_id": "1", "request_id": "day:1"}, "request_id"),
        ("recording.download", {"recording_id": "1", "request_id": "a b"}, "request_id"),
        ("recording.download", {"recording_id": "1", "notify": {"task": "x"}}, "notify.queue"),
        ("export.create", {"filters": {"call_direction": "SIDEWAYS"}}, "filters.call_direction"),
        ("export.create", {"filters": {"duration:gte": "long"}}, "filters.duration:gte"),
        ("export.run", {"day": "someday"}, "day"),
    ],
)
def test_a_wrong_argument_is_named_and_opens_no_job(
    untouched: House, task: str, kwargs: dict[str, Any], named: str
) -> None:
    """The message says which argument; nothing was changed."""
    assert named in untouched.refused("InvalidArgument", task, **kwargs)
    assert untouched.house.ledger.jobs.jobs() == []


def test_what_no_ledger_can_hold_is_refused_in_words(house: House) -> None:
    """Halves of characters, NUL, instants before there were providers, and task ids that are no
    request id, that could name another job of ours or that no index takes: each is told as an error
    of ours, nothing is opened, and the day that was imitated is exported.
    """
    for task, kwargs, named in (
        ("recording.download", {"recording_id": "1\ud800"}, "recording_id"),
        ("recording.download", {"recording_id": "1\0"}, "recording_id"),
        ("recording.download", {"recording_id": "1", "account": "i\ud800"}, "account"),
        ("recording.delete", {"recording_id": "1", "reason": "why\0"}, "reason"),
        (
            "recording.download",
            {"recording_id": "1", "notify": {"task": "told", "queue": "q\ud800"}},
            "notify.queue",
        ),
        ("export.create", {"filters": {"start:gte": "0001-01-01T00:00:00+14:00"}}, "start:gte"),
        ("export.run", {"day": "0001-01-01"}, "day"),
    ):
        ended = house.send(task, **{"account": "india", **kwargs}).get(timeout=30, propagate=False)
        assert type(ended).__name__ == "InvalidArgument", ended
        assert named in str(ended)
    refused = house.send("job.status", job_id="1\0").get(timeout=30, propagate=False)
    assert type(refused).__name__ == "InvalidArgument", refused
    filters = {"start:gte": "2026-11-10T00:00:00Z", "start:lte": "2026-11-11T00:00:00Z"}
    asked = [
        house.app.send_task(
            "earwitness.export.run",
            kwargs={"account": "india", "filters": filters},
            queue="earwitness",
            task_id=task_id,
        )
        for task_id in (f"day:{DAY}#1", "order#2", "a\0b", "x" * 10_000)
    ]
    for one in asked:
        ended = one.get(timeout=30, propagate=False)
        assert type(ended).__name__ == "InvalidArgument", ended
        assert "own id" in str(ended)
    assert house.house.ledger.jobs.jobs() == []
    assert house.ask("export.run", day=DAY.isoformat())["missing"] == 0


def test_the_same_request_id_is_one_job_whoever_asks(house: House) -> None:
    """Twenty tasks with one request id are one job with twenty equal answers; with other parameters
    it is a conflict; a failure is replayed too.
    """
    recording = {"recording_id": house.ids[2], "request_id": "one"}
    asked = [house.send("recording.download", account="india", **recording) for _ in range(20)]
    results = [one.get(timeout=60) for one in asked]
    assert all(result == results[0] for result in results)
    assert len(house.house.ledger.jobs.jobs()) == 1
    conflict = house.refused(
        "RequestConflict", "recording.download", recording_id=house.ids[3], request_id="one"
    )
    assert "other parameters" in conflict
    failing = {"recording_id": "404404", "request_id": "two"}
    first = house.refused("Rejected", "recording.download", **failing)
    assert house.refused("Rejected", "recording.download", **failing) == first
    assert len(house.house.ledger.jobs.jobs()) == 2


def test_a_job_id_is_known_before_any_worker(house: House) -> None:
    """UUIDv5 of account, task name and request id, as the README says."""
    name = "earwitness:india:earwitness.recording.download:order-7"
    result = house.ask("recording.download", recording_id=house.ids[0], request_id="order-7")
    assert result["job_id"] == str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def test_a_waiting_job_is_seen_and_cancelled(house: House) -> None:
    """A job that waits shows RETRY with its reason; status knows it by both ids; cancelling it ends
    it and answers its caller.
    """
    house.account.configure(ready_after_polls=10_000)
    created = house.ask("export.create", filters={})
    asked = house.send(
        "export.retrieve", account="india", provider_job_id=created["provider_job_ids"][0]
    )
    eventually(lambda: asked.state == "RETRY" and "not ready" in str(asked.info))
    seen = house.send("job.status", task_id=asked.id).get(timeout=60)
    eventually(
        lambda: (
            house.send("job.status", job_id=seen["job_id"]).get(timeout=60)["state"] == "waiting"
        )
    )
    ended = house.send("job.cancel", task_id=asked.id).get(timeout=60)
    if ended["state"] != "cancelled":
        assert ended["state"] == "running"
    answer = asked.get(timeout=30, propagate=False)
    assert type(answer).__name__ == "Cancelled"
    again = house.send("job.cancel", job_id=seen["job_id"]).get(timeout=60)
    assert again["state"] == "cancelled"
    missing = house.send("job.status", job_id="nobody").get(timeout=30, propagate=False)
    assert type(missing).__name__ == "NoSuchJob"


def test_celery_s_revoke_is_a_cancel(house: House) -> None:
    """A revoked task's job does not go on by itself."""
    house.account.configure(ready_after_polls=10_000)
    created = house.ask("export.create", filters={})
    asked = house.send(
        "export.retrieve", account="india", provider_job_id=created["provider_job_ids"][0]
    )
    eventually(lambda: asked.state == "RETRY")
    house.app.control.revoke(asked.id)

    def cancelled() -> bool:
        (job,) = house.house.ledger.jobs.jobs(kind="export.retrieve")
        return job.state == "cancelled"

    eventually(cancelled, what="the job was not cancelled")


def test_a_failed_job_is_retried_as_a_job_of_its_own(house: House) -> None:
    """An end is never left: the retry has an id of its own and says who wanted it; what has not
    failed is not retried.
    """
    house.account.withhold(house.ids[0], from_="everywhere")
    failed = house.send(
        "recording.download", account="india", recording_id=house.ids[0], request_id="r"
    )
    assert type(failed.get(timeout=30, propagate=False)).__name__ == "Rejected"
    house.account.release(house.ids[0])
    (job,) = house.house.ledger.jobs.jobs()
    note = {"by": "ana", "note": "the provider found it"}
    again = house.send("job.retry", job_id=job.job_id, **note).get(timeout=60)
    assert (again["request_id"], again["kind"]) == ("r#2", "recording.download")
    eventually(lambda: house.house.ledger.jobs.job(again["job_id"]).state == "done")
    assert house.house.ledger.jobs.job(job.job_id).state == "failed"
    history = house.house.ledger.jobs.history(job.job_id)
    assert (history[-1]["by"], history[-1]["why"]) == ("ana", "retried: the provider found it")
    refused = house.send("job.retry", job_id=again["job_id"], **note).get(
        timeout=30, propagate=False
    )
    assert type(refused).__name__ == "InvalidArgument"


def test_the_archive_is_verified_by_a_task(house: House) -> None:
    """Every file is read, those too of an account that the configuration no longer names, and the
    head of each chain told; a flipped bit makes it fail and names the file, and people are told.
    """
    Builder(house.house.folder).receipt("removed", str(uuid.uuid4()))
    stored = house.ask("export.run", day=DAY.isoformat())
    eventually(lambda: chained(house, stored["manifest"]))
    whole = house.send("archive.verify").get(timeout=60)
    assert whole["files"] >= 5
    assert set(whole["heads"]) == {"india", "removed"}
    (path,) = house.house.archive.rglob("*.zip")
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    failed = house.send("archive.verify").get(timeout=30, propagate=False)
    assert type(failed).__name__ == "Damaged"
    assert path.name in str(failed)


def test_a_job_that_stops_at_something_unforeseen_is_told_and_ends(house: House) -> None:
    """A fault of our own is a reason in the status, tried again, and after five times the end."""
    arguments = {"account": "india", "recording_id": house.ids[0]}
    asked = house.app.send_task(
        "earwitness.recording.download", kwargs=arguments, queue="earwitness", countdown=3600
    )
    eventually(house.house.ledger.jobs.jobs, what="it was not accepted")
    # As a release with a mistake might have written it.
    house.house.ledger.database.write(
        lambda connection: connection.execute(
            update(jobs).values(parameters={}, next_attempt_at=jobs.c.created_at)
        )
    )
    ended = asked.get(timeout=60, propagate=False)
    assert type(ended).__name__ == "Uncertain"
    assert "failed unexpectedly five times" in str(ended)
