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
from tests.waiting import eventually

#: What the audit of calls tells, as often as there are calls.
_LINES = ("opened in the audit", "begun in the audit", "done in the audit", "sent in the audit")
#: How long the outbox may take.
_PATIENCE_SECONDS = 900


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
    receipts = set(house.store.paths(f"{account}/certified-calls/"))
    return {
        **jobs_done(house),
        **_audit(house),
        "owed": owed(house),
        "receipts": len(receipts),
        "receipts under the chain": len(receipts & under_chain(house, account)),
    }


def jobs_done(house: Deployment) -> dict[str, int]:
    """Count the jobs of a deployment's ledger, and the callers that wait for them."""
    return {
        "jobs": jobs_in(house),
        "done": number(house, _count(jobs, jobs.c.state == states.DONE)),
        "waiters": number(house, select(func.count()).select_from(waiters)),
        "unanswered": unanswered(house),
    }


def expected_of(calls: int) -> dict[str, int]:
    """Return what `calls_left` counts after so many certified calls, each placed once."""
    each = ("jobs", "done", "waiters", "receipts", "receipts under the chain", *_LINES)
    return {**dict.fromkeys(each, calls), "unanswered": 0, "owed": 0}


def under_chain(house: Deployment, account: str) -> set[str]:
    """Return the paths of the files that an account's chain covers."""
    store = house.store
    entries = (chain.read(store, account, number) for number in chain.numbers(store, account))
    return {one.path for entry in entries for one in entry.entries}


def settle(house: Deployment) -> None:
    """Wait until every receipt and chain entry that a deployment owes is there, and every answer
    noted.
    """
    eventually(
        lambda: not owed(house) and not unanswered(house),
        within=_PATIENCE_SECONDS,
        what="the outbox was not emptied, or callers were not answered,",
    )


def number(house: Deployment, statement: Select[Any]) -> int:
    """Return the one number that a statement selects from a deployment's ledger."""
    return house.ledger.database.read(lambda c: int(c.execute(statement).scalar_one()))


def owed(house: Deployment) -> int:
    """Return how many obligations a deployment's ledger has not discharged."""
    return number(house, _count(obligations, obligations.c.discharged_at.is_(None)))


def unanswered(house: Deployment) -> int:
    """Return how many callers a deployment's ledger has not answered."""
    return number(house, _count(waiters, waiters.c.answered_at.is_(None)))


def jobs_in(house: Deployment) -> int:
    """Return how many jobs a deployment's ledger has."""
    return number(house, select(func.count()).select_from(jobs))


def _count(table: Any, condition: Any) -> Select[Any]:
    return select(func.count()).select_from(table).where(condition)


def _audit(house: Deployment) -> dict[str, int]:
    """Count the audit lines of calls: each was opened, begun, sent and done once, but for those
    that went back to wait before a byte had left, each of which was begun once more.
    """
    statement = select(audit.c.to_state, func.count()).group_by(audit.c.to_state)
    read = house.ledger.database.read(lambda c: c.execute(statement).all())
    lines = {str(state): int(times) for state, times in read}
    sent = select(func.count(audit.c.job_id.distinct())).where(audit.c.to_state == states.SENDING)
    opened, begun, ended, jobs_sent = _LINES
    return {
        opened: lines.get(states.PENDING, 0),
        begun: lines.get(states.RUNNING, 0) - lines.get(states.WAITING, 0),
        ended: lines.get(states.DONE, 0),
        jobs_sent: number(house, sent),
    }
