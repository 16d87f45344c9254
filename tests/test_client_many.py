"""The producer's library with many requests, and with jobs that were requested elsewhere."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from earwitness_client import (
    AsyncEarwitness,
    Closed,
    Earwitness,
    InvalidArgument,
    MaybeQueued,
    NoSuchJob,
    NotAnswered,
    NotQueued,
    Rejected,
    many,
)
from earwitness_client.attaching import JOB_TASKS
from earwitness_client.operations import Push
from earwitness_client.request import Request

from .client_house import House, client_house
from .deployment import ROOT, Deployment
from .servers import Valkey
from .simulators import Simulators
from .test_client_contract import CATALOGUE
from .test_client_faults import queued

PHONE = "+911234500000"


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Earwitness]:
    """A client of a Redis from which nobody takes anything."""
    with Earwitness(valkey.url) as made:
        yield made


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Iterator[House]:
    """One account of four recordings; no worker runs yet."""
    with client_house(deploy, simulators) as made:
        yield made


def _wanted(count: int) -> list[dict[str, Any]]:
    return [
        {"account": "india", "recording_id": str(number), "request_id": f"keep-{number}"}
        for number in range(count)
    ]


def _stores(valkey: Valkey, task_id: str, status: str, result: Any) -> None:
    with valkey.client() as redis:
        stored = {"status": status, "result": result, "task_id": task_id}
        redis.set(f"celery-task-meta-{task_id}", json.dumps(stored))


def test_a_thousand_are_sent_in_their_order(client: Earwitness, valkey: Valkey) -> None:
    """Each once and whole, over one connection, with the jobs that sending each would give."""
    jobs = client.send_many(client.recording.download, _wanted(1200))
    with valkey.client() as redis:
        messages = [json.loads(one) for one in reversed(redis.lrange("earwitness", 0, -1))]  # type: ignore[arg-type]
        assert len(redis.client_list()) == 2
    sent = [json.loads(base64.b64decode(one["body"]))[1]["request_id"] for one in messages]
    assert sent == [job.request_id for job in jobs] == [f"keep-{n}" for n in range(1200)]
    alone = client.recording.download(**_wanted(1)[0])
    assert jobs[0].id == alone.id
    assert type(jobs[0]) is type(alone)


def test_one_wrong_of_many_and_nothing_is_sent(client: Earwitness, valkey: Valkey) -> None:
    """The error says which; and a function that is no task's is refused."""
    wanted = [*_wanted(3), {"account": "India", "recording_id": "7"}]
    with pytest.raises(InvalidArgument, match=r"not done: arguments\[3\]: account: "):
        client.send_many(client.recording.download, wanted)
    with pytest.raises(InvalidArgument, match="function"):
        client.send_many(client.job.attach, [{"job_id": "j"}])
    assert client.send_many(client.recording.get, []) == []
    assert queued(valkey) == 0


def test_many_while_redis_is_gone(valkey: Valkey, client: Earwitness) -> None:
    """Certainly not queued, or perhaps: the error has the jobs, to send each again."""
    client.recording.download(**_wanted(1)[0])
    valkey.stop()
    with pytest.raises(NotQueued, match="not done: 3 requests were not queued") as refused:
        client.send_many(client.recording.download, _wanted(3))
    assert [job.request_id for job in refused.value.jobs] == ["keep-0", "keep-1", "keep-2"]
    valkey.start()
    for job in refused.value.jobs:
        job.send_again()
    assert queued(valkey) == 3
    valkey.freeze()
    with pytest.raises(MaybeQueued, match="unknown: 3 requests may be queued"):
        client.send_many(client.recording.download, _wanted(3))


def test_the_second_of_several_steps_fails() -> None:
    """Some are queued: that is not called certain, and the error says how many are."""
    requests = [Request("earwitness.job.status", {"job_id": str(number)}) for number in range(1001)]
    steps = many.send(requests)
    assert isinstance(next(steps), Push)
    assert steps.send(None) == Push(tuple(requests[500:1000]))
    with pytest.raises(MaybeQueued, match="the first 500 are, but then Redis refused it"):
        steps.throw(NotQueued("Redis refused it"))


def test_what_became_of_many(client: Earwitness, valkey: Valkey) -> None:
    """As they end, in whatever order; and all at once, with the errors as values."""
    first, second, third = client.send_many(client.recording.download, _wanted(3))
    _stores(valkey, second.task_id, "SUCCESS", {"job_id": second.id})
    _stores(valkey, first.task_id, "FAILURE", {"exc_type": "Rejected", "exc_message": "no"})
    with pytest.raises(NotAnswered, match=third.id):
        list(client.as_completed([first, second, third], timeout=0.3))
    ended = list(client.as_completed([first, second], timeout=10))
    assert ended == [first, second]
    valkey.stop()
    with pytest.raises(Rejected):
        first.wait(0)
    assert second.wait(0) == {"job_id": second.id}
    valkey.start()
    _stores(valkey, second.task_id, "SUCCESS", {"job_id": second.id})
    outcomes = client.wait_many([third, second], timeout=2)
    assert isinstance(outcomes[0], NotAnswered)
    assert outcomes[1] == {"job_id": second.id}


