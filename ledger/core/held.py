"""The obstacles that hold jobs: they wait, or were tried again just now, because something that
every job of their kind needs does not work. Nothing is lost: they continue by themselves.

An attempt that meets an obstacle notes it in its job's work, with the time at which the job first
met it. Further attempts that meet the same obstacle keep that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from . import states
from .database import now, now_once
from .schema import jobs

#: The obstacles. Credentials, and an account that no worker knows, hold the jobs of one account,
#: the others those of all.
ARCHIVE = "archive"
DISK = "disk"
CREDENTIALS = "credentials"
ACCOUNT = "account"
OBSTACLES = (ACCOUNT, ARCHIVE, CREDENTIALS, DISK)

OF_ONE_ACCOUNT = (ACCOUNT, CREDENTIALS)

#: The key in a job's work.
NOTE = "held"
#: The key for a fingerprint of the account whose credentials were refused. It is kept for no longer
#: than credentials hold the job.
REFUSED_ACCOUNT = "refused_account"
#: The key for how often attempts met an archive or a disk that did not serve.
TRIES = "storage"
#: An attempt that has lasted for longer than this, in seconds, has passed its obstacle.
PASSED_SECONDS = 300.0


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
    if obstacle != CREDENTIALS:
        work.pop(REFUSED_ACCOUNT, None)
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
        jobs.c.state.in_((*states.OPEN, states.RUNNING)),
        or_(jobs.c.state != states.RUNNING, tried_again),
    )
