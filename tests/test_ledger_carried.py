"""What a task's message carried: kept until the task is answered for good, and then gone."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from ledger.core import states
from ledger.core.carried import NOTHING, Carried
from ledger.core.schema import waiters
from ledger.ledger import Ledger

from .ledger_calls import call
from .ledgers import QUEUE, claim_job, pass_time, request

ENVELOPE = {"headers": {"traceparent": "00-abc"}, "priority": 6}
CANVAS = {"callbacks": [{"task": "shop.paid", "args": ["\0 \ud800", 10**400, 1.5, None]}]}
CARRIED = Carried(ENVELOPE, CANVAS)


def _kept(ledger: Ledger) -> dict[str, Carried]:
    """What is kept for each task."""
    c = waiters.c
    with ledger.database.engine.connect() as connection:
        rows = connection.execute(select(c.task_id, c.envelope, c.canvas)).all()
    return {task: Carried(envelope, canvas) for task, envelope, canvas in rows}


def _end(ledger: Ledger, job_id: str) -> None:
    _, lease = claim_job(ledger, job_id)
    ledger.execution.finish(lease, states.DONE)


def test_each_task_has_its_own(ledger: Ledger) -> None:
    """The one that opens a job, one that joins it, one that carries nothing. The answer has the
    envelope; the canvas is read by whoever has the answer in hand.
    """
    first = replace(request(task_id="t1"), carried=CARRIED)
    job, _ = ledger.opening.open(first, by="test")
    ledger.opening.join(job, "t2", None, Carried(canvas={"chain": []}))
    ledger.opening.join(job, "t3", None)
    assert ledger.waiters.answer(job, "t1", queue=QUEUE) is None
    _end(ledger, job.job_id)
    answer = ledger.waiters.answer(job, "t1", queue=QUEUE)
    assert answer is not None
    assert (answer.task_id, answer.number, answer.envelope) == ("t1", 0, ENVELOPE)
    assert ledger.waiters.answer(job, "t1", queue=QUEUE) is None
    due = {hint.task_id: hint.envelope for hint in ledger.waiters.due(queue=QUEUE, limit=50)}
    assert due == {"t2": None, "t3": None}
    carries = {}
    for task in ("t1", "t2", "t3", "t4"):
        found, waiting = ledger.waiters.hinted(job.job_id, task)
        assert found.state == states.DONE
        carries[task] = (waiting.job_id == job.job_id, waiting.carries)
    assert carries == {
        "t1": (True, True),
        "t2": (True, True),
        "t3": (True, False),
        "t4": (False, False),
    }
    assert [ledger.waiters.canvas(task) for task in ("t1", "t3", "t4")] == [CANVAS, None, None]


def test_it_is_gone_once_the_task_is_answered(ledger: Ledger) -> None:
    """And not before the job's end; a message that is delivered again brings it again."""
    first = replace(request(task_id="t1"), carried=CARRIED)
    job, _ = ledger.opening.open(first, by="test")
    ledger.waiters.mark_answered("t1")
    assert _kept(ledger) == {"t1": CARRIED}
    _end(ledger, job.job_id)
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=50)] == ["t1"]
    ledger.waiters.mark_answered("t1")
    assert _kept(ledger) == {"t1": NOTHING}
    ledger.opening.open(first, by="test")
    assert _kept(ledger) == {"t1": CARRIED}


def test_the_first_message_of_a_task_counts(ledger: Ledger) -> None:
    """A second one under the same task id adds only what the first one had not."""
    ledger.opening.open(replace(request(task_id="t1"), carried=Carried(canvas=CANVAS)), by="test")
    later = Carried(ENVELOPE, {"chain": []})
    ledger.opening.open(replace(request(task_id="t1"), carried=later), by="test")
    assert _kept(ledger) == {"t1": CARRIED}


def test_a_task_id_of_another_job_loses_nothing(ledger: Ledger) -> None:
    """A task id that is used again for another job: what its second message carried is fired at
    that job's end, under the job's own id.
    """
    ledger.opening.open(request("r1", task_id="t1"), by="test")
    second = replace(request("r2", task_id="t1"), carried=CARRIED)
    job, _ = ledger.opening.open(second, by="test")
    assert _kept(ledger) == {"t1": NOTHING, job.job_id: CARRIED}


def test_a_canvas_that_cannot_be_sent_is_dropped(ledger: Ledger) -> None:
    """The task is due at once, and is answered without it."""
    first = replace(request(task_id="t1"), carried=CARRIED)
    job, _ = ledger.opening.open(first, by="test")
    _end(ledger, job.job_id)
    assert ledger.waiters.due(queue=QUEUE, limit=50)
    ledger.waiters.drop_canvas("t1")
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=50)] == ["t1"]
    assert _kept(ledger) == {"t1": Carried(ENVELOPE)}


def test_a_call_that_begins_at_once_keeps_it(ledger: Ledger) -> None:
    """A certified call is opened and claimed in one statement, on PostgreSQL."""
    asked = replace(call("r1", account="a1", task_id="t1"), carried=CARRIED)
    job, lease = ledger.execution.begin(asked, by="test")
    assert lease is not None
    assert _kept(ledger) == {"t1": CARRIED}
    ledger.execution.finish(lease, states.FAILED)
    pass_time(ledger, 11, waiters.c.due_at)
    (answer,) = ledger.waiters.due(queue=QUEUE, limit=50)
    assert (answer.job_id, answer.envelope) == (job.job_id, ENVELOPE)
