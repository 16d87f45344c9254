"""Proof that a benchmark did what it measured: every row and file that its work must leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from sqlalchemy import Select, func, select

from archive import chain
from ledger.core import states
from ledger.core.schema import audit, jobs, obligations, waiters
from tests.deployment import Deployment

#: The audit lines of a certified call that the provider accepted.
CALL_AUDIT = {states.RUNNING: 1, states.PENDING: 1, states.SENDING: 1, states.DONE: 1}


class Missing(click.ClickException):
    """Something that a benchmark's work must leave is not there, so its figures count nothing."""


def compare(what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> dict[str, int]:
    """Return the counts that were found. Raises Missing if one differs from what is expected."""
    wrong = [
        f"{found.get(name, 0)} {name}, expected {number}"
        for name, number in expected.items()
        if found.get(name, 0) != number
    ]
    if wrong:
        raise Missing(f"{what}: {'; '.join(wrong)}. The run's figures are void.")
    return dict(found)


def calls_left(house: Deployment, account: str) -> dict[str, int]:
    """Count what certified calls left in a deployment's ledger and archive."""
    owed = obligations.c.discharged_at.is_(None)
    unanswered = waiters.c.answered_at.is_(None)
    store = house.store
    receipts = set(store.paths(f"{account}/certified-calls/"))
    entries = [chain.read(store, account, number) for number in chain.numbers(store, account)]
    covered = [one.path for entry in entries for one in entry.entries if one.path in receipts]
    return {
        "jobs": number(house, select(func.count()).select_from(jobs)),
        "done": number(house, _count(jobs, jobs.c.state == states.DONE)),
        **_audit(house),
        "waiters": number(house, select(func.count()).select_from(waiters)),
        "unanswered": number(house, _count(waiters, unanswered)),
        "owed": number(house, _count(obligations, owed)),
        "receipts": len(receipts),
        "receipts under the chain": len(set(covered)),
    }


def expected_of(calls: int) -> dict[str, int]:
    """Return what `calls_left` counts after so many certified calls, each placed once."""
    lines = {f"audit lines to {state}": times * calls for state, times in CALL_AUDIT.items()}
    each = ("jobs", "done", "waiters", "receipts", "receipts under the chain")
    return {**dict.fromkeys(each, calls), **lines, "unanswered": 0, "owed": 0}


def number(house: Deployment, statement: Select[Any]) -> int:
    """Return the one number that a statement selects from a deployment's ledger."""
    return house.ledger.database.read(lambda c: int(c.execute(statement).scalar_one()))


def owed(house: Deployment) -> int:
    """Return how many obligations a deployment's ledger has not discharged."""
    return number(house, _count(obligations, obligations.c.discharged_at.is_(None)))


def _count(table: Any, condition: Any) -> Select[Any]:
    return select(func.count()).select_from(table).where(condition)


def _audit(house: Deployment) -> dict[str, int]:
    statement = select(audit.c.to_state, func.count()).group_by(audit.c.to_state)
    lines = house.ledger.database.read(lambda c: c.execute(statement).all())
    return {f"audit lines to {state}": int(times) for state, times in lines}
