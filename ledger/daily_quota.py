"""The number of paid calls that may leave in a day: a counter in a row, never a count of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select, update

from .core.database import insert_into, now
from .core.kinds import Ending
from .core.opening import Request
from .core.schema import call_days, calls
from .errors import CapReached


@dataclass(frozen=True, slots=True)
class Cap:
    """The most calls (``limit``) that may leave in a day of ``timezone`` (an IANA name)."""

    limit: int
    timezone: str

    def today(self, connection: Connection) -> date:
        """Return the account's day by the database's clock."""
        return self.day(connection.execute(select(now())).scalar_one())

    def day(self, seconds: float) -> date:
        """Return the account's day at an instant, in seconds since 1970."""
        return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(self.timezone)).date()


def reserve_call(connection: Connection, request: Request) -> None:
    """Take one of the day's calls for a newly inserted job with a Cap. A withheld job has no Cap
    and takes none. Raises CapReached.
    """
    cap: Cap | None = request.details
    if cap is not None:
        reserved_on = reserve(connection, request.account, cap, request.due_at)
        connection.execute(
            insert(calls).values(job_id=request.job_id, reserved_on=reserved_on, receipts=0)
        )


def reserve(connection: Connection, account: str, cap: Cap, due_at: float | None = None) -> date:
    """Take one of the calls of the day on which a call is due, today if ``due_at`` is None; return
    that day. Raises CapReached when no call is left.

    A call is taken when its job is opened, and returned when the job ends without anything having
    left. So a caller that meets the cap learns that at once, and nothing was opened.
    """
    today = cap.today(connection)
    day = today if due_at is None else cap.day(due_at)
    connection.execute(
        insert_into(connection, call_days)
        .values(account=account, day=day, calls=0)
        .on_conflict_do_nothing(index_elements=["account", "day"])
    )
    c = call_days.c
    taken = connection.execute(
        update(call_days)
        .where(c.account == account, c.day == day, c.calls < cap.limit)
        .values(calls=c.calls + 1)
    )
    if not taken.rowcount:
        raise CapReached(
            f"not done: account {account!r} has reached its {cap.limit} certified calls for {day} "
            f"({cap.timezone}); nothing was changed; use the same request id again "
            f"{'tomorrow' if day == today else 'for another day'}"
        )
    return day


def reserved_today(connection: Connection, job_id: str, account: str, cap: Cap) -> bool:
    """Return whether the job's reservation permits sending it today. A reservation of another day
    is moved to today, and a cap that was lowered since then counts too.
    """
    reserved_on = connection.execute(
        select(calls.c.reserved_on).where(calls.c.job_id == job_id)
    ).scalar_one()
    today = cap.today(connection)
    if reserved_on == today:
        held = select(call_days.c.calls).where(
            call_days.c.account == account, call_days.c.day == today
        )
        return int(connection.execute(held).scalar_one()) <= cap.limit
    try:
        reserve(connection, account, cap)
    except CapReached:
        return False
    _give_back(connection, account, reserved_on)
    connection.execute(update(calls).where(calls.c.job_id == job_id).values(reserved_on=today))
    return True


def release(connection: Connection, ending: Ending) -> None:
    """Return the reservation of a call that has ended without anything having left to the daily
    quota.
    """
    job_id, c = ending.job.job_id, calls.c
    reserved_on = connection.execute(
        select(c.reserved_on).where(c.job_id == job_id, c.sent_at.is_(None))
    ).scalar_one_or_none()
    if reserved_on is None:
        return
    connection.execute(update(calls).where(c.job_id == job_id).values(reserved_on=None))
    _give_back(connection, ending.job.account, reserved_on)


def _give_back(connection: Connection, account: str, day: date) -> None:
    c = call_days.c
    connection.execute(
        update(call_days)
        .where(c.account == account, c.day == day, c.calls > 0)
        .values(calls=c.calls - 1)
    )
