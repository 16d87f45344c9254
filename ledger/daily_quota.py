"""The number of paid calls that may leave in a day: a counter in a row, never a count of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Integer,
    and_,
    exists,
    insert,
    select,
    update,
)

from .core.database import now
from .core.job import Job
from .core.kinds import Ending
from .core.opening import Request
from .core.prepared import Prepared, parameter
from .core.schema import call_days, calls
from .errors import CapReached

_NOW = Prepared(select(now()))
DAY = parameter("of_day", Date())
_MINE = (call_days.c.account == parameter("of_account"), call_days.c.day == DAY)
#: The row of a call with a reservation.
RESERVED: dict[str, Any] = {
    "job_id": parameter("job"),
    "reserved_on": parameter("of_day"),
    "receipts": 0,
}
KEEP = Prepared(insert(calls).values(**RESERVED).inline())
_LIMIT = parameter("limit", Integer())
#: The row of a day with its first call, and how the next is counted if the cap permits it.
FIRST_CALL: dict[str, Any] = {"account": parameter("of_account"), "day": DAY, "calls": 1}
NEXT_CALL: dict[str, Any] = {
    "index_elements": ["account", "day"],
    "set_": {"calls": call_days.c.calls + 1},
    "where": call_days.c.calls < _LIMIT,
}
#: The condition that no further call fits into the day.
IS_FULL = exists().where(*_MINE, call_days.c.calls >= _LIMIT)
TAKE = Prepared(
    lambda insert_into: (
        insert_into(call_days)
        .values(**FIRST_CALL)
        .on_conflict_do_update(**NEXT_CALL)
        .returning(call_days.c.calls)
    )
)
_IS_PERMITTED = call_days.c.calls <= _LIMIT
_IS_FOR_DAY = calls.c.reserved_on == DAY
_HELD = Prepared(
    select(
        calls.c.reserved_on,
        _IS_FOR_DAY.label("is_for_day"),
        _IS_PERMITTED.label("is_permitted"),
    )
    .outerjoin_from(calls, call_days, and_(*_MINE))
    .where(calls.c.job_id == parameter("job"))
)
_MOVE = Prepared(
    update(calls).where(calls.c.job_id == parameter("job")).values(reserved_on=parameter("to"))
)
_UNSENT_ON = Prepared(
    select(calls.c.reserved_on).where(calls.c.job_id == parameter("job"), calls.c.sent_at.is_(None))
)
_GIVE_BACK = Prepared(
    update(call_days).where(*_MINE, call_days.c.calls > 0).values(calls=call_days.c.calls - 1)
)


def is_reserved(job_id: ColumnElement[str], account: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a job's reservation permits sending it on the given day."""
    of_day = (call_days.c.account == account, call_days.c.day == DAY)
    return exists().where(calls.c.job_id == job_id, _IS_FOR_DAY, *of_day, _IS_PERMITTED)


@dataclass(frozen=True, slots=True)
class Cap:
    """The most calls (``limit``) that may leave in a day of ``timezone`` (an IANA name)."""

    limit: int
    timezone: str

    def today(self, connection: Connection) -> date:
        """Return the account's day by the database's clock."""
        return self.day(_NOW.value(connection))

    def day(self, seconds: float) -> date:
        """Return the account's day at an instant, in seconds since 1970."""
        return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(self.timezone)).date()

    def bounds(self, day: date) -> tuple[float, float]:
        """Return the instants at which the account's day begins and ends, in seconds since 1970."""
        return _bounds(self.timezone, day)


@lru_cache(maxsize=256)
def _bounds(timezone: str, day: date) -> tuple[float, float]:
    zone = ZoneInfo(timezone)
    begin, end = (
        datetime(one.year, one.month, one.day, tzinfo=zone).timestamp()
        for one in (day, day + timedelta(days=1))
    )
    return begin, end


def reserve_call(connection: Connection, request: Request) -> None:
    """Take one of the day's calls for a newly inserted job with a Cap. A withheld job has no Cap
    and takes none. Raises CapReached.
    """
    cap: Cap | None = request.details
    if cap is not None:
        reserved_on = reserve(connection, request.account, cap, request.due_at)
        KEEP.run(connection, job=request.job_id, of_day=reserved_on)


def reserve(connection: Connection, account: str, cap: Cap, due_at: float | None = None) -> date:
    """Take one of the calls of the day on which a call is due, today if ``due_at`` is None; return
    that day. Raises CapReached when no call is left.

    A call is taken when its job is opened, and returned when the job ends without anything having
    left. So a caller that reaches the cap learns that at once, and no job is opened.
    """
    today = cap.today(connection)
    day = today if due_at is None else cap.day(due_at)
    taken = {"of_account": account, "of_day": day, "limit": cap.limit}
    if cap.limit < 1 or TAKE.row(connection, **taken) is None:
        calls = f"{cap.limit} certified call{'s' * (cap.limit != 1)}"
        raise CapReached(
            f"not done: account {account!r} has reached its {calls} for {day} "
            f"({cap.timezone}); nothing was changed; use the same request id again "
            f"{'tomorrow' if day == today else 'for another day'}"
        )
    return day


def reserved_today(connection: Connection, job: Job, cap: Cap) -> bool:
    """Return whether the reservation of a job that was changed just now permits sending it today. A
    reservation of another day is moved to today, and a cap that was lowered since then counts too.
    """
    today = cap.day(job.updated_at)
    day = {"of_account": job.account, "of_day": today, "limit": cap.limit}
    held = _HELD.row(connection, job=job.job_id, **day)
    assert held is not None
    if held.is_for_day:
        return bool(held.is_permitted)
    try:
        today = reserve(connection, job.account, cap)
    except CapReached:
        return False
    _give_back(connection, job.account, held.reserved_on)
    _MOVE.run(connection, job=job.job_id, to=today)
    return True


def release(connection: Connection, ending: Ending) -> None:
    """Return the reservation of a call that has ended without anything having left to the daily
    quota.
    """
    job_id = ending.job.job_id
    reserved_on = _UNSENT_ON.value(connection, job=job_id)
    if reserved_on is None:
        return
    _MOVE.run(connection, job=job_id, to=None)
    _give_back(connection, ending.job.account, reserved_on)


def _give_back(connection: Connection, account: str, day: date) -> None:
    _GIVE_BACK.run(connection, of_account=account, of_day=day)
