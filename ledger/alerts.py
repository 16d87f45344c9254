"""Alerts: people learn once that a cause exists, and once more that the cause is over.

Each cause is a row. Opening an open cause only counts a repeat; opening a closed cause is a new
alert. Both happen in the transaction of the change of state that they belong to. A person closes
the alerts that no change of state ends.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, case, select, update

from .core import states
from .core.database import Database, insert_into, now
from .core.job import iso
from .core.outbox import owe
from .core.prepared import Prepared, parameter
from .core.schema import alerts, jobs, ledger
from .errors import NotPossible

DECISION = "decision"
JOB = "job"
NOTIFICATION = "notification"
DAY = "day"
CREDENTIALS = "credentials"
CONTRADICTION = "contradiction"
VERIFICATION = "verification"
QUARANTINE = "quarantine"
UNUSUAL = "unusual"
ARCHIVE = "archive"
MESSAGE = "message"
HELD = "held"
REDIS = "redis"

#: All kinds of alerts.
KINDS = (
    ARCHIVE,
    CONTRADICTION,
    CREDENTIALS,
    DAY,
    DECISION,
    HELD,
    JOB,
    MESSAGE,
    NOTIFICATION,
    QUARANTINE,
    REDIS,
    UNUSUAL,
    VERIFICATION,
)

#: Stands for an account's alias in alerts about all accounts or about no account.
EVERY_ACCOUNT = "*"

OPEN = "open"
RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert for people.

    ``cause`` is the alert's permanent name, ``kind`` is one of those above, and ``job_id`` is the
    last job that met the cause, None if no job did.
    """

    cause: str
    kind: str
    account: str
    message: str
    job_id: str | None = None


def credentials_cause(alias: str) -> str:
    """Return the cause of an account whose credentials the provider refuses."""
    return f"{CREDENTIALS}:{alias}"


def archive_contradiction(path: str, account: str, message: str, job_id: str | None) -> Alert:
    """Return the alert for an archive path that holds something else than the job would keep."""
    return Alert(f"{CONTRADICTION}:archive:{path}", CONTRADICTION, account, message, job_id)


def open_alert(connection: Connection, alert: Alert) -> bool:
    """Open the alert or count a repeat, and owe a notification for a new one; return whether the
    alert is new.
    """
    c = alerts.c
    latest = {
        "kind": alert.kind,
        "account": alert.account,
        "job_id": alert.job_id,
        "message": alert.message,
        "last_at": now(),
    }
    again = c.closed_at.is_not(None)
    row = connection.execute(
        insert_into(connection, alerts)
        .values(cause=alert.cause, opened_at=now(), repeated=0, **latest)
        .on_conflict_do_update(
            index_elements=["cause"],
            set_={
                **latest,
                "opened_at": case((again, now()), else_=c.opened_at),
                "repeated": case((again, 0), else_=c.repeated + 1),
                "closed_at": None,
                "closed_by": None,
                "closed_note": None,
            },
        )
        .returning(*c)
    ).one()
    if row.repeated:
        return False
    _owe(connection, row, OPEN)
    return True


def close_alerts(connection: Connection, causes: Collection[str]) -> int:
    """Close these causes and owe a notification for each that was open; return how many were."""
    named = {f"cause_{n}": cause for n, cause in enumerate(causes)}
    rows = _closing_causes(len(named)).rows(connection, **named)
    for row in rows:
        _owe(connection, row, RESOLVED)
    return len(rows)


@functools.lru_cache(maxsize=8)
def _closing_causes(count: int) -> Prepared[Any]:
    named = [parameter(f"cause_{n}", alerts.c.cause.type) for n in range(count)]
    return Prepared(_closing(alerts.c.cause.in_(named)))


def close_kind(connection: Connection, kind: str, account: str | None, *, but: str = "") -> int:
    """Close every cause of a kind, of one account or of all, except ``but``."""
    mine = [] if account is None else [alerts.c.account == account]
    return len(_close(connection, alerts.c.kind == kind, alerts.c.cause != but, *mine))


def _close(
    connection: Connection,
    *which: ColumnElement[bool],
    by: str | None = None,
    note: str | None = None,
) -> list[Row[Any]]:
    rows = connection.execute(_closing(*which, by=by, note=note)).all()
    for row in rows:
        _owe(connection, row, RESOLVED)
    return list(rows)


def _closing(*which: ColumnElement[bool], by: str | None = None, note: str | None = None) -> Update:
    return (
        update(alerts)
        .where(*which, alerts.c.closed_at.is_(None))
        .values(closed_at=now(), closed_by=by, closed_note=note)
        .returning(*alerts.c)
    )


