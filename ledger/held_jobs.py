"""Jobs that are held: they wait, or were tried again just now, because something that every job of
their kind needs does not work. Nothing is lost: they go on by themselves once it works.

An attempt that meets an obstacle notes it in its job's work, with the time at which the job first
met it. Further attempts that meet the same obstacle keep that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from .alerts import EVERY_ACCOUNT, HELD, Alert, Alerts
from .core import states
from .core.database import Database, now, now_once
from .core.job import iso
from .core.schema import jobs

#: The obstacles. Credentials hold the jobs of one account, the others those of all.
ARCHIVE = "archive"
DISK = "disk"
CREDENTIALS = "credentials"
OBSTACLES = (ARCHIVE, CREDENTIALS, DISK)

#: The key in a job's work.
NOTE = "held"
#: An attempt that has lasted for longer than this, in seconds, has passed its obstacle.
PASSED_SECONDS = 300.0
#: For how long jobs are held before people are told, in seconds.
ALERT_SECONDS = 180.0

_MEANING = {
    ARCHIVE: "the archive",
    DISK: "a disk without room",
    CREDENTIALS: "credentials that the provider refuses",
}


@dataclass(frozen=True, slots=True)
class Held:
    """Jobs that one obstacle holds, those of one account."""

    obstacle: str
    account: str
    jobs: int
    #: The time at which the first of them met the obstacle, in seconds since 1970, and its age.
    since: float
    age: float


def noted(work: dict[str, Any], obstacle: str | None, *, at: float, lasted: float) -> None:
    """Note in a job's work which obstacle ended an attempt, or that none did.

    ``at`` is the present time by the ledger's clock, ``lasted`` the length of the attempt in
    seconds.
    """
    known = work.pop(NOTE, None)
    if obstacle is None:
        return
    is_same = isinstance(known, dict) and known.get("by") == obstacle and lasted <= PASSED_SECONDS
    work[NOTE] = known if is_same else {"by": obstacle, "since": at}


def statement() -> Select[Any]:
    """Return the statement that finds held jobs, by obstacle and account."""
    by, since = jobs.c.work[NOTE, "by"].as_string(), jobs.c.work[NOTE, "since"].as_float()
    return (
        select(
            by.label("obstacle"),
            jobs.c.account,
            func.count().label("jobs"),
            func.min(since).label("since"),
            (now() - func.min(since)).label("age"),
        )
        .where(_is_held(), by.in_(OBSTACLES))
        .group_by(by, jobs.c.account)
    )


def _is_held() -> ColumnElement[bool]:
    tried_again = and_(
        jobs.c.state == states.RUNNING, jobs.c.updated_at > now_once() - PASSED_SECONDS
    )
    return and_(
        jobs.c.state.in_((states.WAITING, states.RUNNING)),
        or_(jobs.c.state == states.WAITING, tried_again),
    )


class HeldJobs:
    """The alerts about held jobs."""

    def __init__(self, database: Database, alerts: Alerts) -> None:
        self._database = database
        self._alerts = alerts

    def held(self) -> list[Held]:
        """Return the held jobs, by obstacle and account. Raises LedgerAway."""
        return self._database.read(
            lambda connection: [Held(**row._mapping) for row in connection.execute(statement())]  # noqa: SLF001
        )

    def update_alerts(self, *, after_seconds: float = ALERT_SECONDS) -> None:
        """Open the alert of each obstacle that has held jobs for so long, and close the alerts of
        the obstacles that hold none. Raises LedgerAway.
        """
        found = _by_cause(self.held())
        is_open = {one["cause"] for one in self._alerts.all_open() if one["kind"] == HELD}
        for cause, groups in found.items():
            if cause not in is_open and max(one.age for one in groups) >= after_seconds:
                self._alerts.open(_alert(cause, groups))
        for cause in is_open - found.keys():
            self._alerts.close(cause)


def _by_cause(found: list[Held]) -> dict[str, list[Held]]:
    causes: dict[str, list[Held]] = {}
    for one in found:
        of = f":{one.account}" if one.obstacle == CREDENTIALS else ""
        causes.setdefault(f"{HELD}:{one.obstacle}{of}", []).append(one)
    return causes


def _alert(cause: str, groups: list[Held]) -> Alert:
    count, since = sum(one.jobs for one in groups), min(one.since for one in groups)
    obstacle = groups[0].obstacle
    account = groups[0].account if obstacle == CREDENTIALS else EVERY_ACCOUNT
    names = ", ".join(sorted({one.account for one in groups}))
    are = "1 job is" if count == 1 else f"{count} jobs are"
    return Alert(
        cause,
        HELD,
        account,
        f"{are} held by {_MEANING[obstacle]} since {iso(since)} (accounts: {names}); nothing is "
        "lost: each goes on by itself; to see what is wrong, run: python -m worker doctor; to see "
        "the jobs: python -m worker status --state waiting",
    )
