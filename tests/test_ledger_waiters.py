"""The tasks that asked for a job: every one of them is owed its outcome, under its own id."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import select

from ledger.core import states
from ledger.core.schema import waiters
from ledger.ledger import Ledger

from .ledgers import NOTIFY, QUEUE, at_once, claim_job, ended, opened, pass_time, request, running

OpenLedger = Callable[..., Ledger]


def _due(ledger: Ledger) -> list[str]:
    """The tasks that a sweeper answers now."""
    return sorted(hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=50))


def _due_at(ledger: Ledger) -> float:
    """When the only task is answered again."""
    return ledger.database.read(
        lambda connection: connection.execute(select(waiters.c.due_at)).scalar_one()
    )


def test_the_end_makes_every_waiter_due(ledger: Ledger) -> None:
    """All that asked before the end are owed it then, and nobody before."""
    job = opened(ledger, task_id="t1")
    ledger.opening.open(request(task_id="t2"), by="test")
    ledger.opening.join(job, "t3", None)
    _, lease = claim_job(ledger, job.job_id)
    assert _due(ledger) == []
    ledger.execution.finish(lease, states.DONE)
    answers = ledger.waiters.due(queue=QUEUE, limit=50)
    assert sorted(hint.task_id for hint in answers) == ["t1", "t2", "t3"]
    assert {(one.job_id, one.kind, one.queue) for one in answers} == {
        (job.job_id, "export.create", QUEUE)
    }


def test_an_answer_is_repeated_until_it_is_stored(ledger: Ledger) -> None:
    """A message may be lost: it is sent again, after waits that grow to ten minutes, until its task
    has stored the outcome.
    """
    ended(ledger, task_id="t1")
    before = ledger.database.time()
    assert _due(ledger) == ["t1"]
    for wait in (5, 10, 20, 40, 80, 160, 320, 600, 600):
        assert _due(ledger) == []
        # However long the machine takes, the wait began between these two times.
        assert before + wait <= _due_at(ledger) <= ledger.database.time() + wait
        pass_time(ledger, wait + 0.1, waiters.c.due_at)
        before = ledger.database.time()
        assert _due(ledger) == ["t1"]
    ledger.waiters.mark_answered("t1")
    pass_time(ledger, 3600, waiters.c.due_at)
    assert _due(ledger) == []


def test_two_sweepers_answer_once(open_ledger: OpenLedger) -> None:
    """Sweepers of two workers at once: each waiter is claimed by one of them."""
    one, two = open_ledger(), open_ledger()
    job, lease = running(one)
    for n in range(20):
        one.opening.join(job, f"t{n}", None)
    one.execution.finish(lease, states.DONE)
    answered = at_once(lambda: _due(one), lambda: _due(two))
    assert sorted(answered[0] + answered[1]) == sorted(f"t{n}" for n in range(20))


def test_the_task_that_ends_a_job_answers_itself_first(ledger: Ledger) -> None:
    """Its own task stores the outcome by itself; only when it did not is a message sent, later."""
    _, lease = running(ledger, task_id="own")
    ledger.opening.open(request(task_id="other"), by="test")
    ledger.execution.finish(lease, states.DONE, own_task="own")
    assert _due(ledger) == ["other"]
    pass_time(ledger, 11, waiters.c.due_at)
    assert "own" in _due(ledger)


def test_who_asks_after_the_end_is_answered_too(ledger: Ledger) -> None:
    """A task that joins an ended job answers itself, and by a message when it died before."""
    ended(ledger)
    ledger.opening.open(request(task_id="late"), by="test")
    assert _due(ledger) == []
    pass_time(ledger, 11, waiters.c.due_at)
    assert _due(ledger) == ["late"]


def test_a_task_that_asks_again_is_answered_again(ledger: Ledger) -> None:
    """A message delivered twice makes no second waiter, and its answer is due once more."""
    ended(ledger, task_id="t1")
    ledger.waiters.mark_answered("t1")
    ledger.opening.open(request(task_id="t1"), by="test")
    pass_time(ledger, 11, waiters.c.due_at)
    assert _due(ledger) == ["t1"]


def test_asking_again_before_the_end_waits_for_the_end(ledger: Ledger) -> None:
    """A task delivered again while its job runs stays one waiter, due at the end."""
    job = opened(ledger, task_id="t1")
    ledger.opening.open(request(task_id="t1"), by="test")
    assert _due(ledger) == []
    _, lease = claim_job(ledger, job.job_id)
    ledger.execution.finish(lease, states.DONE)
    assert _due(ledger) == ["t1"]


def test_waiting_shown_over_an_outcome_is_put_right(ledger: Ledger) -> None:
    """RETRY stored a moment after the outcome would hide it for ever, so it is stored once more."""
    job, lease = running(ledger, task_id="t1")
    ledger.waiters.note_retry_shown("t1")
    assert _due(ledger) == []
    ledger.execution.finish(lease, states.DONE)
    ledger.waiters.mark_answered("t1")
    ledger.waiters.note_retry_shown("t1")
    assert _due(ledger) == ["t1"]
    assert ledger.waiters.job_of("t1") == job.job_id
    assert ledger.waiters.job_of("nobody") is None


def test_a_late_mark_does_not_hide_what_became_due_since(ledger: Ledger) -> None:
    """Marks of many tasks are written together, a moment after their outcomes were stored: where
    RETRY was stored over one of these in between, it is answered again, and the others are not.
    """
    for name in ("t1", "t2", "t3"):
        ended(ledger, name, task_id=name)
    assert _due(ledger) == ["t1", "t2", "t3"]
    ledger.waiters.note_retry_shown("t2")
    ledger.waiters.mark_answered("t1", "t2", "t3", "unknown", seconds=30)
    assert _due(ledger) == ["t2"]
    pass_time(ledger, 3600, waiters.c.due_at)
    assert _due(ledger) == ["t2"]
    ledger.waiters.mark_answered("t2", seconds=1)
    pass_time(ledger, 3600, waiters.c.due_at)
    assert _due(ledger) == []


def test_who_asks_in_the_moment_of_the_end_is_answered(open_ledger: OpenLedger) -> None:
    """A task that finds the job unfinished while another process ends it: it is owed the outcome
    and its notification all the same.
    """
    worker, door = open_ledger(), open_ledger()
    for n in range(40):
        job, lease = running(worker, f"r{n}")
        asking = request(f"r{n}", task_id=f"t{n}")
        at_once(
            partial(worker.execution.finish, lease, states.DONE),
            partial(door.opening.open, asking, by="test", notify=NOTIFY),
        )
        told = [owing for owing in worker.outbox.due(limit=9) if owing.job_id == job.job_id]
        assert [owing.kind for owing in told] == ["notify"], f"round {n}"
    pass_time(worker, 11, waiters.c.due_at)
    assert _due(worker) == sorted(f"t{n}" for n in range(40))
