"""Alerts: people are told once of a cause, and once more when it is over.

A cause is a row. Opening one that is open already only counts; one that was closed and comes again
is a new alert. Both happen in the transaction of the change of state that they belong to. What no
change of state ends, a person closes.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, select, update

from .core import states
from .core.database import Database, insert_into, now
from .core.job import iso
from .core.outbox import owe
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

#: All of them.
KINDS = (
    ARCHIVE,
    CONTRADICTION,
    CREDENTIALS,
    DAY,
    DECISION,
    JOB,
    MESSAGE,
    NOTIFICATION,
    QUARANTINE,
    UNUSUAL,
    VERIFICATION,
)

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
        insert_into(connection, alerts)
        .values(cause=alert.cause, opened_at=now(), repeated=0, **said)
        .on_conflict_do_update(
            index_elements=["cause"],
            set_={
                **said,
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
    """Note that these causes are over, and owe the word of each that was open; how many were."""
    return len(_close(connection, alerts.c.cause.in_(causes)))


def close_kind(connection: Connection, kind: str, account: str | None, *, but: str = "") -> int:
    """Note that every cause of a kind is over, of one account or of all, ``but`` this one."""
    mine = [] if account is None else [alerts.c.account == account]
    return len(_close(connection, alerts.c.kind == kind, alerts.c.cause != but, *mine))


def _close(
    connection: Connection,
    *which: ColumnElement[bool],
    by: str | None = None,
    note: str | None = None,
) -> list[Row[Any]]:
    rows = connection.execute(
        update(alerts)
        .where(*which, alerts.c.closed_at.is_(None))
        .values(closed_at=now(), closed_by=by, closed_note=note)
        .returning(*alerts.c)
    ).all()
    for row in rows:
        _owe(connection, row, RESOLVED)
    return list(rows)


def _held(connection: Connection, cause: str) -> Row[Any]:
    """The row of a cause, which nobody else opens or closes until this transaction ends."""
    held = select(*alerts.c).where(alerts.c.cause == cause).with_for_update()
    row = connection.execute(held).one_or_none()
    if row is None:
        raise NotPossible(
            f"not done: there is no alert {cause!r}; those that are open: python -m worker alerts"
        )
    return row


def _refuse_what_stands(connection: Connection, row: Row[Any]) -> None:
    """Raise NotPossible where a person's word would hide what still waits, or says nothing new."""
    if row.closed_at is not None:
        who = "by itself" if row.closed_by is None else f"by {row.closed_by}"
        raise NotPossible(
            f"not done: alert {row.cause} is not open; it ended {who} at {iso(row.closed_at)}"
        )
    if row.kind == DECISION and _undecided(connection, row.job_id):
        raise NotPossible(
            f"not done: the call of alert {row.cause} still needs a decision, which ends it; run: "
            f"python -m worker resolve {row.job_id} --placed|--not-placed --by WHO --note WHY"
        )
    if row.kind == QUARANTINE and connection.execute(select(ledger.c.quarantined)).scalar_one():
        raise NotPossible(
            f"not done: the ledger is still in quarantine, and alert {row.cause} ends with it; "
            "run: python -m worker quarantine --lift --by WHO --note WHY"
        )


def _was_closed(row: Row[Any], closed: Row[Any]) -> bool:
    """Whether the commit that closed it was written, its answer lost: it may be open anew since."""
    return bool(row.opened_at != closed.opened_at or row.closed_at == closed.closed_at)


def _undecided(connection: Connection, job_id: str) -> bool:
    wanted = select(jobs.c.state).where(jobs.c.job_id == job_id)
    return connection.execute(wanted).scalar_one_or_none() == states.NEEDS_DECISION


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
    if state == RESOLVED:
        payload |= {"closed_by": row.closed_by, "note": row.closed_note}
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

    def close_by_hand(self, cause: str, *, by: str, note: str) -> dict[str, Any]:
        """Note that a person says that a cause is over, and why; its row as it is then. Met again,
        it is a new alert.

        Raises NotPossible where no such alert is open, or where it tells of a state that still
        stands (a call that needs a decision, quarantine); and LedgerAway.
        """
        tried: list[Row[Any]] = []

        def work(connection: Connection) -> Row[Any]:
            row = _held(connection, cause)
            if tried and _was_closed(row, tried[0]):
                return tried[0]
            _refuse_what_stands(connection, row)
            tried[:] = _close(connection, alerts.c.cause == cause, by=by, note=note)
            return tried[0]

        return dict(self._database.write(work)._mapping)  # noqa: SLF001

    def all_open(self) -> list[dict[str, Any]]:
        """Every cause that is open, the oldest first, with the columns of its row and, as
        ``job_kind``, the kind of the job that met it last.
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
