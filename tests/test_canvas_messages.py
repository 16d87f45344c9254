"""What a message carries besides its arguments: kept with its task, refused where it cannot be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.result import AsyncResult

from ledger.core.schema import jobs

from .canvas_house import CanvasHouse
from .deployment import Deployment
from .ledgers import pass_time
from .malformed import message
from .pages import DOCS
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

#: A person who must not stand in a log.
PERSON, NUMBER = "Wilhelmina Quirrel", "660333444"
LARGE = "x" * 300_000


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators, tmp_path: Path) -> CanvasHouse:
    """The house, with the application's worker and ours, whose results are extended."""
    made = CanvasHouse(deploy, simulators, tmp_path, settings={"RESULT_EXTENDED": "true"})
    made.shop()
    return made


@pytest.fixture
def app(house: CanvasHouse) -> Iterator[Celery]:
    """A caller of the house."""
    with house.deployment.producer() as caller:
        yield caller


def test_the_page_s_example(house: CanvasHouse, app: Celery) -> None:
    """The code of the page, as it is written: the application's task gets the job's result."""
    house.deployment.worker()
    page = (DOCS / "producers" / "celery.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from celery import chain\n.*?)```", page, re.DOTALL)
    code = code.replace("from shop import app\n", "").replace("1000000001", house.recording_id)
    exec(code, {"app": app})
    (note,) = eventually(lambda: house.notes(""), what="nothing was sent")
    (job,) = house.jobs()
    assert note["task"] == "shop.paid"
    assert note["given"] == [{"job_id": job.job_id, **job.result}]


def test_each_message_has_its_own(house: CanvasHouse, app: Celery) -> None:
    """Two tasks that wait for one job, one message that is sent three times, and an errback that is
    a task of ours: each fires what its own message asks for, once, with the ids of its family.
    """
    first, second = house.waiting(app, "legal"), None
    second = first.clone()
    first.link(house.task(app, "paid", "first"))
    second.link(house.task(app, "paid", "second"))
    for _ in range(2):
        first.apply_async(task_id="the-first", root_id="the-root", parent_id="the-parent")
    joined = second.apply_async()
    rescue = house.call(app).set(link=[house.task(app, "paid", "rescued")])
    lost = house.waiting(app, "refusing").set(link_error=[rescue]).apply_async()
    house.deployment.worker()
    assert joined.get(timeout=60)["state"] == "done"
    assert type(lost.get(timeout=60, propagate=False)).__name__ == "Rejected"
    eventually(lambda: len(house.notes()) == 3 and house.is_idle(), what="not all were fired")
    first.apply_async(task_id="the-first", root_id="the-root", parent_id="the-parent")
    eventually(house.is_idle, what="there is still something to do")
    ran = {note["tag"]: (note["parent_id"], note["root_id"]) for note in house.notes()}
    assert len(house.notes()) == 3
    assert ran["first"] == ("the-first", "the-root")
    assert ran["second"] == (joined.id, joined.id)
    assert ran["rescued"][1] == lost.id
    assert len(house.platforms["legal"].calls()) == 2


def test_the_answer_carries_what_the_message_did(house: CanvasHouse, app: Celery) -> None:
    """Group, parent, priority, stamps and headers of the caller's own. The extended result names
    the task, its worker and queue, and no argument's value; the row in the ledger is empty again.
    Of a message that carries nothing, nothing is kept.
    """
    worker = house.deployment.worker()
    plain = house.waiting(app, "legal", seconds=600).apply_async()
    eventually(lambda: plain.state == "RETRY", what="it does not wait")
    assert house.waiters() == []
    headers = {"traceparent": "00-abc-def-01", "stamped_headers": ["order"], "order": "4711"}
    asked = house.waiting(app, "legal", seconds=600).apply_async(
        headers=headers, priority=6, group_id="the-group", parent_id="the-parent"
    )
    (row,) = eventually(house.waiters, what="nothing was kept")
    kept = row["envelope"]["headers"]
    assert row["envelope"]["priority"] == 6
    assert (kept["group"], kept["parent_id"]) == ("the-group", "the-parent")
    assert kept["traceparent"] == headers["traceparent"]
    pass_time(house.deployment.ledger, 600, jobs.c.next_attempt_at)
    assert asked.get(timeout=60)["state"] == "done"
    stored = asked._get_task_meta()
    assert stored["name"] == "earwitness.certified_call.request"
    assert stored["queue"] == "earwitness"
    assert stored["worker"].startswith("worker@")
    assert stored["retries"] == 0
    assert stored["group_id"] == "the-group"
    assert stored["kwargs"].startswith("{account: legal, ")
    assert "660111222" not in json.dumps(stored, default=str)
    eventually(lambda: house.waiters() == [], what="the row was not emptied")
    assert "660111222" not in worker.log()


