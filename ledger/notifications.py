"""Notifications that their destination refuses: counted, and given up after a day.

A notification is an obligation. A notification that was given up is discharged and keeps its
reason; its job stays as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from .alerts import NOTIFICATION, Alert, close_alerts, open_alert
from .core.database import Database, now
from .core.job import iso
from .core.outbox import DELIVERY, NOTIFY
from .core.schema import alerts, obligations

#: A destination that has refused a notification for so long will not take it later.
GIVE_UP_SECONDS = 86_400
#: The field of the payload for the time of the first refusal, in seconds since 1970.
_REFUSED_SINCE = "refused_since"
#: A queue's name that can be typed and that holds no telephone number.
_PLAIN = re.compile(r"(?!.*\d{5})[A-Za-z0-9._:-]{1,128}")

_KINDS = (NOTIFY, DELIVERY)

SENT = "sent"
WAITING = "waiting"
GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification of a job: its destination, its state, and why it was not taken.

    Of a webhook's the ``task`` is ``webhook`` and the ``queue`` is ``webhook:`` and its name.
    """

    task: str
    queue: str
    state: str
    attempts: int
    reason: str | None


def refused_cause(queue: str) -> str:
    """Return the cause of notifications to a queue that were given up."""
    if _PLAIN.fullmatch(queue):
        return f"{NOTIFICATION}:{queue}"
    digest = hashlib.sha256(queue.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{NOTIFICATION}:{digest[:16]}"


class Notifications:
    """The refused, taken and given-up notifications."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refused(self, reasons: Mapping[int, str]) -> int:
        """Note why the destinations of these obligations refuse them.

        Notifications that have been refused for a day are given up, with an alert for their queue.
        Returns how many were given up.
        """
        return self._database.write(lambda connection: _refused(connection, reasons))

    def taken(self, queues: Collection[str]) -> None:
        """Close the alerts of these queues, which take notifications again."""
        c = alerts.c
        causes = {refused_cause(queue) for queue in queues}
        open_causes = select(c.cause).where(c.kind == NOTIFICATION, c.closed_at.is_(None))
        found = self._database.read(
            lambda connection: set(connection.execute(open_causes).scalars()) & causes
        )
        if found:
            self._database.write(lambda connection: close_alerts(connection, found))

    def of_job(self, job_id: str) -> list[Notification]:
        """Return the notifications of a job's ends, oldest first."""
        c = obligations.c
        wanted = select(*c).where(c.kind.in_(_KINDS), c.job_id == job_id).order_by(c.id)
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return [
            Notification(
                task=row.payload["task"],
                queue=row.payload["queue"],
                state=_state(row),
                attempts=row.attempts,
                reason=row.reason,
            )
            for row in rows
            if not _became_delivery(row)
        ]

    def given_up(self) -> dict[str, Any] | None:
        """Return how many notifications were given up, ``count``, with the time of the last,
        ``last`` (ISO 8601), and its ``reason``; None if none was given up.
        """
        c = obligations.c
        over = (c.kind.in_(_KINDS), c.discharged_at.is_not(None), c.reason.is_not(None))
        wanted = (
            select(func.count().over().label("count"), c.discharged_at, c.reason)
            .where(*over)
            .order_by(c.discharged_at.desc(), c.id.desc())
            .limit(1)
        )
        # Each queue of which one was given up has an alert, open or closed. Without one, the
        # obligations of all years need not be read.
        ever = select(alerts.c.cause).where(alerts.c.kind == NOTIFICATION).limit(1)

        def look(connection: Connection) -> Row[Any] | None:
            if connection.execute(ever).first() is None:
                return None
            return connection.execute(wanted).one_or_none()

        row = self._database.read(look)
        if row is None:
            return None
        return {"count": row.count, "last": iso(row.discharged_at), "reason": row.reason}


def _refused(connection: Connection, reasons: Mapping[int, str]) -> int:
    c = obligations.c
    owed = select(*c).where(c.id.in_(list(reasons)), c.discharged_at.is_(None)).with_for_update()
    moment = connection.execute(select(now())).scalar_one()
    noted, hopeless = [], []
    for row in connection.execute(owed).all():
        since = row.payload.get(_REFUSED_SINCE, moment)
        is_over = moment - since >= GIVE_UP_SECONDS
        values = {"payload": {**row.payload, _REFUSED_SINCE: since}, "reason": reasons[row.id]}
        noted.append({"row": row.id, **values, "discharged_at": moment if is_over else None})
        hopeless += [row] if is_over else []
    if noted:
        named = ("payload", "reason", "discharged_at")
        statement = update(obligations).where(c.id == bindparam("row"))
        connection.execute(statement.values({name: bindparam(name) for name in named}), noted)
    for row in hopeless:
        open_alert(connection, _alert(row, reasons[row.id]))
    return len(hopeless)


def _alert(row: Row[Any], reason: str) -> Alert:
    queue = row.payload["queue"]
    place = "webhook" if row.kind == DELIVERY else "queue"
    message = (
        f"a notification of job {row.job_id} ({row.account}) was given up after a day: {reason}; "
        f"the job itself is not affected; to receive the notification, repair the {place} or "
        "choose another, then send the same request id with notify again"
    )
    return Alert(refused_cause(queue), NOTIFICATION, row.account, message, row.job_id)


def _became_delivery(row: Row[Any]) -> bool:
    """Return whether another row has become responsible for the notification."""
    return row.kind == NOTIFY and "webhook" in row.payload and _state(row) == SENT


def _state(row: Row[Any]) -> str:
    if row.discharged_at is None:
        return WAITING
    return SENT if row.reason is None else GIVEN_UP
