"""The ledger's figures: they say what is there, and cost the same however much has ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from config.queues import DOWNLOADS
from ledger.alerts import CREDENTIALS, Alert
from ledger.core import states
from ledger.core.job import Job
from ledger.core.schema import audit, days, jobs, obligations
from ledger.core.transitions import cancel_open, end_listeners
from ledger.ledger import Ledger
from ledger.stats import Stats, statements

from .ledger_calls import its_worker_dies, undecided
from .ledgers import ended, opened, pass_time, running

#: On PostgreSQL fewer show the same, and an insert takes its time.
FINISHED = {"sqlite": 100_000, "postgresql": 20_000}
#: What grows for years: no statement may go through the whole of one of these.
GROWING = ("jobs", "audit", "obligations")


def figures(ledger: Ledger) -> Stats:
    """What people watch of it."""
    return ledger.stats(patience_seconds=5)


def day(account: str, number: int, state: str, **given: Any) -> dict[str, Any]:
    """A row of the table of days."""
    return {
        "account": account,
        "day": date(2026, 11, number),
        "window_start": 86_400.0 * number,
        "window_end": 86_400.0 * (number + 1),
        "filters": {},
        "settle_seconds": 0,
        "timezone": "Asia/Kolkata",
        "state": state,
        "generation": 1,
        "completed_by": None,
        "listings": 0,
        **given,
    }


def test_jobs_are_counted_until_they_end(ledger: Ledger) -> None:
    """Jobs by account, kind and state; those that ended are counted no more, and one that needs a
    decision is; what is due, and for how long, is told by queue.
    """
    undecided(ledger, "call")
    ended(ledger, "over")
    running(ledger, "runs")
    for name in ("waits", "waits too"):
        opened(ledger, name, queue=DOWNLOADS)
    pass_time(ledger, 700, jobs.c.next_attempt_at, audit.c.at)

    seen = figures(ledger)

    counted = {(row.account, row.kind, row.state): row.jobs for row in seen.jobs}
    assert counted == {
        ("india", "export.create", "running"): 1,
        ("india", "export.create", "pending"): 2,
        ("legal", "certified_call.request", "needs_decision"): 1,
    }
    (due,) = seen.due
    assert (due.queue, due.jobs) == (DOWNLOADS, 2)
    assert due.age == pytest.approx(700, abs=60)
    (decision,) = seen.decisions
    assert (decision.account, decision.jobs) == ("legal", 1)
    assert decision.age == pytest.approx(700, abs=60)
    assert not seen.quarantined


def test_dead_workers_are_counted_over_jobs_that_go_on(ledger: Ledger) -> None:
    """A job that killed two workers shows two takeovers until it ends."""
    job, _ = running(ledger)
    for _ in range(2):
        its_worker_dies(ledger)
        ledger.lease_expiry.take_from_the_dead()
        ledger.execution.claim(job.job_id)
    assert [row.takeovers for row in figures(ledger).jobs] == [2]

    ledger.operator_actions.cancel(job.job_id, by="test")
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    assert figures(ledger).jobs == []


def test_what_is_owed_is_told_by_kind(ledger: Ledger) -> None:
    """What was discharged is not counted; of the rest, how much and since when."""
    for kind in ("chain", "chain", "notify"):
        ledger.outbox.owe("job", "india", kind, {})
    pass_time(ledger, 1_000, obligations.c.created_at)
    ledger.outbox.owe("job", "india", "chain", {})
    (notify,) = [one for one in ledger.outbox.due(limit=9) if one.kind == "notify"]
    ledger.outbox.discharged([notify.id])

    (row,) = figures(ledger).obligations

    assert (row.kind, row.pending) == ("chain", 3)
    assert row.age == pytest.approx(1_000, abs=60)


def test_a_day_lacks_something_until_it_does_not(ledger: Ledger) -> None:
    """Days by account and state. An incomplete day is counted as such while it is tried again; one
    that was complete and is only looked at again is not.
    """
    rows = [
        day("india", 1, states.DAY_COMPLETE, completed_by="job"),
        day("india", 2, states.DAY_COMPLETE, completed_by="job"),
        day("india", 3, states.DAY_RUNNING, completed_by="job", generation=2),
        day("india", 4, states.DAY_RUNNING, generation=3),
        day("india", 5, states.DAY_RUNNING),
        day("india", 6, states.DAY_INCOMPLETE),
        day("india", 7, states.DAY_GAVE_UP),
        day("branch", 9, states.DAY_DUE),
    ]
    ledger.database.write(lambda connection: connection.execute(insert(days), rows))

    seen = figures(ledger)

    assert seen.complete_days() == {"india": 2, "branch": 0}
    assert seen.newest_days() == {"india": date(2026, 11, 7), "branch": date(2026, 11, 9)}
    lacking = [row for row in seen.days if row.lacking]
    assert {row.account for row in lacking} == {"india"}
    assert sum(row.days for row in lacking) == 3
    assert min(row.since for row in lacking) == 86_400 * 4


def test_accounts_that_rest_are_told(ledger: Ledger) -> None:
    """For how long an account rests, and what people were told of it; quarantine is told too."""
    ledger.accounts.postpone("india", 600, "the provider asked to wait")
    ledger.alerts.open(Alert("credentials:india", CREDENTIALS, "india", "refused"))
    ledger.alerts.open(Alert("credentials:branch", CREDENTIALS, "branch", "refused"))
    ledger.alerts.close("credentials:branch")
    ledger.accounts.postpone("branch", -1, "it is over")
    ledger.identity.quarantine()

    seen = figures(ledger)

    assert {row.account: round(row.rests, -2) for row in seen.accounts} == {
        "india": 600,
        "branch": 0,
    }
    assert [row.account for row in seen.refused] == ["india"]
    assert {row.kind: row.alerts for row in seen.alerts} == {"credentials": 1, "quarantine": 1}
    assert seen.quarantined


@pytest.fixture
def told() -> Iterator[list[Job]]:
    """Every job whose end listeners are told, while another listener fails."""
    seen: list[Job] = []

    def broken(_: Job) -> None:
        raise RuntimeError

    both: list[Callable[[Job], None]] = [broken, seen.append]
    end_listeners.extend(both)
    yield seen
    for one in both:
        end_listeners.remove(one)


def test_every_end_is_told_once_and_only_when_it_is_committed(
    ledger: Ledger, told: list[Job]
) -> None:
    """Done, cancelled, undecided and resolved: each is told once, after its commit; of an end that
    was rolled back nothing is told.
    """
    done = ended(ledger, "done")
    cancelled = opened(ledger, "cancelled")
    ledger.operator_actions.cancel(cancelled.job_id, by="test")
    unknown, _ = undecided(ledger, "call")
    ledger.operator_actions.resolve(unknown.job_id, placed=True, by="ana", note="seen")
    assert [(job.job_id, job.state) for job in told] == [
        (done.job_id, "done"),
        (cancelled.job_id, "cancelled"),
        (unknown.job_id, "needs_decision"),
        (unknown.job_id, "done"),
    ]

    other = opened(ledger, "never")

    def undone(connection: Connection) -> None:
        cancel_open(connection, other.job_id, "pending", by="test", why="test")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ledger.database.write(undone)
    ledger.execution.claim(other.job_id)
    assert len(told) == 4


def finish_many(ledger: Ledger) -> None:
    """As many finished jobs, changes and discharged obligations as years bring."""
    opened(ledger, "template")
    ledger.outbox.owe("job", "india", "chain", {})
    many = FINISHED[ledger.database.url.get_backend_name()]
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})"

    def copied(table: Any, **changed: str) -> str:
        names = [column.name for column in table.columns if column.name != "id"]
        values = ", ".join(changed.get(name, name) for name in names)
        return (
            f"INSERT INTO {table.name} ({', '.join(_quoted(names))}) {numbers} "
            f"SELECT {values} FROM n CROSS JOIN (SELECT * FROM {table.name} LIMIT 1) one"
        )

    def work(connection: Connection) -> None:
        if not ledger.database.is_sqlite:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        name = "CAST(i AS VARCHAR(36))"
        over = {"state": "'done'", "next_attempt_at": "NULL"}
        connection.execute(text(copied(jobs, job_id=name, request_id=name, **over)))
        connection.execute(text(copied(audit, by='"by"', job_id=name)))
        connection.execute(text(copied(obligations, discharged_at="1.0")))

    ledger.database.write(work, patience_seconds=60)


def _quoted(names: list[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def plans(ledger: Ledger) -> dict[str, str]:
    """How the database reads each statement."""
    explain = "EXPLAIN QUERY PLAN"
    if not ledger.database.is_sqlite:
        explain = "EXPLAIN (ANALYZE, FORMAT JSON)"

    def work(connection: Connection) -> dict[str, str]:
        found = {}
        for name, statement in statements().items():
            compiled = statement.compile(connection.engine, compile_kwargs={"literal_binds": True})
            rows = connection.exec_driver_sql(f"{explain} {compiled}".replace("%", "%%")).all()
            found[name] = json.dumps([list(row) for row in rows], default=str)
        return found

    return ledger.database.read(work)


def test_a_hundred_thousand_finished_jobs_are_not_looked_at(ledger: Ledger) -> None:
    """With 100,000 jobs that have ended, their histories and what was pending for them, no
    statement reads one of these tables as a whole: each finds its few rows by an index.
    """
    undecided(ledger, "call")
    running(ledger, "runs")
    finish_many(ledger)
    if not ledger.database.is_sqlite:
        # As PostgreSQL does by itself after many changes.
        ledger.database.write(lambda connection: connection.execute(text("ANALYZE")))

    for name, plan in plans(ledger).items():
        if ledger.database.is_sqlite:
            assert not [table for table in GROWING if f"SCAN {table}" in plan], (name, plan)
        else:
            read = list(nodes(json.loads(plan)[0][0][0]["Plan"]))
            scanned = {one["Relation Name"] for one in read if one["Node Type"] == "Seq Scan"}
            assert not scanned & set(GROWING), (name, plan)
            assert max(one["Actual Rows"] for one in read) < 100, (name, plan)
    assert sum(row.jobs for row in figures(ledger).jobs) == 3


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of one of PostgreSQL's plans."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)
