"""What the ledger's tests share: requests to open, time that passes, and many who act at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, event, update
from sqlalchemy.exc import OperationalError

from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.core.schema import jobs
from ledger.ledger import Ledger

from . import forked

Result = TypeVar("Result")

QUEUE = "earwitness.due"
NOTIFY = {"task": "crm.told", "queue": "crm"}


def request(request_id: str = "r1", **given: Any) -> Request:
    """A request for an export of the account ``india``, unless told otherwise."""
    standard = {
        "kind": "export.create",
        "account": "india",
        "parameters": {"filters": {"extension": "101"}},
        "queue": QUEUE,
    }
    return Request(request_id=request_id, **{**standard, **given})


def opened(ledger: Ledger, request_id: str = "r1", **given: Any) -> Job:
    """The job of a request as just opened."""
    job, number = ledger.opening.open(request(request_id, **given), by="test")
    assert number is not None
    return job


def running(ledger: Ledger, request_id: str = "r1", **given: Any) -> tuple[Job, Lease]:
    """A job just opened and taken up by this ledger's worker."""
    return claim_job(ledger, opened(ledger, request_id, **given).job_id)


def claim_job(ledger: Ledger, job_id: str) -> tuple[Job, Lease]:
    """A due job, taken up by this ledger's worker."""
    claimed = ledger.execution.claim(job_id)
    assert claimed is not None
    return claimed


def ended(ledger: Ledger, request_id: str = "r1", state: str = states.DONE, **given: Any) -> Job:
    """A job opened, taken up and brought to its end."""
    _, lease = running(ledger, request_id, **given)
    return ledger.execution.finish(lease, state)


def with_parts(ledger: Ledger, count: int, request_id: str = "run") -> tuple[Job, list[Job]]:
    """An export that waits for so many parts."""
    parent, lease = running(ledger, request_id, kind="export.run")
    parts = [
        request(f"{parent.job_id}/{n}", kind="export.retrieve", parent_id=parent.job_id)
        for n in range(count)
    ]
    started = ledger.execution.await_parts(lease, parts, work={}, queue=QUEUE)
    return ledger.jobs.job(parent.job_id), [part for part, _ in started]


def steps(ledger: Ledger, job_id: str) -> list[tuple[str | None, str]]:
    """Every change of a job's state, from what to what."""
    return [(change["from"], change["to"]) for change in ledger.jobs.history(job_id)]


def pass_time(ledger: Ledger, seconds: float, *columns: Column[Any]) -> None:
    """Move the times in these columns into the past, as if so many seconds had gone by. Where
    leases run out so, this ledger renews none by itself any more.
    """
    if any(column is jobs.c.lease_until for column in columns):
        _renew_no_more(ledger)

    def work(connection: Connection) -> None:
        for column in columns:
            moved = update(column.table).values({column: column - seconds})
            connection.execute(moved)

    ledger.database.write(work)


def _renew_no_more(ledger: Ledger) -> None:
    """End the thread that renews leases. On a slow machine a renewal could fall between a lease's
    end and the moment when the test looks for it.
    """
    ledger.leases._closed.set()
    if ledger.leases._thread is not None:
        ledger.leases._thread.join()


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """The results of acts that threads begin in the same moment."""
    barrier = threading.Barrier(len(acts))

    def begin(act: Callable[[], Any]) -> Any:
        barrier.wait(30)
        return act()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(begin, acts))


def in_processes(act: Callable[..., Result], url: str, arguments: list[Any]) -> list[Result]:
    """The results of ``act(ledger, argument)``, each in a process with a ledger of its own, all
    begun in the same moment.
    """
    with forked.context.Manager() as manager:
        barrier = manager.Barrier(len(arguments))
        with ProcessPoolExecutor(len(arguments), mp_context=forked.context) as processes:
            begun = [processes.submit(_act, act, url, one, barrier) for one in arguments]
            return [one.result(60) for one in begun]


def _act(act: Callable[..., Result], url: str, argument: Any, barrier: Any) -> Result:
    ledger = Ledger(url)
    try:
        barrier.wait(30)
        return act(ledger, argument)
    finally:
        ledger.close()


def answer_lost(ledger: Ledger) -> AbstractContextManager[None]:
    """Within, the next commit is written, but its answer does not come back."""
    return _failing(ledger, lambda connection: connection.connection.commit(), "the answer")


def commit_lost(ledger: Ledger) -> AbstractContextManager[None]:
    """Within, the next commit does not reach the database: nothing of it is written."""
    return _failing(ledger, lambda _connection: None, "the connection")


@contextmanager
def _failing(ledger: Ledger, before: Callable[[Connection], None], what: str) -> Iterator[None]:
    armed = [True]

    def lose(connection: Connection) -> None:
        if armed:
            armed.clear()
            before(connection)
            raise OperationalError("COMMIT", None, ConnectionError(f"{what} was lost"))

    event.listen(ledger.database.engine, "commit", lose)
    try:
        yield
        assert not armed, "nothing was committed"
    finally:
        event.remove(ledger.database.engine, "commit", lose)
