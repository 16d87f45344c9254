"""Days: for each account and calendar day, whether everything the provider lists is archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, update

from .alert_rules import missed_days
from .alerts import open_alert
from .core import states
from .core.database import Database, insert_into, now
from .core.job import Job
from .core.opening import Request, insert_job
from .core.prepared import by_no_index
from .core.schema import days, jobs
from .core.transitions import find
from .lost_files import Lost


@dataclass(frozen=True, slots=True)
class Day:
    """One row of the table of days. The window is half open, in seconds since 1970."""

    account: str
    day: date
    window_start: float
    window_end: float
    filters: dict[str, Any]
    settle_seconds: int
    timezone: str
    state: str
    generation: int
    job_id: str | None
    manifest: str | None
    counts: dict[str, int] | None


_COLUMNS = [days.c[name] for name in Day.__dataclass_fields__]
#: Makes the request of a day's next generation from its row as just written.
RequestFor = Callable[[Day], Request]
Opened = tuple[Job, int | None]
Item = TypeVar("Item")

#: How many days one transaction inserts, and how many it opens: each takes some ten milliseconds.
_INSERTED_AT_ONCE = 1_000
_OPENED_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Opening:
    night: date
    request_for: RequestFor
    by: str


class Days:
    """The operations of the nightly plan, and the record that ``coverage`` shows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, account: str) -> date | None:
        """Return the last day that was planned for an account, or None."""
        wanted = select(func.max(days.c.day)).where(days.c.account == account)

        def look(connection: Connection) -> date | None:
            newest: date | None = connection.execute(wanted).scalar_one()
            return newest

        return self._database.read(look)

    def accounts(self) -> list[str]:
        """Return every account with a planned or exported day, in order."""
        wanted = select(days.c.account).distinct().order_by(days.c.account)
        return self._database.read(
            lambda connection: list(connection.execute(wanted).scalars().all())
        )

    def plan(
        self,
        account: str,
        wanted: list[Day],
        *,
        night: date,
        catchup_days: int,
        request_for: RequestFor,
        by: str,
    ) -> list[Opened]:
        """Insert missing days and open the next generation of every day that is due, failed,
        incomplete, or to be checked again.

        Each day is opened at most once a night. People are alerted to days that no night catches up
        on. ``night`` is the local date of the planning. Returns the opened days.

        The transactions are short, a few days in each, the oldest first: a plan that is interrupted
        continues with the remaining days when it runs again.
        """
        opening = _Opening(night, request_for, by)
        openable = _openable(night, catchup_days)
        chosen = select(days.c.day).where(days.c.account == account, *openable).order_by(days.c.day)

        def begin(connection: Connection) -> tuple[list[Opened], list[date]]:
            _insert_missing(connection, account, last)
            _hasten(connection, account, night)
            found = list(connection.execute(chosen).scalars().all())
            return open_some(connection, found[:_OPENED_AT_ONCE]), found[_OPENED_AT_ONCE:]

        def open_some(connection: Connection, some: Sequence[date]) -> list[Opened]:
            opened = [_advance(connection, account, day, openable, opening) for day in some]
            return [one for one in opened if one is not None]

        last = self._insert_all_but_last(account, wanted)
        opened, left = self._database.write(begin)
        for some in _batched(left, _OPENED_AT_ONCE):
            opened += self._database.write(partial(open_some, some=some))
        return opened

    def open(
        self,
        day: Day,
        *,
        earlier: Sequence[Day] = (),
        night: date,
        request_for: RequestFor,
        by: str,
    ) -> Opened:
        """Give the job of a day that a caller asks for: the job that runs or completed the day,
        otherwise a new generation, regardless of the day's age and of its tries this night.

        ``earlier`` are days that the plan has not reached yet: they are inserted as the plan would
        insert them, and the plan opens them.
        """
        unfinished = days.c.state.in_(
            (states.DAY_DUE, states.DAY_INCOMPLETE, states.DAY_GAVE_UP, states.DAY_DAMAGED)
        )

        def work(connection: Connection) -> Opened:
            # Before the day itself: the plan inserts only what comes after the newest day.
            _insert_missing(connection, day.account, last)
            _insert(connection, [day])
            opened = _advance(
                connection, day.account, day.day, (unfinished,), _Opening(night, request_for, by)
            )
            if opened is not None:
                return opened
            return _current(connection, day.account, day.day), None

        last = self._insert_all_but_last(day.account, earlier)
        return self._database.write(work)

    def _insert_all_but_last(self, account: str, wanted: Sequence[Day]) -> Sequence[Day]:
        """Insert missing days, the oldest first; return the last of them, few enough for the next
        transaction.
        """
        ordered = sorted(wanted, key=lambda day: day.day)
        batches = [*_batched(ordered, _INSERTED_AT_ONCE)] or [()]
        for some in batches[:-1]:
            self._database.write(partial(_insert_missing, account=account, some=some))
        return batches[-1]

    def of(self, account: str, first: date | None = None, last: date | None = None) -> list[Day]:
        """Return the days of an account, oldest first, both bounds included."""
        wanted = select(*_COLUMNS).where(days.c.account == account).order_by(days.c.day)
        if first is not None:
            wanted = wanted.where(days.c.day >= first)
        if last is not None:
            wanted = wanted.where(days.c.day <= last)
        return self._database.read(
            lambda connection: [Day(*row) for row in connection.execute(wanted)]
        )

    def to_delete(self, account: str, listed_before: float) -> list[Day]:
        """Return complete days whose recordings were not yet deleted at the provider and whose last
        listing ended before this time.
        """
        wanted = (
            select(*_COLUMNS)
            .join(jobs, jobs.c.job_id == days.c.completed_by)
            .where(days.c.account == account, days.c.state == states.DAY_COMPLETE)
            .where(days.c.deleted_at.is_(None), jobs.c.updated_at <= listed_before)
            .order_by(days.c.day)
        )
        return self._database.read(
            lambda connection: [Day(*row) for row in connection.execute(wanted)]
        )

    def mark_deleted(self, account: str, day: date) -> None:
        """Note that everything of this day was deleted at the provider."""
        self._database.write(
            lambda connection: connection.execute(
                update(days)
                .where(days.c.account == account, days.c.day == day)
                .values(deleted_at=now())
            )
        )


