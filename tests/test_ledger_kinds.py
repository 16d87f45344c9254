"""A kind of job that a test makes up: the engine calls its hooks inside its own transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from config.error_names import ErrorName
from ledger.core import states
from ledger.core.job import Job
from ledger.core.kinds import Ending, JobKind, register
from ledger.core.opening import Request
from ledger.core.outbox import owe
from ledger.core.schema import audit, jobs, obligations, waiters
from ledger.core.transitions import append_audit, change, find, record_end
from ledger.errors import NotPossible, UnknownKind
from ledger.ledger import Ledger

from .ledgers import NOTIFY, answer_lost, commit_lost, opened, pass_time, request, running, steps

WEATHER = "weather.report"
#: Its hooks raise in a test that names one of these.
_broken: set[str] = set()


class _Storm(Exception):
    """What a hook raises."""


def _write(connection: Connection, job_id: str, hook: str) -> None:
    """What each hook adds: an obligation of a kind of its own."""
    owe(connection, job_id, "india", f"w_{hook}", {})
    if hook in _broken:
        raise _Storm(hook)


def _withhold(connection: Connection, asked: Request, /, *, by: str) -> Job | None:
    if asked.details != "withheld":
        return None
    connection.execute(jobs.insert().values(**_row(asked)))
    append_audit(connection, asked.job_id, (None, states.NEEDS_DECISION), by=by, why="withheld")
    return find(connection, asked.job_id)


def _row(asked: Request) -> dict[str, Any]:
    values = {column.name: 0 for column in jobs.c if not column.nullable}
    names = ("job_id", "kind", "account", "request_id", "parameters", "queue")
    values |= {name: getattr(asked, name) for name in names}
    return values | {
        "state": states.NEEDS_DECISION,
        "task_id": asked.job_id,
        "fingerprint": "",
        "work": {},
        "cancel_requested": False,
    }


def _inserted(connection: Connection, asked: Request) -> None:
    assert find(connection, asked.job_id) is not None, "its row is there, in this transaction"
    _write(connection, asked.job_id, "inserted")


def _opened(connection: Connection, asked: Request) -> None:
    if asked.companion is not None:
        assert find(connection, asked.companion.job_id) is not None
    _write(connection, asked.job_id, "opened")


def _ended(connection: Connection, ending: Ending) -> None:
    assert find(connection, ending.job.job_id) == ending.job
    _write(connection, ending.job.job_id, f"{ending.before}")


def _sender_lost(connection: Connection, job_id: str, token: str, /, *, by: str) -> Job | None:
    job = change(
        connection,
        job_id,
        jobs.c.lease_token == token,
        state=states.FAILED,
        reason="not done: lost at sea",
    )
    if job is not None:
        record_end(connection, job, states.SENDING, by=by, own_task=None)
    return job


@pytest.fixture(autouse=True, scope="module")
def _weather() -> None:
    """The kind that this file makes up, and one that says nothing of senders."""
    register(
        JobKind(
            name=WEATHER,
            withhold=_withhold,
            inserted=_inserted,
            opened=_opened,
            ended=(_ended, lambda connection, end: _write(connection, end.job.job_id, "ended")),
            sender_lost=_sender_lost,
            died_often=(ErrorName.DAMAGED, "done: hit by lightning"),
            refuses_retry="not done: yesterday's weather is over",
        ),
        JobKind(name="weather.plain", ended=()),
    )


@pytest.fixture(autouse=True)
def _sound() -> None:
    _broken.clear()


def report(request_id: str = "r1", **given: Any) -> Request:
    """A request of the made-up kind."""
    return request(request_id, kind=WEATHER, **given)


def written(ledger: Ledger) -> list[str]:
    """What the hooks have written, in its order."""
    wanted = (
        select(obligations.c.kind).where(obligations.c.kind.like("w%")).order_by(obligations.c.id)
    )
    found = ledger.database.read(lambda connection: connection.execute(wanted).scalars().all())
    return [kind.removeprefix("w_") for kind in found]


def rows(ledger: Ledger) -> dict[str, int]:
    """How many rows stand in the tables that an opening and an end write to."""
    tables = (jobs, audit, waiters, obligations)
    return ledger.database.read(
        lambda connection: {one.name: len(connection.execute(select(one)).all()) for one in tables}
    )


def test_hooks_are_called_in_their_order(ledger: Ledger) -> None:
    """At the opening once the row is there, then once its companion is; at the end each in turn."""
    companion = request("beside", kind="weather.plain", waits_seconds=60, reason="looks up")
    job, lease = ledger.execution.begin(report(companion=companion), by="test", notify=NOTIFY)
    assert lease is not None
    assert written(ledger) == ["inserted", "opened"]

    ledger.execution.finish(lease, states.DONE)

    assert written(ledger) == ["inserted", "opened", "running", "ended"]
    assert ledger.jobs.job(job.job_id).state == states.DONE


def test_joining_a_job_calls_no_hook(ledger: Ledger) -> None:
    """Whoever asks again for the same job opens nothing."""
    for _ in range(3):
        ledger.opening.open(report(task_id="t1"), by="test")
    assert written(ledger) == ["inserted", "opened"]


@pytest.mark.parametrize("hook", ["inserted", "opened"])
def test_what_a_hook_refuses_opens_nothing(ledger: Ledger, hook: str) -> None:
    """The job, its audit, its waiter and what other hooks wrote go with it, and the same id may be
    sent again.
    """
    before = rows(ledger)
    _broken.add(hook)
    with pytest.raises(_Storm):
        ledger.execution.begin(report(task_id="t1"), by="test", notify=NOTIFY)
    assert rows(ledger) == before

    _broken.clear()
    assert ledger.execution.begin(report(task_id="t1"), by="test", notify=NOTIFY)[1] is not None


def test_an_end_goes_back_with_its_hooks(ledger: Ledger) -> None:
    """Where the last hook fails the job has not ended: no audit, no answer, no notification; and it
    can still end.
    """
    job, lease = ledger.execution.begin(report(task_id="t1"), by="test", notify=NOTIFY)
    assert lease is not None
    before = rows(ledger)
    _broken.add("ended")
    with pytest.raises(_Storm):
        ledger.execution.finish(lease, states.DONE)
    assert rows(ledger) == before
    assert ledger.jobs.job(job.job_id).state == states.RUNNING

    _broken.clear()
    assert ledger.execution.finish(lease, states.DONE).state == states.DONE


@pytest.mark.parametrize("lost", [answer_lost, commit_lost])
def test_a_transaction_that_is_repeated_writes_once(
    ledger: Ledger, lost: Callable[[Ledger], Any]
) -> None:
    """What a hook wrote stands there once, whether the commit or only its answer was lost."""
    with lost(ledger):
        job, _ = ledger.opening.open(report(), by="test")
    claimed = ledger.execution.claim(job.job_id)
    assert claimed is not None
    with lost(ledger):
        ledger.execution.finish(claimed[1], states.DONE)
    assert written(ledger) == ["inserted", "opened", "running", "ended"]


def test_every_way_to_an_end_calls_the_hooks(ledger: Ledger) -> None:
    """Cancelled by a person, and expired before it was due: each has the state that it left."""
    at = ledger.database.time() + 100
    void = report("void", due_at=at, not_after=at - 1)
    assert ledger.opening.open(void, by="test")[0].state == states.FAILED
    assert written(ledger) == ["inserted", "pending", "ended"]

    job = opened(ledger, kind=WEATHER)
    ledger.operator_actions.cancel(job.job_id, by="ana")
    assert written(ledger)[3:] == ["inserted", "opened", "pending", "ended"]


def test_a_kind_withholds_a_job(ledger: Ledger) -> None:
    """It opens the job by its own rule: none of the usual hooks, no hint, and the caller waits."""
    job, number = ledger.opening.open(report(details="withheld", task_id="t1"), by="test")
    assert (job.state, number) == (states.NEEDS_DECISION, None)
    assert written(ledger) == []
    assert ledger.waiters.job_of("t1") == job.job_id


def test_a_kind_says_what_becomes_of_a_dead_sender(ledger: Ledger) -> None:
    """Its hook ends the job, with everything that an end brings."""
    job, _ = running(ledger, kind=WEATHER)
    _let_die(ledger, job.job_id, state=states.SENDING)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert taken.reason == "not done: lost at sea"
    assert written(ledger) == ["inserted", "opened", "sending", "ended"]


def test_a_kind_says_how_a_job_fails_whose_workers_die(ledger: Ledger) -> None:
    """The fifth dead worker ends it with the kind's own error."""
    job, _ = running(ledger, kind=WEATHER)
    _let_die(ledger, job.job_id, takeovers=4)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert taken.error == {"type": "Damaged", "message": "done: hit by lightning"}
    assert taken.state == states.FAILED