def test_personal_data_stands_in_no_log(house: CanvasHouse, app: Celery) -> None:
    """A name and a number among a callback's arguments: no log line and no command shows them, and
    they are gone from the ledger once the callback was sent.
    """
    worker = house.deployment.worker()
    asked = house.waiting(app, "legal")
    asked.link(house.task(app, "paid", "personal", who=PERSON, phone=NUMBER))
    asked.link_error(house.task(app, "lost", "personal", who=PERSON))
    result = asked.apply_async()
    result.get(timeout=60)
    # Celery adds a task of its own to what is replaced by a group. Our worker runs it, as the last
    # of the group is ours.
    person = app.signature("shop.person", args=[PERSON], queue="shop")
    last = house.waiting(app, "legal", seconds=2)
    swap = house.task(app, "swap", "personal", ours=dict(group(last, person)))
    chain(swap, house.task(app, "every", "personal")).apply_async().get(timeout=60)
    eventually(house.is_idle, what="there is still something to do")
    ran = [note["task"] for note in house.notes("personal")]
    assert ran == ["shop.paid", "shop.swap", "shop.every"]
    eventually(lambda: "Task celery.accumulate[" in worker.log(), what="it was not logged")
    shown = [house.deployment.run("show", result.id, *more).stdout for more in ([], ["--json"])]
    for text in (worker.log(), *shown):
        assert "legal" in text
        assert PERSON not in text
        assert NUMBER not in text
    assert house.waiters() == []


#: What is linked, and what the refusal says of it.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no queue": ({"queue": None}, "names no queue"),
    "inner queue": ({"queue": "earwitness.due"}, "names a queue of Earwitness"),
    "inner exchange": (
        {"exchange": "earwitness.due", "routing_key": "earwitness.due"},
        "names a queue of Earwitness",
    ),
    "front door": ({"queue": "earwitness"}, "names a queue of Earwitness"),
    "serializer": ({"serializer": "pickle"}, "serializer other than json"),
    "compression": ({"compression": "none such"}, "compression that kombu does not know"),
    "connection": ({"connection": "redis://elsewhere"}, "option connection"),
    "large": ({"headers": {"x": LARGE}}, "at most"),
    "not a number": ({"headers": {"x": float("nan")}}, "NaN"),
}


def test_what_cannot_be_sent_is_refused(house: CanvasHouse, app: Celery) -> None:
    """Before anything is opened, by a sentence that names the field; an errback that can be sent is
    sent.
    """
    house.deployment.worker()
    for name, (options, sentence) in REFUSED.items():
        asked = house.call(app)
        made = house.task(app, "paid", name)
        linked = {**made, "options": {**made.options, **options}}
        result = asked.apply_async(link=[linked], link_error=[house.task(app, "lost", name)])
        ended = result.get(timeout=30, propagate=False)
        assert type(ended).__name__ == "InvalidArgument", name
        assert str(ended).startswith(("not done: link: ", "not done: headers: ")), ended
        assert sentence.replace("at most", "bytes") in str(ended), ended
    late = chain(house.call(app), house.call(app), house.task(app, "paid", "late").set(queue=None))
    first = late.apply_async().parent.parent
    assert "chain: 'shop.paid' names no queue" in str(first.get(timeout=30, propagate=False))
    eventually(lambda: len(house.notes()) == len(REFUSED), what="an errback was not sent")
    assert {note["task"] for note in house.notes()} == {"shop.lost"}
    assert house.jobs() == []


