"""Connections to PostgreSQL that stay open for steps of one statement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import ProgrammingError

from ledger.core.database import once_committed
from ledger.core.kept_connections import KeptConnections
from ledger.core.schema import audit
from ledger.ledger import Ledger

pytestmark = pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)

THREADS, STEPS = 40, 5


@pytest.fixture
def opened(ledger: Ledger) -> Iterator[list[None]]:
    """One element for each connection that is opened."""
    seen: list[None] = []

    def note(_connection: Any, _record: Any) -> None:
        seen.append(None)

    event.listen(ledger.database.engine, "connect", note)
    yield seen
    event.remove(ledger.database.engine, "connect", note)


def step(connection: Connection) -> int:
    """Write a row; return the session that wrote it."""
    row = {"job_id": "0b5e", "at": 0.0, "to_state": "pending", "by": "test", "why": ""}
    connection.execute(insert(audit).values(**row))
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def never(_connection: Connection) -> int:
    """Must not be needed."""
    raise AssertionError("the step was not done at once")


def write(ledger: Ledger) -> int:
    """Write a row in a single statement, however long its turn takes; return the session."""
    return ledger.database.write(never, at_once=step, patience_seconds=60)


def kill(ledger: Ledger, session: int) -> None:
    """Let the server end a session."""
    end = text("SELECT pg_terminate_backend(:one, 5000)")
    ledger.database.write(lambda connection: connection.execute(end, {"one": session}))


def test_few_connections_serve_many_threads_and_stay(ledger: Ledger, opened: list[None]) -> None:
    """Each step is done once, and after a while none opens a connection."""
    together = threading.Barrier(THREADS)
    sessions: list[int] = []

    def run() -> None:
        together.wait()
        sessions.extend(write(ledger) for _ in range(STEPS))

    for _ in range(2):
        threads = [threading.Thread(target=run) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sessions) == 2 * THREADS * STEPS
    assert len(set(sessions)) <= 12
    assert len(opened) <= 12
    rows = ledger.database.read(lambda c: len(c.execute(select(audit.c.id)).all()))
    assert rows == len(sessions)


def test_a_session_that_the_server_ended_costs_no_step(ledger: Ledger) -> None:
    """The step is done by the general way, once, and the next one over a new connection."""
    session = write(ledger)
    kill(ledger, session)
    assert ledger.database.write(lambda c: -step(c), at_once=step) < 0
    assert write(ledger) != session


def test_an_idle_connection_is_tried_before_it_is_used(ledger: Ledger) -> None:
    """One that the server has ended meanwhile is replaced."""
    kept = KeptConnections(
        ledger.database.engine.execution_options(isolation_level="AUTOCOMMIT"), fresh_seconds=0
    )
    session = kept.written(step, 5)
    assert kept.written(step, 5) == session
    assert session is not None
    kill(ledger, session)
    assert kept.written(step, 5) not in (None, session)
    kept.close()


def test_what_follows_a_commit_happens_once_it_is_there(ledger: Ledger) -> None:
    """And not at all after a step that failed, whose connection serves no other."""
    told: list[str] = []

    def fails(connection: Connection) -> int:
        once_committed(connection, lambda: told.append("failed"))
        connection.execute(text("SELECT no_such_column"))
        return 0

    def succeeds(connection: Connection) -> int:
        once_committed(connection, lambda: told.append("done"))
        return step(connection)

    with pytest.raises(ProgrammingError):
        ledger.database.write(never, at_once=fails)
    assert told == []
    ledger.database.write(never, at_once=succeeds)
    assert told == ["done"]


def test_when_all_are_in_use_a_step_is_done_the_general_way(ledger: Ledger) -> None:
    """It waits for a while and is not lost."""
    leave, inside = threading.Event(), threading.Semaphore(0)

    def stay(connection: Connection) -> int:
        inside.release()
        leave.wait(30)
        return step(connection)

    def hold() -> None:
        ledger.database.write(never, at_once=stay)

    threads = [threading.Thread(target=hold) for _ in range(12)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    general: Callable[[Connection], int] = lambda c: -step(c)  # noqa: E731
    assert ledger.database.write(general, at_once=step, patience_seconds=0.2) < 0
    leave.set()
    for thread in threads:
        thread.join()