def test_a_kind_refuses_to_be_retried(ledger: Ledger) -> None:
    """By its own sentence; nothing is opened."""
    job, lease = running(ledger, kind=WEATHER)
    ledger.execution.finish(lease, states.FAILED)
    with pytest.raises(NotPossible, match="yesterday's weather is over"):
        ledger.operator_actions.again(job.job_id, by="ana", note="please")


def test_a_dead_sender_of_a_kind_without_a_rule_is_left_alone(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody tries it again, the log says why, and the others are taken from their dead workers."""
    job, _ = running(ledger, kind="weather.plain")
    other, _ = running(ledger, "other", kind="weather.plain")
    _let_die(ledger, job.job_id, state=states.SENDING)
    pass_time(ledger, 31, jobs.c.lease_until)

    assert [one.job_id for one in ledger.lease_expiry.take_from_the_dead()] == [other.job_id]
    assert ledger.jobs.job(job.job_id).state == states.SENDING
    assert "kind has no rule for that" in caplog.text


def _open_unknown(ledger: Ledger, _job: Job) -> None:
    ledger.opening.open(request("new", kind="weather.later"), by="test")


def _begin_unknown(ledger: Ledger, _job: Job) -> None:
    ledger.execution.begin(request("new", kind="weather.later"), by="test")


def _open_beside(ledger: Ledger, _job: Job) -> None:
    companion = request("new", kind="weather.later", waits_seconds=1)
    ledger.opening.open(report("with", companion=companion), by="test")


def _finish_unknown(ledger: Ledger, job: Job) -> None:
    claimed = ledger.execution.claim(job.job_id)
    assert claimed is not None
    ledger.execution.finish(claimed[1], states.DONE)


def _cancel_unknown(ledger: Ledger, job: Job) -> None:
    ledger.operator_actions.cancel(job.job_id, by="ana")


def _retry_unknown(ledger: Ledger, job: Job) -> None:
    ledger.operator_actions.again(job.job_id, by="ana", note="please")


@pytest.mark.parametrize(
    "act",
    [
        _open_unknown,
        _begin_unknown,
        _open_beside,
        _finish_unknown,
        _cancel_unknown,
        _retry_unknown,
    ],
)
def test_a_job_of_an_unknown_kind_is_refused(
    ledger: Ledger, act: Callable[[Ledger, Job], None]
) -> None:
    """A later version opened it, or a module was not loaded: what its hooks would write must not be
    missing unseen, so nothing is written at all, and the sentence says what to do.
    """
    job = _of_later_version(ledger)
    before = rows(ledger)
    with pytest.raises(UnknownKind, match=r"weather\.later.*use the version"):
        act(ledger, job)
    claim = act is _finish_unknown
    assert rows(ledger) == {**before, "audit": before["audit"] + claim}
    assert ledger.jobs.job(job.job_id).state == (states.RUNNING if claim else states.PENDING)


def test_a_dead_worker_of_an_unknown_kind_holds_up_no_other(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Its job stays for a worker that knows it, which the log says; the others continue."""
    job = _of_later_version(ledger)
    assert ledger.execution.claim(job.job_id) is not None
    other, _ = running(ledger, "other", kind=WEATHER)
    pass_time(ledger, 31, jobs.c.lease_until)

    assert [one.job_id for one in ledger.lease_expiry.take_from_the_dead()] == [other.job_id]
    assert steps(ledger, job.job_id)[-1] == (states.PENDING, states.RUNNING)
    assert "weather.later" in caplog.text


def test_two_kinds_with_one_name_are_refused() -> None:
    """The hooks of the first would be lost."""
    with pytest.raises(ValueError, match=r"export\.run is registered twice"):
        register(JobKind(name="export.run", ended=()))


def _of_later_version(ledger: Ledger) -> Job:
    """A job whose kind this program does not know."""
    job = opened(ledger, "later", kind="weather.plain")
    _set(ledger, job.job_id, kind="weather.later")
    return job


def _let_die(ledger: Ledger, job_id: str, **values: Any) -> None:
    """Let the worker of a job be dead."""
    _set(ledger, job_id, **values)
    pass_time(ledger, 31, jobs.c.lease_until)


def _set(ledger: Ledger, job_id: str, **values: Any) -> None:
    statement = update(jobs).where(jobs.c.job_id == job_id).values(**values)
    ledger.database.write(lambda connection: connection.execute(statement))
