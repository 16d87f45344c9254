"""The producer's library says what is wrong: a closed client, a wait without limit, a notification
that would go to Earwitness itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest

from config.queues import DOWNLOADS, DUE, is_own
from earwitness_client import Closed, Earwitness, InvalidArgument, Notify, NotQueued
from earwitness_client.own_names import is_own_queue

from .servers import Valkey

NAMES = [
    "earwitness",
    DUE,
    DOWNLOADS,
    "earwitness.due:3",
    "earwitness.unacked",
    "earwitness.unacked_index",
    "earwitness.set_aside",
    "earwitness.ledger",
    "earwitness.here",
    "earwitness.listening.earwitness",
    "earwitness.holders",
    "earwitness.node.a",
    "earwitness.misplaced.x",
    "earwitness.refused.x",
    "earwitness.sent.x",
    "earwitness.flower.x",
    "_kombu.binding.x",
    "celery-task-meta-1",
    "celery-taskset-meta-1",
    "celeryev.1",
    "unacked_mutex",
    "/0.celeryev",
    "x.celery.pidbox",
    "a\nb",
    "told",
    "celery",
    "orders",
    "earwitness.told",
    "earwitnes",
]


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Earwitness]:
    """A client of the test's own Redis."""
    with Earwitness(valkey.url) as made:
        yield made


def test_a_closed_client_says_so(client: Earwitness) -> None:
    """Sending and waiting raise Closed, which is a NotQueued too, with advice that helps."""
    job = client.recording.download(account="india", recording_id="7", request_id="order-7")
    client.close()
    with pytest.raises(
        Closed, match=r"^not done: .* was closed; create another client, and send it"
    ):
        client.recording.download(account="india", recording_id="7", request_id="order-7")
    for use in (lambda: job.wait(1), lambda: job.accepted(1), job.ready, lambda: job.state):
        with pytest.raises(Closed, match=r"^unknown: .* was closed; .*create another client"):
            use()
    with pytest.raises(NotQueued) as caught:
        job.send_again()
    assert caught.value.request_id == "order-7"


def test_a_wait_without_limit(
    client: Earwitness, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """``wait(None)`` and ``accepted(None)`` continue until there is an answer, also where no worker
    has ever listened; the log says that.
    """
    job = client.recording.download(account="india", recording_id="7")
    results: list[object] = []
    waits = [
        threading.Thread(target=lambda: results.append(job.wait(None)), daemon=True),
        threading.Thread(target=lambda: results.append(job.accepted(None)), daemon=True),
    ]
    for one in waits:
        one.start()
    until = time.monotonic() + 60
    while "none ever did" not in caplog.text and time.monotonic() < until:
        time.sleep(0.2)
    assert "none ever did" in caplog.text
    assert results == []
    done = {"status": "SUCCESS", "result": {"job_id": job.id}, "task_id": job.task_id}
    with valkey.client() as redis:
        redis.set(f"celery-task-meta-{job.task_id}", json.dumps(done))
    for one in waits:
        one.join(30)
    assert {str(one) for one in results} == {"None", str({"job_id": job.id})}


@pytest.mark.parametrize("name", NAMES)
def test_the_queues_that_a_notification_may_not_use(name: str) -> None:
    """The library and the worker refuse the same names."""
    assert is_own_queue(name) is is_own(name)


@pytest.mark.parametrize(
    ("notify", "named"),
    [
        (Notify(task="earwitness.recording.download", queue="told"), "notify.task"),
        (Notify(task="earwitness.nightly.plan", queue="told"), "notify.task"),
        (Notify(task="crm.told", queue="earwitness"), "notify.queue"),
        (Notify(task="crm.told", queue="earwitness.due"), "notify.queue"),
        (Notify(task="crm.told", queue="celery-task-meta-1"), "notify.queue"),
        (Notify(task="crm.told", queue="voices"), "notify.queue"),
    ],
)
def test_a_notification_goes_to_the_caller_s_own(
    valkey: Valkey, notify: Notify, named: str
) -> None:
    """A task or a queue of Earwitness is refused before anything is sent, also the queue that a
    worker was given another name for.
    """
    with Earwitness(valkey.url, queue="voices") as client:
        with pytest.raises(InvalidArgument, match=f"not done: {named}: must be .*nothing was sent"):
            client.recording.download(account="india", recording_id="7", notify=notify)
        own = Notify(task="crm.told", queue="earwitness.told")
        client.recording.download(account="india", recording_id="7", notify=own)
    with valkey.client() as redis:
        assert redis.llen("voices") == 1
