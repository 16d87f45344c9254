"""Statistics for monitoring: few, cheap, and read at one moment.

Monitoring reads them again and again, from ledgers that hold years. So every statement finds its
rows by an index, and reads no finished jobs (tests/test_ledger_stats.py checks the query plans).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from .alerts import CREDENTIALS, DAY
from .core import held, states
from .core.database import Database, now, now_once
from .core.queue_names import in_any_queue
from .core.schema import accounts, alerts, audit, days, jobs, ledger, obligations

#: The word for a backup in the audit of the ledger itself.
BACKED_UP = "backed_up"

_UNFINISHED = (
    states.PENDING,
    states.RUNNING,
    states.SENDING,
    states.WAITING,
    states.NEEDS_DECISION,
)
_NOT_COMPLETE = (
    states.DAY_DUE,
    states.DAY_RUNNING,
    states.DAY_INCOMPLETE,
    states.DAY_GAVE_UP,
    states.DAY_DAMAGED,
)


@dataclass(frozen=True, slots=True)
class Stats:
    """The contents of the ledger at one moment. Ages and rests are in seconds by its clock,
    ``since`` in seconds since 1970. The fields of a row are named in the statements below.
    """

    #: account, kind, state, jobs, takeovers: of jobs that have not ended or need a decision
    jobs: list[Row[Any]]
    #: queue, jobs, age: of jobs that are due and that no worker has claimed
    due: list[Row[Any]]
    #: account, age, jobs: of jobs that need a decision
    decisions: list[Row[Any]]
    #: kind, pending, age
    obligations: list[Row[Any]]
    #: account, state, lacking (whether something is known to be missing), days, since
    days: list[Row[Any]]
    #: account, days, newest: of all days, and the last that was planned
    planned: list[Row[Any]]
    #: account, rests
    accounts: list[Row[Any]]
    #: account
    refused: list[Row[Any]]
    #: kind, alerts: of open alerts
    alerts: list[Row[Any]]
    quarantined: bool
    #: obstacle, account, jobs, since, age: of jobs that are held (`ledger/core/held.py`)
    held: list[Row[Any]] = field(default_factory=list)
    #: account, kind, alerts: of open alerts
    account_alerts: list[Row[Any]] = field(default_factory=list)
    #: account, since: when the account's oldest incomplete day was found to be incomplete
    lacking: list[Row[Any]] = field(default_factory=list)
    #: age: of the newest backup; no row without one
    backups: list[Row[Any]] = field(default_factory=list)

    def complete_days(self) -> dict[str, int]:
        """Return the number of complete days of each account."""
        left = {row.account: row.days for row in self.planned}
        for row in self.days:
            left[row.account] -= row.days
        return left

    def newest_days(self) -> dict[str, date]:
        """Return the last day of each account that was planned or asked for."""
        return {row.account: row.newest for row in self.planned}


def statements() -> dict[str, Select[Any]]:
    """Return the statements, by the fields of `Stats`."""
    return {
        "jobs": _jobs(),
        "due": _due(),
        "decisions": _decisions(),
        "obligations": _obligations(),
        "days": _days(),
        "planned": _planned(),
        "accounts": _accounts(),
        "refused": _refused(),
        "alerts": _alerts(),
        "held": held.statement(),
        "account_alerts": _account_alerts(),
        "lacking": _lacking(),
        "backups": _backups(),
    }


def stats(database: Database, *, patience_seconds: float) -> Stats:
    """Read everything in one transaction that writes nothing. Raises LedgerAway."""

    def look(connection: Connection) -> Stats:
        rows = {
            name: list(connection.execute(statement).all())
            for name, statement in statements().items()
        }
        quarantined = connection.execute(select(ledger.c.quarantined)).scalar_one()
        return Stats(**rows, quarantined=bool(quarantined))

    return database.read(look, patience_seconds=patience_seconds, at_one_moment=True)


def _jobs() -> Select[Any]:
    c = jobs.c
    return (
        select(
            c.account,
            c.kind,
            c.state,
            func.count().label("jobs"),
            func.sum(c.takeovers).label("takeovers"),
        )
        .where(c.state.in_(_UNFINISHED))
        .group_by(c.account, c.kind, c.state)
    )


def _due() -> Select[Any]:
    c = jobs.c
    age = now() - func.min(c.next_attempt_at)
    return (
        select(c.queue, func.count().label("jobs"), age.label("age"))
        .where(c.state.in_(states.OPEN), in_any_queue(), c.next_attempt_at <= now_once())
        .group_by(c.queue)
    )


def _decisions() -> Select[Any]:
    since = (
        select(func.min(audit.c.at))
        .where(audit.c.job_id == jobs.c.job_id, audit.c.to_state == states.NEEDS_DECISION)
        .scalar_subquery()
    )
    each = (
        select(jobs.c.account, since.label("since"))
        .where(jobs.c.state == states.NEEDS_DECISION)
        .subquery()
    )
    age = now() - func.min(each.c.since)
    return select(each.c.account, func.count().label("jobs"), age.label("age")).group_by(
        each.c.account
    )


def _obligations() -> Select[Any]:
    c = obligations.c
    age = now() - func.min(c.created_at)
    return (
        select(c.kind, func.count().label("pending"), age.label("age"))
        .where(c.discharged_at.is_(None))
        .group_by(c.kind)
    )


def _lacks() -> ColumnElement[bool]:
    c = days.c
    # A later try does not make a day whole: the day lacks something until the try has succeeded.
    tried_again = and_(c.state == states.DAY_RUNNING, c.generation > 1, c.completed_by.is_(None))
    missed = c.state.in_((states.DAY_INCOMPLETE, states.DAY_GAVE_UP, states.DAY_DAMAGED))
    return or_(missed, tried_again)


def _days() -> Select[Any]:
    c = days.c
    lacking = case((_lacks(), 1), else_=0).label("lacking")
    return (
        select(
            c.account,
            c.state,
            lacking,
            func.count().label("days"),
            func.min(c.window_start).label("since"),
        )
        .where(c.state.in_(_NOT_COMPLETE))
        .group_by(c.account, c.state, lacking)
    )


def _lacking() -> Select[Any]:
    """Return since when each account has had its oldest incomplete day.

    That is when the day's alert was opened, which later failures and a person's --close leave as it
    is. A day that was missed or damaged may share the alert of a span of days. Without an alert it
    is the end of the day's last export.
    """
    c, own, span = days.c, alerts.alias("own"), alerts.alias("span").c
    of_day = and_(
        own.c.cause == literal(f"{DAY}:") + c.account + ":" + cast(c.day, String),
        or_(own.c.closed_at.is_(None), own.c.closed_by.is_not(None)),
    )
    shared = (
        select(func.min(span.opened_at))
        .where(
            span.closed_at.is_(None),
            span.kind == DAY,
            span.account == c.account,
            span.cause.contains(".."),
            c.state.in_((states.DAY_GAVE_UP, states.DAY_DAMAGED)),
        )
        .scalar_subquery()
    )
    failed = (
        select(jobs.c.updated_at)
        .where(jobs.c.job_id == c.job_id, jobs.c.state == states.FAILED)
        .scalar_subquery()
    )
    since = func.min(func.coalesce(own.c.opened_at, shared, failed, c.window_end))
    return (
        select(c.account, since.label("since"))
        .outerjoin_from(days, own, of_day)
        .where(c.state.in_(_NOT_COMPLETE), _lacks())
        .group_by(c.account)
    )


def _planned() -> Select[Any]:
    c = days.c
    newest = func.max(c.day).label("newest")
    return select(c.account, func.count().label("days"), newest).group_by(c.account)


def _accounts() -> Select[Any]:
    c = accounts.c
    rests = case((c.postponed_until > now(), c.postponed_until - now()), else_=0.0)
    return select(c.alias.label("account"), rests.label("rests"))


def _refused() -> Select[Any]:
    c = alerts.c
    return select(c.account).where(c.closed_at.is_(None), c.kind == CREDENTIALS)


def _alerts() -> Select[Any]:
    c = alerts.c
    counted = select(c.kind, func.count().label("alerts"))
    return counted.where(c.closed_at.is_(None)).group_by(c.kind)


def _account_alerts() -> Select[Any]:
    c = alerts.c
    counted = select(c.account, c.kind, func.count().label("alerts"))
    return counted.where(c.closed_at.is_(None)).group_by(c.account, c.kind)


def _backups() -> Select[Any]:
    # The audit under the ledger's own identity is short, and found by the index of `job_id`.
    c = audit.c
    newest = (
        select(func.max(c.at).label("at"))
        .where(c.job_id == select(ledger.c.identity).scalar_subquery())
        .where(c.to_state == BACKED_UP)
        .subquery()
    )
    return select((now_once() - newest.c.at).label("age")).where(newest.c.at.is_not(None))
