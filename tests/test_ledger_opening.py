"""Opening a job, joining it, and what makes two requests the same."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from ledger.core import states
from ledger.core.job import fingerprint, job_id
from ledger.core.schema import audit, jobs, obligations, queues, waiters
from ledger.errors import NoSuchJob, RequestConflict
from ledger.ledger import Ledger

from .ledgers import NOTIFY, at_once, ended, in_processes, opened, pass_time, request, steps


def _everything(ledger: Ledger) -> list[Any]:
    """Every row that opening a job may touch."""
    return ledger.database.read(
        lambda connection: [
            connection.execute(select(table)).all()
            for table in (jobs, audit, waiters, obligations, queues)
        ]
    )


def _count(ledger: Ledger, table: Any) -> int:
    return ledger.database.read(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )


def test_same_request_joins(ledger: Ledger) -> None:
    """Opening a request again with the same parameters gives the same job and opens nothing."""
    first, number = ledger.opening.open(request(task_id="t1"), by="one")
    again, none = ledger.opening.open(request(task_id="t2"), by="two")
    assert (number, none) == (1, None)
    assert again.job_id == first.job_id == job_id("india", "earwitness.export.create", "r1")
    assert _count(ledger, jobs) == 1
    assert steps(ledger, first.job_id) == [(None, states.PENDING)]


@pytest.mark.parametrize("state", [states.DONE, states.FAILED, states.CANCELLED])
def test_an_ended_job_is_joined(ledger: Ledger, state: str) -> None:
    """A request whose job has ended, failures included, is answered with that end for ever."""
    job = ended(ledger, state=state)
    again, number = ledger.opening.open(request(task_id="late"), by="test")
    assert (again.job_id, again.state, number) == (job.job_id, state, None)
    assert ledger.execution.claim(job.job_id) is None


def test_other_parameters_conflict_and_change_nothing(ledger: Ledger) -> None:
    """The same id with other parameters is refused, and no row of any table has changed."""
    opened(ledger)
    before = _everything(ledger)
    other = request(parameters={"filters": {"extension": "102"}}, task_id="t2")
    with pytest.raises(RequestConflict, match=r"not done: request id 'r1' .* nothing was changed"):
        ledger.opening.open(other, by="test", notify=NOTIFY)
    assert _everything(ledger) == before


def test_a_job_is_unique_by_account_kind_and_request_id(ledger: Ledger) -> None:
    """The same request id of another account or kind is another job."""
    one = opened(ledger)
    other_account = opened(ledger, account="peru")
    other_kind = opened(ledger, kind="export.retrieve")
    assert len({one.job_id, other_account.job_id, other_kind.job_id}) == 3


def test_the_fingerprint_is_of_the_parameters_alone(ledger: Ledger) -> None:
    """Who asks, until when and with what notify make no other request, nor does the keys' order."""
    opened(ledger, parameters={"a": 1, "b": [2, "é"]}, not_after=1.0, task_id="t1")
    same = request(parameters={"b": [2, "é"], "a": 1}, not_after=9.0, task_id="t2")
    job, number = ledger.opening.open(same, by="test", notify=NOTIFY)
    assert number is None
    assert job.fingerprint == fingerprint({"b": [2, "é"], "a": 1})
    assert job.not_after == 1.0


def test_threads_that_open_at_once_get_one_job(ledger: Ledger) -> None:
    """Of many threads that open one request in the same moment, exactly one opens it."""
    asked = [
        lambda n=n: ledger.opening.open(request(task_id=f"t{n}"), by="test") for n in range(24)
    ]
    answers = at_once(*asked)
    assert len({job.job_id for job, _ in answers}) == 1
    assert sorted(number for _, number in answers if number is not None) == [1]
    assert _count(ledger, jobs) == 1
    assert _count(ledger, waiters) == 24


def _open(ledger: Ledger, task_id: str) -> tuple[str, int | None]:
    job, number = ledger.opening.open(request(task_id=task_id), by="test")
    return job.job_id, number


def test_processes_that_open_at_once_get_one_job(ledger: Ledger, ledger_url: str) -> None:
    """Of several processes that open one request in the same moment, exactly one opens it."""
    answers = in_processes(_open, ledger_url, [f"t{n}" for n in range(4)])
    assert len({job for job, _ in answers}) == 1
    assert len([number for _, number in answers if number is not None]) == 1
    assert _count(ledger, waiters) == 4


def test_many_requests_at_once_are_all_accepted(ledger: Ledger) -> None:
    """A burst from more threads than there are connections waits its turn; every job is opened."""
    asked = [lambda n=n: opened(ledger, f"r{n}") for n in range(60)]
    assert len({job.job_id for job in at_once(*asked)}) == 60


def test_accepted_survives_the_process(open_ledger: Any) -> None:
    """What one process accepted, another finds: the same id, parameters and state."""
    job = opened(open_ledger(), parameters={"note": "ünïcode", "n": [1, None, {"x": 0.5}]})
    assert open_ledger().jobs.job(job.job_id) == job


def test_unknown_jobs_are_named(ledger: Ledger) -> None:
    """A job that nobody opened is refused with its id."""
    with pytest.raises(NoSuchJob, match="no job has the id 4711"):
        ledger.jobs.job("4711")


def test_a_job_is_shown_as_the_design_says(ledger: Ledger) -> None:
    """People and programs see exactly these fields, times in ISO 8601 UTC."""
    job = opened(ledger)
    shown = job.summary()
    assert list(shown) == [
        "job_id",
        "kind",
        "account",
        "request_id",
        "state",
        "reason",
        "attempts",
        "next_attempt_at",
        "created_at",
        "updated_at",
        "result",
    ]
    assert shown["state"] == "pending"
    assert str(shown["created_at"]).endswith("Z")


def test_a_job_is_found_by_every_name_a_person_has(ledger: Ledger) -> None:
    """By its own id, by the request id, and by the id of any task that asked for it."""
    job, _ = ledger.opening.open(request(task_id="t1"), by="test")
    ledger.opening.open(request(task_id="t2"), by="test")
    for name in (job.job_id, "r1", "t1", "t2"):
        assert [found.job_id for found in ledger.jobs.named(name)] == [job.job_id]
    assert ledger.jobs.named("nobody") == []


def test_jobs_are_listed_and_counted(ledger: Ledger) -> None:
    """The newest change first, narrowed by account, state and kind; counts by state."""
    ended(ledger, "a")
    pass_time(ledger, 1, jobs.c.updated_at)
    opened(ledger, "b")
    pass_time(ledger, 1, jobs.c.updated_at)
    opened(ledger, "c", account="peru")
    assert [job.request_id for job in ledger.jobs.jobs(limit=2)] == ["c", "b"]
    assert [job.request_id for job in ledger.jobs.jobs(account="india")] == ["b", "a"]
    assert [job.request_id for job in ledger.jobs.jobs(state=states.DONE)] == ["a"]
    assert ledger.jobs.jobs(kind="recording.start") == []
    assert ledger.jobs.counts() == {"pending": 2, "done": 1}