def _batched(found: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    rest = iter(found)
    while some := tuple(islice(rest, size)):
        yield some


def _hasten(connection: Connection, account: str, night: date) -> None:
    """Make jobs due that a caller asked for on an earlier night for a time still to come, so that
    the night passes over no day.
    """
    # The few days of this account lead to their jobs. Neither the running days of all accounts nor
    # all jobs that wait are looked through.
    to_hasten = select(days.c.job_id).where(
        days.c.account == account,
        by_no_index(days.c.state) == states.DAY_RUNNING,
        days.c.planned_on < night,
    )
    connection.execute(
        update(jobs)
        .where(jobs.c.job_id.in_(to_hasten), by_no_index(jobs.c.state) == states.WAITING)
        .where(jobs.c.attempts == 0)
        .where(jobs.c.next_attempt_at > now())
        .values(next_attempt_at=now(), hinted_at=None)
    )


def _insert_missing(connection: Connection, account: str, some: Sequence[Day]) -> None:
    """Insert missing days; alert people to days that no night catches up on."""
    if not some:
        return
    inserted = _insert(connection, some)
    missed = [day.day for day in some if day.day in inserted and day.state == states.DAY_GAVE_UP]
    if missed:
        first, last = (day.isoformat() for day in (min(missed), max(missed)))
        open_alert(connection, missed_days(account, first, last))


def _insert(connection: Connection, some: Sequence[Day]) -> set[date]:
    """Insert days in one statement; return those that were missing."""
    values = [
        {name: getattr(day, name) for name in Day.__dataclass_fields__} | {"listings": 0}
        for day in some
    ]
    inserted = connection.execute(
        insert_into(connection, days)
        .on_conflict_do_nothing(index_elements=["account", "day"])
        .returning(days.c.day),
        values,
    )
    return set(inserted.scalars())


def _openable(night: date, catchup_days: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the rows that this night's plan opens: not yet planned this night,
    young enough, and either unfinished or complete but to be listed again (on the next night, and
    on the last).
    """
    # A day that was given up within the nights that catch up: a clock that was ahead took it for
    # too old.
    unfinished = days.c.state.in_(
        (states.DAY_DUE, states.DAY_INCOMPLETE, states.DAY_GAVE_UP, states.DAY_DAMAGED)
    )
    oldest = date.fromordinal(night.toordinal() - catchup_days)
    look_again = or_(days.c.listings == 1, days.c.day == oldest)
    complete = (days.c.state == states.DAY_COMPLETE) & look_again
    tomorrow = date.fromordinal(night.toordinal() + 1)
    return (
        # A clock that was ahead planned a day later than tomorrow.
        or_(days.c.planned_on.is_(None), days.c.planned_on < night, days.c.planned_on > tomorrow),
        days.c.day >= oldest,
        days.c.day <= night,
        or_(unfinished, complete),
    )


def _advance(
    connection: Connection,
    account: str,
    day: date,
    allowed: tuple[ColumnElement[bool], ...],
    opening: _Opening,
) -> Opened | None:
    damaged = days.c.state == states.DAY_DAMAGED
    mine = (days.c.account == account, days.c.day == day)
    lost = connection.execute(
        select(days.c.lost).where(*mine, days.c.lost.is_not(None)).with_for_update(key_share=True)
    ).scalar_one_or_none()
    row = connection.execute(
        update(days)
        .where(*mine, *allowed)
        .values(
            state=states.DAY_RUNNING,
            generation=days.c.generation + 1,
            planned_on=opening.night,
            # A damaged day is no longer completed by its former job, even if this generation fails.
            completed_by=case((damaged, None), else_=days.c.completed_by),
            listings=case((damaged, 0), else_=days.c.listings),
            lost=Lost.of(lost).exported_again().stored(),
        )
        .returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        return None
    request = opening.request_for(Day(*row))
    connection.execute(
        update(days)
        .where(days.c.account == account, days.c.day == day)
        .values(job_id=request.job_id)
    )
    return insert_job(connection, request, by=opening.by)


def _current(connection: Connection, account: str, day: date) -> Job:
    # A complete day answers with the job that completed it, even if a later check failed.
    complete = days.c.state == states.DAY_COMPLETE
    chosen = case((complete, days.c.completed_by), else_=days.c.job_id)
    job_id = connection.execute(
        select(chosen).where(days.c.account == account, days.c.day == day)
    ).scalar_one()
    job = find(connection, job_id)
    assert job is not None
    return job
