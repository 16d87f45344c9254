"""The number of paid calls that may leave in a day: a counter in a row, never a count of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Date, and_, insert, select, update

from .core.database import now
from .core.job import Job
from .core.kinds import Ending
from .core.opening import Request
from .core.prepared import Prepared, parameter
from .core.schema import call_days, calls
from .errors import CapReached

_NOW = Prepared(select(now()))
_DAY = parameter("of_day", Date())
_MINE = (call_days.c.account == parameter("of_account"), call_days.c.day == _DAY)
_KEEP = Prepared(
    insert(calls)
    .values(job_id=parameter("job"), reserved_on=parameter("of_day"), receipts=0)
    .inline()
)
_TAKE = Prepared(
    lambda insert_into: (
        insert_into(call_days)
        .values(account=parameter("of_account"), day=_DAY, calls=1)
        .on_conflict_do_update(
            index_elements=["account", "day"],
            set_={"calls": call_days.c.calls + 1},
            where=call_days.c.calls < parameter("limit"),
        )
        .returning(call_days.c.calls)
    )
)
_HELD = Prepared(
    select(calls.c.reserved_on, call_days.c.calls)
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


def reserve_call(connection: Connection, request: Request) -> None:
    """Take one of the day's calls for a newly inserted job with a Cap. A withheld job has no Cap
    and takes none. Raises CapReached.
    """
    cap: Cap | None = request.details
    if cap is not None:
        reserved_on = reserve(connection, request.account, cap, request.due_at)
        _KEEP.run(connection, job=request.job_id, of_day=reserved_on)


def reserve(connection: Connection, account: str, cap: Cap, due_at: float | None = None) -> date:
    """Take one of the calls of the day on which a call is due, today if ``due_at`` is None; return
    that day. Raises CapReached when no call is left.

    A call is taken when its job is opened, and returned when the job ends without anything having
    left. So a caller that meets the cap learns that at once, and nothing was opened.
    """
    today = cap.today(connection)
    day = today if due_at is None else cap.day(due_at)
    taken = {"of_account": account, "of_day": day, "limit": cap.limit}
    if cap.limit < 1 or _TAKE.row(connection, **taken) is None:
        raise CapReached(
            f"not done: account {account!r} has reached its {cap.limit} certified calls for {day} "
            f"({cap.timezone}); nothing was changed; the same id may be sent again "
            f"{'tomorrow' if day == today else 'for another day'}"
        )
    return day


def reserved_today(connection: Connection, job: Job, cap: Cap) -> bool:
    """Return whether the reservation of a job that was changed just now permits sending it today. A
    reservation of another day is moved to today, and a cap that was lowered since then counts too.
    """
    today = cap.day(job.updated_at)
    held = _HELD.row(connection, job=job.job_id, of_account=job.account, of_day=today)
    assert held is not None
    if held.reserved_on == today:
        return int(held.calls) <= cap.limit
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