def _locked(connection: Connection, cause: str) -> Row[Any]:
    """Return the row of a cause, locked against other changes until this transaction ends."""
    locked = select(*alerts.c).where(alerts.c.cause == cause).with_for_update()
    row = connection.execute(locked).one_or_none()
    if row is None:
        raise NotPossible(
            f"not done: there is no alert {cause!r}; to list the open alerts, run: "
            "earwitness alerts"
        )
    return row


def _refuse_unresolved(connection: Connection, row: Row[Any]) -> None:
    """Raise NotPossible if the alert is closed already, or reports a state that still lasts."""
    if row.closed_at is not None:
        who = "automatically" if row.closed_by is None else f"by {row.closed_by}"
        raise NotPossible(
            f"not done: alert {row.cause} is not open; it was closed {who} at {iso(row.closed_at)}"
        )
    if row.kind == DECISION and _undecided(connection, row.job_id):
        raise NotPossible(
            f"not done: the call of alert {row.cause} still needs a decision; to decide and close "
            f"the alert, run: earwitness resolve {row.job_id} --placed|--not-placed "
            "--by WHO --note WHY"
        )
    if row.kind == QUARANTINE and connection.execute(select(ledger.c.quarantined)).scalar_one():
        raise NotPossible(
            f"not done: the ledger is still in quarantine; to lift it and close alert {row.cause}, "
            "run: earwitness quarantine --lift --by WHO --note WHY"
        )


def _was_closed(row: Row[Any], closed: Row[Any]) -> bool:
    """Return whether an earlier run of this transaction closed the cause, but its commit's answer
    was lost. The cause may be open again since then.
    """
    return bool(row.opened_at != closed.opened_at or row.closed_at == closed.closed_at)


def _undecided(connection: Connection, job_id: str) -> bool:
    wanted = select(jobs.c.state).where(jobs.c.job_id == job_id)
    return connection.execute(wanted).scalar_one_or_none() == states.NEEDS_DECISION


def _owe(connection: Connection, row: Row[Any], state: str) -> None:
    payload = {
        # Every attempt to send the alert carries the same id, so that the receiver can detect
        # repeats.
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
    if state == RESOLVED:
        payload |= {"closed_by": row.closed_by, "note": row.closed_note}
    owe(connection, row.job_id or "", row.account, "alert", payload)


class Alerts:
    """The alerts that no change of a job's state opens or closes, and the list of open alerts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, alert: Alert) -> bool:
        """Open the alert or count a repeat; return whether the alert is new. Raises LedgerAway."""
        return self._database.write(lambda connection: open_alert(connection, alert))

    def close(self, cause: str) -> bool:
        """Close a cause; return whether it was open. A cause that was not open writes nothing.
        Raises LedgerAway.
        """
        open_cause = select(alerts.c.cause).where(
            alerts.c.cause == cause, alerts.c.closed_at.is_(None)
        )
        if self._database.read(lambda connection: connection.execute(open_cause).first()) is None:
            return False
        return bool(self._database.write(lambda connection: close_alerts(connection, [cause])))

    def close_by_hand(self, cause: str, *, by: str, note: str) -> dict[str, Any]:
        """Close a cause because a person says that it is over, with the reason; return its row
        afterwards. If the cause occurs again, it is a new alert.

        Raises NotPossible if no such alert is open, or if the alert reports a state that still
        lasts (a call that needs a decision, quarantine). Raises LedgerAway.
        """
        tried: list[Row[Any]] = []

        def work(connection: Connection) -> Row[Any]:
            row = _locked(connection, cause)
            if tried and _was_closed(row, tried[0]):
                return tried[0]
            _refuse_unresolved(connection, row)
            tried[:] = _close(connection, alerts.c.cause == cause, by=by, note=note)
            return tried[0]

        return dict(self._database.write(work)._mapping)  # noqa: SLF001

    def all_open(self) -> list[dict[str, Any]]:
        """Return every open cause, oldest first, with the columns of its row and, as ``job_kind``,
        the kind of the last job that met the cause.
        """
        c = alerts.c
        wanted = (
            select(*c, jobs.c.kind.label("job_kind"))
            .outerjoin_from(alerts, jobs, c.job_id == jobs.c.job_id)
            .where(c.closed_at.is_(None))
            .order_by(c.opened_at, c.cause)
        )
        return self._database.read(
            lambda connection: [dict(row._mapping) for row in connection.execute(wanted)]  # noqa: SLF001
        )