def test_what_fails_to_be_sent_loses_nothing(house: CanvasHouse, app: Celery) -> None:
    """A callback, an errback and a chord's part that Celery itself cannot send, of jobs that end at
    once and of jobs that wait: each task gets its job's outcome, and the worker serves the next.
    """
    worker = house.deployment.worker()
    bad = {"expires": "soon", "queue": "shop"}
    asked = []
    for account in ("legal", "refusing"):
        for made in (house.call(app, account), house.waiting(app, account)):
            linked = house.task(app, "paid", "bad").set(**bad)
            asked.append((account, made.apply_async(link=[linked], link_error=[linked])))
    for account, result in asked:
        ended = eventually(lambda r=result: _end(r), what=f"{account} has no outcome")
        assert ended == ("done" if account == "legal" else "Rejected")
    # The error of a failed job is stored before its errback is sent.
    said = "cannot be sent (ValueError)"
    eventually(lambda: worker.log().count(said) == len(asked), what="not each is in the log")
    assert house.notes() == []


def _end(result: AsyncResult) -> str | None:
    """How a job ended for its caller, None as long as another error or nothing is stored."""
    if not result.ready():
        return None
    ended = result.get(propagate=False)
    found = ended["state"] if isinstance(ended, dict) else type(ended).__name__
    return found if found in ("done", "Rejected") else None


def test_a_revoked_task_s_chord_ends(house: CanvasHouse, app: Celery) -> None:
    """A part of a chord that is revoked while its job waits: the chord fails, and nothing waits for
    the task any more.
    """
    house.deployment.worker()
    part = house.waiting(app, "legal", seconds=600).set(task_id="a-part")
    body = house.task(app, "every", "revoked").on_error(house.task(app, "lost", "revoked"))
    result = chord([part, house.task(app, "first", "revoked")], body).apply_async()
    eventually(lambda: app.AsyncResult("a-part").state == "RETRY", what="it does not wait")
    app.AsyncResult("a-part").revoke()
    assert type(result.get(timeout=30, propagate=False)).__name__ == "ChordError"
    eventually(house.is_idle, what="there is still something to do")
    assert sorted(note["task"] for note in house.notes()) == ["shop.first", "shop.lost"]


def test_a_worker_was_killed_before_it_sent_a_chord_s_body(house: CanvasHouse, app: Celery) -> None:
    """Its claim on the chord is still there when the last part is answered again: the body is sent
    once the claim has ended, and once.
    """
    house.deployment.worker()
    body = house.task(app, "every", "claimed")
    header = [house.waiting(app, "legal", seconds=2), house.task(app, "first", "claimed")]
    result = chord(header, body).apply_async()
    with house.deployment.valkey.client() as redis:
        redis.set(f"celery-taskset-meta-{result.parent.id}.c", "a worker that was killed", ex=4)
    assert result.get(timeout=60) == "every"
    eventually(house.is_idle, what="there is still something to do")
    assert sorted(note["task"] for note in house.notes()) == ["shop.every", "shop.first"]


def test_a_hostile_canvas_is_set_aside(house: CanvasHouse, app: Celery) -> None:
    """A group whose members are no signatures: nothing is opened, and the worker goes on."""
    house.deployment.worker()
    inner = [{"task": "x", "options": 5}, 5, {"task": 5}, {"task": "x", "args": {}}]
    with house.deployment.valkey.client() as redis:
        for member in inner:
            made = {"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [member]}}
            redis.lpush("earwitness", json.dumps(message([[], {}, {"callbacks": [made]}])))
        eventually(lambda: redis.hlen("earwitness.set_aside") == len(inner), what="not set aside")
    assert house.call(app).apply_async().get(timeout=60)["state"] == "done"
