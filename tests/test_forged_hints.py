"""Messages that say they are hints, from a sender who may only ask: no job is touched by one."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult
from kombu import Connection, Consumer, Queue

from ledger.core.job import Job
from worker.redis.broker import install_channel

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .servers import Valkey
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

Deploy = Callable[..., Deployment]

JOB, NUMBER = "earwitness_job", "earwitness_hint"
TASKS = (
    "certified_call.request",
    "recording.start",
    "archive.verify",
    "export.run",
    "job.status",
    "nightly.plan",
)


def message(
    task: str,
    task_id: str,
    *,
    embed: Any = None,
    properties: dict[str, Any] | None = None,
    **headers: Any,
) -> str:
    """A message without arguments, as it lies in Redis."""
    body = json.dumps([[], {}, embed or {}]).encode()
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": f"earwitness.{task}", "id": task_id, **headers},
            "properties": {
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": "earwitness"},
                "delivery_tag": str(uuid.uuid4()),
                **(properties or {}),
            },
        }
    )


class Waiting:
    """A certified call that waits while its account rests, and a sender of any message."""

    def __init__(self, calling: CallHouse, app: Celery) -> None:
        self.calling = calling
        self.app = app
        calling.house.ledger.accounts.postpone("legal", 600, "the provider asked to wait")
        self.asked = calling.ask(app, "r1")
        self.before = calling.in_state("r1", "waiting")
        eventually(lambda: self.asked.state == "RETRY", what="the caller does not see it wait")

    def send(self, queue: str, task: str, task_id: str | None = None, **more: Any) -> AsyncResult:
        """Put a message into a queue; the result under its id."""
        task_id = task_id or str(uuid.uuid4())
        self.app.backend.client.lpush(queue, message(task, task_id, **more))
        return AsyncResult(task_id, app=self.app)

    def is_untouched(self) -> None:
        """Whether the worker has served everything, and the call waits as it did."""
        status = self.app.send_task(
            "earwitness.job.status", kwargs={"job_id": self.before.job_id}, queue="earwitness"
        )
        assert status.get(timeout=60)["state"] == "waiting"
        client = self.app.backend.client
        for queue in ("earwitness", "earwitness.due", "earwitness.downloads"):
            eventually(lambda queue=queue: client.llen(queue) == 0, what=f"{queue} is not served")
        eventually(
            lambda: client.hlen("earwitness.unacked") == 0,
            within=LOADED_SECONDS,
            what="one stayed in hand",
        )
        job = self.calling.job("r1")
        assert job is not None
        assert _core(job) == _core(self.before)
        assert self.calling.placed() == 0
        assert self.asked.state == "RETRY"


def _core(job: Job) -> tuple[Any, ...]:
    return job.state, job.reason, job.attempts, job.error, job.result, job.cancel_requested


@pytest.fixture
def waiting(deploy: Deploy, simulators: Simulators) -> Iterator[Waiting]:
    """A call that waits, and a worker that serves."""
    calling = call_house(deploy, simulators)
    calling.house.worker()
    with calling.house.producer() as app:
        yield Waiting(calling, app)


def test_a_sender_of_requests_can_not_send_hints(waiting: Waiting) -> None:
    """Every task's name with the call's job in header, body or both, whatever the message says of
    its queue: each is refused under its own id, and nothing under the id of the call's own task.
    """
    job_id = waiting.before.job_id
    refused = []
    inner = {"delivery_info": {"exchange": "", "routing_key": "earwitness.due"}}
    for task in TASKS:
        refused.append(waiting.send("earwitness", task, **{JOB: job_id, NUMBER: 1}))
        refused.append(waiting.send("earwitness", task, properties=inner, **{JOB: job_id}))
        waiting.send("earwitness", task, waiting.asked.id, **{JOB: job_id})
        waiting.send("earwitness", task, embed={JOB: job_id, NUMBER: 1, "id": waiting.asked.id})
    for strange in ([], {}, 7, True, "", "x", job_id.upper(), str(uuid.uuid4()), [job_id], "a\0"):
        refused.append(waiting.send("earwitness", "archive.verify", **{JOB: strange}))
        refused.append(waiting.send("earwitness", "archive.verify", **{NUMBER: strange}))
    for one in refused:
        ended = one.get(timeout=30, propagate=False)
        assert type(ended).__name__ == "InvalidArgument", ended
        assert str(ended).startswith("not done: headers: only Earwitness may send")
    waiting.is_untouched()
    assert waiting.calling.house.ledger.jobs.jobs(kind="recording.start") == []
    log = waiting.calling.house.processes[0].log()
    assert "refused a message that claims to be a hint" in log
    assert "Traceback" not in log


def test_a_hint_that_does_not_fit_its_job_does_nothing(waiting: Waiting) -> None:
    """In the inner queues too: another task's name, ids and numbers of wrong types, a job that
    does not exist, a task that did not ask. Nothing is stored, and the worker serves on.
    """
    job_id = waiting.before.job_id
    own = waiting.asked.id
    sent = []
    for queue in ("earwitness.due", "earwitness.downloads"):
        sent += [waiting.send(queue, task, own, **{JOB: job_id, NUMBER: 1}) for task in TASKS[1:4]]
        sent.append(waiting.send(queue, TASKS[0], **{JOB: job_id}))
        sent.append(waiting.send(queue, TASKS[0], **{JOB: str(uuid.uuid4())}))
        for strange in ([], {}, "1", True, -1, 2**70, 1.5):
            waiting.send(queue, TASKS[0], own, **{JOB: job_id, NUMBER: strange})
            waiting.send(queue, TASKS[0], own, **{JOB: strange})
    eventually(lambda: not waiting.app.backend.client.llen("earwitness.due"))
    waiting.app.send_task(
        "earwitness.job.status", kwargs={"job_id": job_id}, queue="earwitness"
    ).get(timeout=60)
    for one in sent:
        assert one.state in ("PENDING", "STARTED", "RETRY")
    job = waiting.calling.job("r1")
    assert job is not None
    assert _core(job) == _core(waiting.before)
    eventually(
        lambda: ": it names task " in waiting.calling.house.processes[0].log(),
        what="the log does not name it",
    )


def test_an_id_used_again_takes_nobody_s_answer(waiting: Waiting) -> None:
    """A refused request under the id of a task that waits ends with its own refusal; the call's
    outcome comes under that id all the same.
    """
    wrong = {"account": "legal", "request_id": "r2", "country": "ES", "phone": "x"}
    waiting.app.send_task(
        "earwitness.certified_call.request",
        kwargs=wrong,
        queue="earwitness",
        task_id=waiting.asked.id,
    )
    eventually(lambda: waiting.asked.state == "FAILURE", what="it was not refused")
    waiting.calling.house.ledger.operator_actions.cancel(waiting.before.job_id, by="test")
    eventually(
        lambda: "Cancelled" in repr(AsyncResult(waiting.asked.id, app=waiting.app).result),
        what="the call's end was not told",
    )


@pytest.mark.parametrize("said", ["earwitness.due", "nowhere", None, 7])
def test_a_message_that_is_put_back_lies_where_it_came_from(valkey: Valkey, said: Any) -> None:
    """What a message says of its queue decides nothing: put back, it is in the sender's own queue
    again, and no binding is looked up for it.
    """
    install_channel()
    info = {"exchange": "earwitness", "routing_key": said}
    with valkey.client() as client, Connection(valkey.url) as connection:
        client.sadd("_kombu.binding.earwitness", "malformed")
        client.lpush("earwitness", message("job.status", "t1", properties={"delivery_info": info}))
        taken: list[Any] = []
        with Consumer(
            connection,
            [Queue("earwitness")],
            callbacks=[lambda _body, one: taken.append(one)],
            accept=["json"],
        ):
            connection.drain_events(timeout=60)
        assert taken[0].delivery_info["routing_key"] == "earwitness"
        taken[0].requeue()
        assert client.llen("earwitness") == 1
        assert not client.exists("earwitness.due", "nowhere")
