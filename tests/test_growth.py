"""What questions to the ledger cost as it grows, in the database's own units and never in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import insert, update

from config.queues import DUE
from ledger.core import states
from ledger.core.outbox import WEBHOOK
from ledger.core.schema import jobs, obligations, waiters
from ledger.ledger import Ledger

from .bench import filled
from .bench.cost import Meter
from .bench.questions import questions

#: Jobs that have ended, and as many that wait.
FEW, MANY = 1_000, 10_000
ACCOUNTS = 20
#: What a question may cost in any ledger: SQLite's steps, PostgreSQL's blocks.
LITTLE = {"sqlite": 3_000, "postgresql": 150}


@contextmanager
def _measured(ledger: Ledger) -> Iterator[tuple[Ledger, Meter]]:
    """The ledger, opened once more with a meter before its first connection."""
    url = ledger.database.url.render_as_string(hide_password=False)
    # A long lease: no thread of this ledger writes while a question is asked.
    measured = Ledger(url, lease_seconds=3_600)
    try:
        yield measured, Meter(measured.database)
    finally:
        measured.close()


def _fill(ledger: Ledger, many: int, first: int = 0) -> None:
    url = ledger.database.url.render_as_string(hide_password=False)
    filled.fill(url, many, ACCOUNTS, first=first)


def _cost(meter: Meter, ask: Callable[[], object]) -> int:
    """What it costs to ask: the least of three times, since PostgreSQL adds what another session of
    the database did when that session passes its counts on, up to seconds later.
    """
    return min(meter.cost(ask).work for _ in range(3))


def _costs(ledger: Ledger, many: int) -> dict[str, tuple[int, bool]]:
    with _measured(ledger) as (measured, meter):
        found = {}
        for question in questions(measured, many):
            question.ask()  # connections are opened and statements compiled
            found[question.name] = (_cost(meter, question.ask), question.grows)
        return found


def test_no_question_costs_more_than_in_proportion(ledger: Ledger) -> None:
    """In a ledger ten times the size, most questions cost the same, and none costs more than about
    ten times as much.
    """
    little = LITTLE[ledger.database.url.get_backend_name()]
    _fill(ledger, FEW)
    few = _costs(ledger, FEW)
    _fill(ledger, MANY, first=FEW)

    for name, (cost, grows) in _costs(ledger, MANY).items():
        most = few[name][0] * (15 if grows else 2) + little
        assert cost <= most, f"{name}: {few[name][0]} of {FEW} jobs, {cost} of {MANY}"


def _make_all_due(ledger: Ledger) -> None:
    """Make every waiting job due, and every caller of an ended job unanswered."""
    waiting = update(jobs).where(jobs.c.state == states.WAITING)
    asked = update(waiters).where(waiters.c.answered_at.is_not(None))
    ledger.database.write(
        lambda connection: (
            connection.execute(waiting.values(next_attempt_at=1_000.0, hinted_at=None)),
            connection.execute(asked.values(answered_at=None, due_at=1_000.0, attempts=0)),
        ),
        patience_seconds=60,
    )


def _claiming(ledger: Ledger) -> dict[str, int]:
    """What it costs to claim 64 due jobs and 64 answers."""
    _make_all_due(ledger)
    with _measured(ledger) as (measured, meter):
        claims: dict[str, Callable[[], list[Any]]] = {
            "jobs": lambda: measured.wakeups.due(DUE, room=64, queue_is_empty=False),
            "answers": lambda: measured.waiters.due(queue=DUE, limit=64),
        }
        assert [len(claim()) for claim in claims.values()] == [64, 64]
        return {name: _cost(meter, claim) for name, claim in claims.items()}


def test_a_backlog_is_claimed_without_reading_it(ledger: Ledger) -> None:
    """However many jobs are due and callers unanswered, a round reads those that it claims."""
    _fill(ledger, FEW)
    few = _claiming(ledger)
    _fill(ledger, MANY, first=FEW)

    for name, cost in _claiming(ledger).items():
        assert cost <= 2 * few[name] + LITTLE[ledger.database.url.get_backend_name()], name


def _owe_webhooks(ledger: Ledger, count: int) -> None:
    owed = {"job_id": "", "account": "india", "kind": WEBHOOK, "attempts": 0}
    rows = [
        {**owed, "payload": {"cause": f"cause {number}"}, "created_at": 1.0, "due_at": 1.0}
        for number in range(count)
    ]
    ledger.database.write(lambda c: c.execute(insert(obligations), rows), patience_seconds=60)


def test_alerts_that_nobody_takes_are_not_compared_each_with_each(ledger: Ledger) -> None:
    """Ten times as many undelivered alerts cost a round about ten times as much, not a hundred."""
    costs = []
    with _measured(ledger) as (measured, meter):
        for count in (200, 1_800):
            _owe_webhooks(ledger, count)
            assert len(measured.outbox.due(limit=1, webhooks=True)) == 1
            costs.append(_cost(meter, lambda: measured.outbox.due(limit=1, webhooks=True)))

    assert costs[1] <= 15 * costs[0]