@pytest.mark.parametrize("stored", ["STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"])
def test_the_state_needs_no_worker(client: Earwitness, valkey: Valkey, stored: str) -> None:
    """Read from the result backend: nothing is sent, and ``ready`` is the end."""
    job = client.recording.download(**_wanted(1)[0])
    assert (job.state, job.ready()) == ("PENDING", False)
    _stores(valkey, job.task_id, stored, {"job_id": job.id} if stored == "SUCCESS" else None)
    assert (job.state, job.ready()) == (stored, stored in {"SUCCESS", "FAILURE", "REVOKED"})
    assert queued(valkey) == 1
    valkey.stop()
    with pytest.raises(NotAnswered, match="Redis did not answer"):
        job.ready()


def test_the_tasks_that_an_attached_job_may_be_of() -> None:
    """Those of the worker's catalogue that open a job."""
    opening = {name for name, one in CATALOGUE.items() if one["opens_job"]}

    assert {f"earwitness.{name}" for name in JOB_TASKS} == opening - {"earwitness.nightly.plan"}


@pytest.mark.parametrize(
    "named",
    [{}, {"job_id": "j", "request_id": "r"}, {"request_id": "r", "account": "a", "task": "x"}],
)
def test_a_job_that_is_not_named(client: Earwitness, valkey: Valkey, named: dict[str, str]) -> None:
    """No id, two that may differ, or a task that opens none: refused, and nothing is sent."""
    with pytest.raises(InvalidArgument, match="not done"):
        client.job.attach(**named)  # type: ignore[arg-type]
    assert queued(valkey) == 0


def test_attached_from_another_process(house: House) -> None:
    """By task id, by job id and by request id: the same job, its result and its status; refusals
    by task id; a failed one.
    """
    house.deployment.worker()
    client = house.client
    kept = {"account": "india", "recording_id": house.recording, "request_id": "keep-1"}
    job = client.recording.download(**kept)
    result = job.wait(60)
    refused = client.recording.download(account="nobody", recording_id="7")
    gone = client.recording.download(account="india", recording_id="404404", request_id="gone")
    with Earwitness(house.deployment.valkey.url) as other:
        for named in (
            {"task_id": job.task_id},
            {"job_id": job.id},
            {"request_id": "keep-1", "account": "india"},
            {"request_id": "keep-1", "account": "india", "task": "recording.download"},
        ):
            again = other.job.attach(**named)  # type: ignore[arg-type]
            again.accepted(30)
            assert again.wait(30) == result
            assert again.status(30)["job_id"] == job.id
            with pytest.raises(InvalidArgument, match="attached"):
                again.send_again()
        with pytest.raises(InvalidArgument, match="not done: account"):
            other.job.attach(task_id=refused.task_id).accepted(30)
        with pytest.raises(Rejected):
            other.job.attach(task_id=gone.task_id).wait(30)
        with pytest.raises(Rejected, match="not done"):
            other.job.attach(job_id=gone.id).wait(30)
        with pytest.raises(NoSuchJob, match="no job has the request id never"):
            other.job.attach(request_id="never", account="india", timeout=30)

    async def main() -> Any:
        async with AsyncEarwitness(house.deployment.valkey.url) as other:
            again = await other.job.attach(request_id="keep-1", account="india")
            jobs = await other.send_many(other.recording.download, [kept, kept])
            ended = [one async for one in other.as_completed(jobs, 30)]
            assert {one.id for one in ended} == {job.id}
            assert await ended[0].ready()
            return [await again.wait(30), *(await other.wait_many(jobs, 30))]

    assert asyncio.run(main()) == [result] * 3


def _call(client: Earwitness) -> Any:
    return client.certified_call.request(
        account="gsm", country="IN", phone=PHONE, max_seconds=60, request_id="order-1"
    )


def test_a_job_shows_its_ids_and_nothing_else(client: Earwitness) -> None:
    """``repr`` names the job, its task and its ids; no number."""
    job = _call(client)
    for part in (job.id, job.task_id, "certified_call.request", "account=gsm", "order-1"):
        assert part in repr(job)
    assert "1234500000" not in repr(job) + repr(job._request)


OTHER_PROCESS = """
import pickle, sys
from earwitness_client import Closed, Earwitness

job = pickle.loads(bytes.fromhex(sys.argv[1]))
try:
    job.ready()
except Closed as error:
    print(error)
with Earwitness(sys.argv[2]) as earwitness:
    print(job.id, job.state)
    job.send_again()
"""


def test_a_job_pickles(valkey: Valkey) -> None:
    """Without the connection and the password; in another process it belongs to the client of the
    same worker there, and without one it says what to do.
    """
    with valkey.client() as redis:
        redis.config_set("requirepass", "s3cr3t")
    url = valkey.url.replace("//", "//:s3cr3t@")
    with Earwitness(url) as client:
        job = _call(client)
        data = pickle.dumps(job)
        assert b"s3cr3t" not in data
        again = pickle.loads(data)
        assert (again.id, again.task_id, again.request_id) == (job.id, job.task_id, "order-1")
        assert again.ready() is False
        printed = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, data.hex(), url],
            env={"PYTHONPATH": str(ROOT / "client" / "src")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()
    assert "this process has no client of" in printed[0]
    assert printed[1] == f"{job.id} PENDING"
    with pytest.raises(Closed):
        again.ready()
    with valkey.client(password="s3cr3t") as redis:
        assert redis.llen("earwitness") == 2
