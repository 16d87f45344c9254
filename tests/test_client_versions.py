"""Client and worker of different versions say which of them is older, and what to do; a worker says
which notifications it does not send.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery.result import AsyncResult

import earwitness_client
from config.version import VERSION
from earwitness_client.stored import exception
from earwitness_client.versions import difference as by_client
from tasks.runtime.versions import difference as by_worker

from .client_house import House, client_house
from .deployment import Deployment
from .malformed import message
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

NEWER, OLDER = "99.0.0", "0.0.1"


def test_they_are_released_together() -> None:
    """One number for both, so that it says which is older."""
    assert earwitness_client.__version__ == VERSION


@pytest.mark.parametrize(
    ("one", "other", "is_newer"),
    [
        ("0.2.0", "0.1.0", True),
        ("0.10.0", "0.9.9", True),
        ("1", "0.9", True),
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "0.1", None),
        ("1.0.0", "1", None),
        ("0.2.0", "0.2.0rc1", True),
        ("0.2.0.dev3", "0.2.0", False),
        ("0.2.0+local.1", "0.2.0", None),
    ],
)
def test_which_is_older(one: str, other: str, is_newer: bool | None) -> None:
    """By numbers, not by letters."""
    clause = by_worker(one, other)
    if is_newer is None:
        assert clause == ""
    else:
        assert ("newer than this worker" in clause) is is_newer
        assert ("older than this worker" in clause) is not is_newer


@pytest.mark.parametrize("hostile", [None, 5, "", "x", "1.0\nERROR", "9" * 5_000, ["1"], "1..0"])
def test_what_is_no_version_is_not_repeated(hostile: Any) -> None:
    """The clients of other applications send none."""
    assert by_worker(hostile, "0.1.0") == ""


def test_the_client_says_it_where_the_worker_cannot() -> None:
    """A worker that names no version is older; one that names an unheard exception is newer."""
    stored = {
        "exc_type": "InvalidArgument",
        "exc_message": ["not done: x: is not an argument of t"],
    }
    old: dict[str, Any] = {"status": "FAILURE", "result": stored}
    assert "names no version" not in str(exception(old))
    stored["exc_message"] = ["not done: x: is not an argument of this task"]
    assert "upgrade the worker" in str(exception(old))
    assert "upgrade" not in str(exception({**old, "earwitness": {"version": VERSION}}))
    unheard = {"exc_type": "Moved", "exc_message": ["x"]}
    newer = {"status": "FAILURE", "result": unheard, "earwitness": {"version": NEWER}}
    assert "upgrade earwitness-client" in str(exception(newer))
    assert by_client(VERSION) == ""
    assert f"({OLDER}) is older than this client" in by_client(OLDER)


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Any:
    """One account of four recordings, and a worker that reads one more queue."""
    with client_house(deploy, simulators) as made:
        queues = "earwitness,earwitness.due,earwitness.downloads,voices"
        made.deployment.celery(
            *("worker", "-n", "worker@%h", "-Q", queues, "--without-mingle"), name="worker"
        )
        yield made


def _answer(house: House, valkey: Valkey, arguments: Any, **headers: Any) -> tuple[str, Any]:
    """The error with which a message is answered, and the answer as it is stored."""
    headers = {"task": "earwitness.recording.download", **headers}
    made = message([[], arguments, {}], **headers)
    task_id = made["headers"]["id"]
    with valkey.client() as redis, house.deployment.producer() as app:
        redis.lpush("earwitness", json.dumps(made))
        error = AsyncResult(task_id, app=app).get(timeout=60, propagate=False)
        return str(error), json.loads(redis.get(f"celery-task-meta-{task_id}"))  # type: ignore[arg-type]


def test_a_worker_says_what_it_does_not_know(house: House, valkey: Valkey) -> None:
    """An argument, a field or a task that is unknown because one side is older: the error says
    which, and the answer has the worker's version. A notification to a task or a queue of the
    worker's own is refused, and the error names the field.
    """
    fine = {"account": "india", "recording_id": house.recording}
    unknown = {**fine, "quality": "high"}
    for version, said in (
        (NEWER, f"earwitness-client {NEWER}) is newer than this worker ({VERSION})"),
        (OLDER, f"earwitness-client {OLDER}) is older than this worker ({VERSION})"),
        (VERSION, "quality: is not an argument of this task"),
        (["x"], "quality: is not an argument of this task"),
    ):
        error, stored = _answer(house, valkey, unknown, earwitness_client=version)
        assert said in error
        assert ("than this worker" in error) is (version in (NEWER, OLDER))
        assert stored["earwitness"] == {"version": VERSION}
    error, _ = _answer(house, valkey, {"recording_id": "7"}, earwitness_client=OLDER)
    assert error.startswith("not done: account: is missing; the client")
    error, _ = _answer(
        house, valkey, fine, task="earwitness.recording.erase", earwitness_client=NEWER
    )
    assert "newer than this worker" in error
    for notify, field in (
        ({"task": "earwitness.recording.delete", "queue": "shop"}, "notify.task"),
        ({"task": "earwitness.nightly.plan", "queue": "shop"}, "notify.task"),
        ({"task": "shop.told", "queue": "earwitness"}, "notify.queue"),
        ({"task": "shop.told", "queue": "voices"}, "notify.queue"),
        ({"task": "shop.told", "queue": "earwitness.refused.x"}, "notify.queue"),
    ):
        error, _ = _answer(house, valkey, {**fine, "notify": notify})
        assert error.startswith(f"not done: {field}: "), (notify, error)
    own = {"task": "shop.told", "queue": "earwitness.shop"}
    task_id = str(uuid.uuid4())
    sent = message([[], {**fine, "notify": own}, {}], task="earwitness.recording.download")
    sent["headers"]["id"] = task_id
    with valkey.client() as redis:
        redis.lpush("earwitness", json.dumps(sent))
        eventually(lambda: redis.llen("earwitness.shop") == 1, what="it was not notified")
    with house.deployment.producer() as app:  # its result may come later
        AsyncResult(task_id, app=app).get(timeout=60)
    with valkey.client() as redis:
        stored = json.loads(redis.get(f"celery-task-meta-{task_id}"))  # type: ignore[arg-type]
    assert stored["earwitness"]["job_id"] == stored["result"]["job_id"]
