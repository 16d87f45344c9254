"""Alerts: people are told once of a cause, and once more when it is over.

A cause is a row. Opening one that is open already only counts; one that was closed and comes again
is a new alert. Both happen in the transaction of the change of state that they belong to.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, select, update
from sqlalchemy.dialects import postgresql, sqlite

from .database import Database, now
from .job import iso
from .obligations import owe
from .schema import alerts

DECISION = "decision"
JOB = "job"
DAY = "day"
CREDENTIALS = "credentials"
CONTRADICTION = "contradiction"
VERIFICATION = "verification"
QUARANTINE = "quarantine"

#: Stands in place of an account's alias: for all accounts, or for what belongs to none.
EVERY_ACCOUNT = "*"

OPEN = "open"
RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """What people are to be told: ``cause`` names it for ever, ``kind`` is one of those above;
    ``job_id`` is the job that met it last, None where it was none.
    """

    cause: str
    kind: str
    account: str
    message: str
    job_id: str | None = None


def credentials_cause(alias: str) -> str:
    """The cause that a provider refuses the credentials of an account."""
    return f"{CREDENTIALS}:{alias}"


def archive_contradiction(path: str, account: str, message: str, job_id: str | None) -> Alert:
    """That something else stands in the archive than what was to be kept there."""
    return Alert(f"{CONTRADICTION}:archive:{path}", CONTRADICTION, account, message, job_id)


def open_alert(connection: Connection, alert: Alert) -> bool:
    """Note that a cause is there, and owe the word of it where it is news; whether it is."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    c = alerts.c
    said = {
        "kind": alert.kind,
        "account": alert.account,
        "job_id": alert.job_id,
        "message": alert.message,
        "last_at": now(),
    }
    again = c.closed_at.is_not(None)
    row = connection.execute(
        dialect.insert(alerts)
        .values(cause=alert.cause, opened_at=now(), repeated=0, **said)
        .on_conflict_do_update(
            index_elements=["cause"],
            set_={
                **said,
                "opened_at": case((again, now()), else_=c.opened_at),
                "repeated": case((again, 0), else_=c.repeated + 1),
                "closed_at": None,
            },
        )
        .returning(*c)
    ).one()
    if row.repeated:
        return False
    _owe(connection, row, OPEN)
    return True


def close_alerts(connection: Connection, causes: Collection[str]) -> int:
    """Note that these causes are over, and owe the word of each that was open; how many were."""
    return _close(connection, alerts.c.cause.in_(causes))


def close_kind(connection: Connection, kind: str, account: str | None, *, but: str = "") -> int:
    """Note that every cause of a kind is over, of one account or of all, ``but`` this one."""
    mine = [] if account is None else [alerts.c.account == account]
    return _close(connection, alerts.c.kind == kind, alerts.c.cause != but, *mine)


def _close(connection: Connection, *which: ColumnElement[bool]) -> int:
    rows = connection.execute(
        update(alerts)
        .where(*which, alerts.c.closed_at.is_(None))
        .values(closed_at=now())
        .returning(*alerts.c)
    ).all()
    for row in rows:
        _owe(connection, row, RESOLVED)
    return len(rows)


def _owe(connection: Connection, row: Row[Any], state: str) -> None:
    payload = {
        # The same with every attempt to send it, so that the receiver can tell a repetition.
        "id": str(uuid.uuid4()),
        "state": state,
        "cause": row.cause,
        "kind": row.kind,
        "account": row.account,
        "job_id": row.job_id,
        "message": row.message,
        "since": iso(row.opened_at),
        "repeated": row.repeated,
    }
    owe(connection, row.job_id or "", row.account, "alert", payload)


class Alerts:
    """Alerts that no change of a job's state brings with it, and those that are open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, alert: Alert) -> bool:
        """Note that a cause is there; whether it is news. Raises LedgerAway."""
        return self._database.write(lambda connection: open_alert(connection, alert))

    def close(self, cause: str) -> bool:
        """Note that a cause is over; whether it was open. Nothing is written where it was not.
        Raises LedgerAway.
        """
        known = select(alerts.c.cause).where(alerts.c.cause == cause, alerts.c.closed_at.is_(None))
        if self._database.read(lambda connection: connection.execute(known).first()) is None:
            return False
        return bool(self._database.write(lambda connection: close_alerts(connection, [cause])))

    def all_open(self) -> list[dict[str, Any]]:
        """Every cause that is open, the oldest first, with the columns of its row."""
        wanted = select(*alerts.c).where(alerts.c.closed_at.is_(None)).order_by(alerts.c.opened_at)
        return self._database.read(
            lambda connection: [dict(row._mapping) for row in connection.execute(wanted)]  # noqa: SLF001
        )
