"""The producer's library and a real worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from earwitness_client import (
    Cancelled,
    Earwitness,
    InvalidArgument,
    JobFailed,
    NoSuchJob,
    Rejected,
    RequestConflict,
    __version__,
)

from .client_house import DAY, House, Waiting, client_house
from .deployment import Deployment
from .servers import Valkey
from .simulators import Simulators


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Iterator[House]:
    """One account of four recordings; no worker runs yet."""
    with client_house(deploy, simulators) as made:
        yield made


def test_a_day_from_request_to_result(house: House) -> None:
    """Accepted, done, and its status: all under the id that was known before; asked for again, by
    anybody, it is answered at once with the same.
    """
    house.deployment.worker()
    job = house.day()
    job.accepted(30)
    result = job.wait(60)
    assert (result["job_id"], result["archived"], result["missing"]) == (job.id, 4, 0)
    status = job.status()
    assert (status["job_id"], status["state"], status["request_id"]) == (
        job.id,
        "done",
        f"day:{DAY}#1",
    )
    assert house.client.job.status(job_id=job.id).wait(30) == status
    again = house.day()
    again.accepted(30)
    assert again.wait(30) == result
    assert len(house.runs()) == 1


def test_questions_and_what_is_refused(house: House) -> None:
    """A question's answer; and the worker's refusals as exceptions of the library."""
    house.deployment.worker()
    client = house.client
    recording = client.recording.get(account="india", recording_id=house.recording).wait(30)
    assert recording["id"] == house.recording
    page = client.recording.list(account="india", page_size=2).wait(30)
    assert len(page["recordings"]) == 2
    unknown = client.recording.download(account="nobody", recording_id="7")
    for wait in (unknown.accepted, unknown.wait):
        with pytest.raises(InvalidArgument, match="not done: account"):
            wait(30)
    with pytest.raises(NoSuchJob, match="not done"):
        unknown.status()
    gone = client.recording.download(account="india", recording_id="404404", request_id="gone")
    gone.accepted(30)
    with pytest.raises(Rejected):
        gone.wait(30)
    with pytest.raises(RequestConflict, match="not done"):
        client.recording.download(account="india", recording_id="1", request_id="gone").accepted(30)


def test_a_job_that_is_cancelled(house: House) -> None:
    """Whoever waits for it gets Cancelled."""
    house.hold_back()
    house.deployment.worker()
    job = house.day()
    waiting = Waiting(job)
    house.until_it_waits()
    house.client.job.cancel(task_id=job.task_id).wait(30)
    assert isinstance(waiting.answered(), Cancelled)


@pytest.mark.parametrize(
    ("stored", "error", "message"),
    [
        (
            {
                "status": "FAILURE",
                "result": {
                    "exc_type": "WorkerLostError",
                    "exc_message": ["it died", 9],
                    "exc_module": "billiard.exceptions",
                },
            },
            JobFailed,
            "unknown: WorkerLostError: it died 9",
        ),
        (
            {
                "status": "FAILURE",
                "result": {
                    "exc_type": "Rejected",
                    "exc_message": "not done: no",
                    "exc_module": "os",
                },
            },
            Rejected,
            "not done: no",
        ),
        ({"status": "FAILURE", "result": None}, JobFailed, "unknown: .*"),
        (
            {"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["x"]}},
            Cancelled,
            "not done: revoked.*",
        ),
    ],
)
def test_an_exception_is_known_by_its_name_alone(
    valkey: Valkey, stored: dict[str, Any], error: type[Exception], message: str
) -> None:
    """As Celery stores it; what has no class here becomes JobFailed, and nothing is imported."""
    with Earwitness(valkey.url) as client, valkey.client() as redis:
        job = client.recording.download(account="india", recording_id="7")
        marked = {**stored, "task_id": job.task_id, "earwitness": {"version": __version__}}
        redis.set(f"celery-task-meta-{job.task_id}", json.dumps(marked))
        with pytest.raises(error, match=f"^{message}$"):
            job.wait(1)
