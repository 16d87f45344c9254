"""Messages that Celery would read and fail over, once their work is done: they take no thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery.app.task import Context
from celery.result import AsyncResult

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .malformed import message
from .servers import Valkey
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

Deploy = Callable[..., Deployment]

#: More than a worker has threads.
_MANY = 25
#: What a task that Celery sends afterwards may lack, and what it may not.
_SHORT = {"task": "shop.done", "options": {"queue": "earwitness.shop"}}
_WRONG: tuple[dict[str, Any], ...] = (
    {"task": "x", "options": {"queue": 5}},
    {"task": "x", "options": {"queue": ""}},
    {"task": "x", "options": {"priority": "x"}},
    {"task": "x", "options": {"countdown": "x"}},
    {"task": "x", "options": {"headers": 5}},
    {"task": "x", "options": {"task_id": 5}},
    {"task": "x", "args": 5},
    {"task": "x", "subtask_type": [1]},
    {"task": "x", "subtask_type": "group", "kwargs": {"tasks": 5}},
    {"task": "x", "subtask_type": "chord"},
    {"task": "x", "immutable": "x"},
)


@pytest.fixture
def calling(deploy: Deploy, simulators: Simulators) -> CallHouse:
    """A house that places certified calls; no worker runs yet."""
    return call_house(deploy, simulators, max_calls_per_day=1000)


def _is_served(redis: Any) -> bool:
    return redis.llen("earwitness") == 0 and redis.hlen("earwitness.unacked") == 0


def _reasons(redis: Any) -> list[str]:
    return [json.loads(one)["reason"] for one in redis.hvals("earwitness.set_aside")]


def test_a_header_named_like_a_part_of_celery_s_request_changes_nothing(
    calling: CallHouse, valkey: Valkey
) -> None:
    """Headers such as `get`, `callbacks` or `__class__`, which Celery never sends and would put in
    the place of its own: each call is placed once and answered as any other.
    """
    fields = {"task", "id", "shadow", "eta", "expires", "retries", "timelimit", "stamps", "group"}
    fields |= {"group_index", "root_id", "parent_id", "origin", "ignore_result", "stamped_headers"}
    fields.add("replaced_task_nesting")
    sent = [message(**{name: 5}) for name in sorted({*dir(Context), "headers"} - fields)]
    worker = calling.house.worker()
    with valkey.client() as redis, calling.house.producer() as app:
        redis.lpush("earwitness", *map(json.dumps, sent))
        for one in sent:
            result = AsyncResult(one["headers"]["id"], app=app)
            assert result.get(timeout=90)["state"] == "done", one["headers"]
        eventually(lambda: _is_served(redis), within=LOADED_SECONDS, what="one stayed in hand")
    assert calling.placed() == len(sent)
    assert "Traceback" not in worker.log()


def test_tasks_that_cannot_be_sent_afterwards_are_refused_before(
    calling: CallHouse, valkey: Valkey
) -> None:
    """A link, a chain, a chord or an error's link that is written as Celery cannot send it: the
    message is set aside and no call placed. One that leaves out what is empty is sent.
    """
    calling.house.worker()
    with valkey.client() as redis, calling.house.producer() as app:
        for field in ("callbacks", "errbacks", "chain", "chord"):
            for wrong in _WRONG:
                behind = {field: wrong if field == "chord" else [wrong]}
                redis.lpush("earwitness", json.dumps(message([[], {}, behind])))
        eventually(lambda: len(_reasons(redis)) == 4 * len(_WRONG), what="not all are set aside")
        fine = message(callbacks=5, retries=0)
        fine["body"] = message([[], {"job_id": "x"}, {"errbacks": [_SHORT]}])["body"]
        fine["headers"]["task"] = "earwitness.job.status"
        redis.lpush("earwitness", json.dumps(fine))
        ended = AsyncResult(fine["headers"]["id"], app=app).get(timeout=30, propagate=False)
        assert type(ended).__name__ == "NoSuchJob"
        eventually(lambda: redis.llen("earwitness.shop") == 1, what="it was not sent")
    assert calling.placed() == 0


def test_what_fails_outside_a_task_takes_no_thread(calling: CallHouse, valkey: Valkey) -> None:
    """More messages than a worker has threads, over which Celery itself fails after the task: each
    is set aside after five tries, and the next call is placed by the same worker.
    """
    behind = {"errbacks": [{**_SHORT, "options": {"connection": 5, "producer": 5}}]}
    worker = calling.house.worker()
    with valkey.client() as redis, calling.house.producer() as app:
        for _ in range(_MANY):
            made = message([[], {"job_id": "x"}, behind], task="earwitness.job.status")
            redis.lpush("earwitness", json.dumps(made))
        eventually(lambda: len(_reasons(redis)) == _MANY, within=90, what="not all are set aside")
        assert set(_reasons(redis)) == {
            "a worker ended or failed 5 times while it had the message in hand"
        }
        assert calling.ask(app, "honest").get(timeout=60)["state"] == "done"
        eventually(lambda: _is_served(redis), within=LOADED_SECONDS, what="one stayed in hand")
    assert worker.alive
    assert calling.placed() == 1


def test_no_name_that_a_message_shows_lets_its_call_be_dropped(
    calling: CallHouse, valkey: Valkey
) -> None:
    """A call that has expired and is shown under the planner's name ends as Expired; a task that
    opens no job is not carried out once its message has expired.
    """
    calling.house.worker()
    past = "2026-11-10T00:00:00+00:00"
    shown = message(shadow="earwitness.nightly.plan", expires=past)
    plain = message([[], {"job_id": "x"}, {}], task="earwitness.job.cancel", expires=past)
    with valkey.client() as redis, calling.house.producer() as app:
        for made in (shown, plain):
            redis.lpush("earwitness", json.dumps(made))
            ended = AsyncResult(made["headers"]["id"], app=app).get(timeout=30, propagate=False)
            assert type(ended).__name__ == "Expired"
            assert str(ended).startswith("not done: ")
    assert calling.placed() == 0
    (job,) = calling.house.ledger.jobs.jobs()
    assert job.kind == "certified_call.request"
