"""Prepared statements: the rows, transactions and errors of any other statement."""

from __future__ import annotations

import re
import time
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from ledger import call_statements
from ledger.core import database, outbox
from ledger.core import waiters as core_waiters
from ledger.core.job import COLUMNS, Job
from ledger.core.prepared import Prepared, by_no_index, one_of, parameter
from ledger.core.schema import calls, jobs, queues
from ledger.ledger import Ledger

from .ledgers import opened

on_postgres = pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)

_MINE = jobs.c.job_id == parameter("job")
FIND = Prepared(select(*COLUMNS).where(_MINE), Job)
CHANGE = Prepared(
    update(jobs)
    .where(_MINE, jobs.c.state.in_(("pending", "waiting")))
    .values(
        result=parameter("result"),
        reason=parameter("reason"),
        cancel_requested=parameter("cancel"),
        error=None,
    )
    .returning(jobs.c.result, jobs.c.reason, jobs.c.cancel_requested)
)
CALL = Prepared(
    insert(calls)
    .values(
        job_id=parameter("job"),
        reserved_on=parameter("day"),
        answer=parameter("answer"),
        receipts=0,
    )
    .returning(calls.c.reserved_on, calls.c.answer, calls.c.platform_phone)
)
QUEUE = Prepared(
    lambda insert_into: (
        insert_into(queues)
        .values(queue=parameter("queue"), last_no=1, taken_no=0)
        .on_conflict_do_update(index_elements=["queue"], set_={"last_no": queues.c.last_no + 1})
        .returning(queues.c.last_no)
    )
)
LISTED = Prepared(
    select(queues.c.queue).where(
        one_of(queues.c.queue, "names"), one_of(by_no_index(queues.c.last_no), "numbers")
    )
)


def test_values_pass_as_through_any_statement(ledger: Ledger) -> None:
    """Documents, booleans, dates, bytes, NULLs and text that no database accepts."""
    job = opened(ledger)

    def work(connection: Connection) -> tuple[Any, Any]:
        given = {"result": {"a": [1, None, "é"]}, "reason": "a\0b\ud83d", "cancel": True}
        changed = CHANGE.row(connection, job=job.job_id, **given)
        day = date(2026, 2, 28)
        return changed, CALL.row(connection, job=job.job_id, day=day, answer=b"\0\xff")

    changed, call = ledger.database.write(work)
    assert changed == ({"a": [1, None, "é"]}, "a\ufffdb?", True)
    assert (call.reserved_on, call.answer, call.platform_phone) == (
        date(2026, 2, 28),
        b"\0\xff",
        None,
    )
    row = ledger.database.read(lambda one: one.execute(select(*COLUMNS)).one())
    assert ledger.database.read(lambda one: FIND.row(one, job=job.job_id)) == Job.of(row)
    assert ledger.database.read(lambda one: FIND.row(one, job="none")) is None


def test_what_a_statement_changed(ledger: Ledger) -> None:
    """The number of rows, and the row of an insert that met another."""
    job = opened(ledger)

    def work(connection: Connection) -> list[Any]:
        given = {"result": None, "reason": None, "cancel": False}
        return [
            CHANGE.run(connection, job="none", **given),
            len(CHANGE.rows(connection, job=job.job_id, **given)),
            QUEUE.value(connection, queue="q"),
            QUEUE.value(connection, queue="q"),
        ]

    assert ledger.database.write(work) == [0, 1, 1, 2]


def test_one_of_a_list(ledger: Ledger) -> None:
    """Texts and numbers are found in a list of any length, and nothing in an empty one."""
    for name in ("a", "é'\"", "c"):
        ledger.database.write(lambda one, name=name: QUEUE.value(one, queue=name))

    def found(names: list[str], numbers: list[int]) -> set[str]:
        def work(connection: Connection) -> set[str]:
            return {row.queue for row in LISTED.rows(connection, names=names, numbers=numbers)}

        return ledger.database.read(work)

    assert found(["a", "é'\"", "none"], [1, 2]) == {"a", "é'\""}
    assert found(["c"] * 1000, [1]) == {"c"}
    assert found(["a", "c"], [2]) == set()
    assert found([], [1]) == set()


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_rows_of_a_list_are_found_by_their_keys(ledger: Ledger) -> None:
    """However many others are due: those that a sweeper claims and discharges, and waiters."""
    dialect = ledger.database.engine.dialect
    for prepared in (*outbox._CLAIMS.values(), outbox._DISCHARGE, core_waiters._CLAIM):
        compiled = str(prepared.statement(dialect).compile(dialect=dialect))
        text = re.sub(r"__\[\w+\]", "NULL", compiled)
        plan = ledger.database.read(
            lambda one, text=text: (
                one.connection.cursor()
                .execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))
                .fetchall()
            )
        )
        assert re.search("PRIMARY KEY|sqlite_autoindex_waiters", plan[0][3]), plan


def test_a_value_that_is_missing(ledger: Ledger) -> None:
    """It is named, and never taken for NULL."""
    with pytest.raises(KeyError, match="reason"):
        ledger.database.write(lambda one: CHANGE.run(one, job="j", result=None, cancel=False))


def test_errors_say_nothing_of_the_values(ledger: Ledger) -> None:
    """They have the classes on which the repeats of a write depend."""
    job = opened(ledger)
    given = {"job": job.job_id, "day": None, "answer": b"secret"}
    ledger.database.write(lambda one: CALL.row(one, **given))
    with pytest.raises(IntegrityError) as refusal:
        ledger.database.write(lambda one: CALL.row(one, **given))
    assert "secret" not in str(refusal.value)
    assert refusal.value.params is None or refusal.value.hide_parameters


def test_a_statement_begins_the_transaction(ledger: Ledger) -> None:
    """A connection that has none begins it as SQLAlchemy does, and gives it up without a commit."""
    with ledger.database.engine.connect() as connection:
        QUEUE.run(connection, queue="q")
        assert connection.in_transaction()
    assert ledger.database.write(lambda one: QUEUE.value(one, queue="q")) == 1


@on_postgres
def test_a_connection_that_breaks_is_never_used_again(ledger: Ledger) -> None:
    """The error is the one that a write repeats, and the pool drops its other connections too."""
    ledger.database.write(lambda one: QUEUE.value(one, queue="q"))
    with ledger.database.engine.connect() as connection:
        _break(connection)
        with pytest.raises(OperationalError):
            QUEUE.value(connection, queue="q")
        assert connection.invalidated
    assert _without_repeats(ledger) == 2


@on_postgres
def test_a_connection_that_broke_while_it_was_idle(ledger: Ledger) -> None:
    """Once it was idle for some seconds, it is tried before its use: nothing has to be repeated."""
    with ledger.database.engine.connect() as connection:
        _break(connection)
    time.sleep(database._FRESH_SECONDS + 0.5)
    # The pool gives out its two connections in turn.
    assert [_without_repeats(ledger) for _ in range(2)] == [1, 2]


def _without_repeats(ledger: Ledger) -> int:
    with ledger.database.engine.begin() as connection:
        return int(QUEUE.value(connection, queue="q"))


def _break(connection: Connection) -> None:
    """Let the server end the session of this connection."""
    session = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    connection.rollback()
    with connection.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:one, 5000)"), {"one": session})


@on_postgres
def test_the_driver_keeps_the_translation_of_every_statement(ledger: Ledger) -> None:
    """It translates a statement again at each run if it is longer than 4096 bytes."""
    dialect = ledger.database.engine.dialect
    for statement in call_statements.STATEMENTS:
        assert len(statement.text(dialect)) <= 4096
