"""The rules of a certified call's steps, for every form in which a step is carried out.

A step is *usual* if nothing rare happens in it (a refusal, a join, a quarantine, a change of day, a
pause, a notification, an open alert). Only usual steps have shorter forms than the general one
(`ledger/call_statements.py`, `ledger/call_short_steps.py`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, String, and_, case, cast, exists, literal, or_

from .accounts import IS_PAUSED
from .alerts import credentials_cause
from .call_outcomes import UNKNOWN
from .core import states
from .core.database import now
from .core.fencing import TAKEN, TAKEN_UP
from .core.opening import NEW_JOB, OPENED
from .core.prepared import parameter
from .core.schema import alerts, calls, jobs, ledger, waiters
from .core.transitions import OWN_ANSWER_SECONDS
from .daily_quota import IS_FULL

_DAY_BEGINS = cast(parameter("day_begins"), Double)
_DAY_ENDS = cast(parameter("day_ends"), Double)
#: The day that the statement was given is the account's day by the database's clock.
IS_DAY = and_(now() >= _DAY_BEGINS, now() < _DAY_ENDS)

#: The conditions under which a call may leave, apart from the daily quota.
MAY_LEAVE = (
    jobs.c.lease_token == parameter("token"),
    jobs.c.state == states.RUNNING,
    jobs.c.lease_until > now(),
    jobs.c.cancel_requested.is_(False),
    jobs.c.not_after.is_(None) | (jobs.c.not_after > now()),
)
#: What the sending changes in its call.
SENT: dict[str, Any] = {"sent_at": now(), "outcome": UNKNOWN}
SENT_WHY = "the request may have been sent"

_AFTER, _REASON = parameter("after"), parameter("reason", jobs.c.reason.type)
#: The conditions under which a sender's outcome is stored. If it is stored already, the answer to
#: its commit was lost.
IS_NEWS = (
    jobs.c.lease_token == parameter("token"),
    jobs.c.state == parameter("before"),
    or_(jobs.c.state != _AFTER, jobs.c.reason.is_distinct_from(_REASON)),
)
SETTLED: dict[str, Any] = {
    "state": _AFTER,
    "reason": _REASON,
    "error": parameter("error"),
    "result": parameter("result"),
    "next_attempt_at": None,
    "lease_until": None,
}

#: The conditions of a usual beginning.
IS_USUAL_BEGINNING = (
    ~ledger.c.quarantined,
    IS_DAY,
    ~exists().where(jobs.c.job_id == parameter("job_id")),
    ~IS_FULL,
    ~exists().where(*IS_PAUSED),
)
#: The row of a call that is opened and claimed at once, and the two lines of its history.
BEGUN: dict[str, Any] = {**NEW_JOB, **TAKEN, "attempts": NEW_JOB["attempts"] + 1}
OPENED_LINE: dict[str, Any] = {"from_state": None, "to_state": states.PENDING, "why": OPENED}
BEGUN_LINE: dict[str, Any] = {
    "from_state": states.PENDING,
    "to_state": states.RUNNING,
    "by": parameter("worker"),
    "why": TAKEN_UP,
}

_OWN, _MINE = parameter("own", String()), waiters.c.job_id == parameter("job")
_CAUSES = [
    parameter("cause_1", String()),
    parameter("cause_2", String()),
    literal(credentials_cause(""), String()) + jobs.c.account,
]
#: The conditions of a usual answer: nothing follows from it but the receipt and the answers.
IS_USUAL_ANSWER = (
    exists().where(calls.c.job_id == parameter("job"), calls.c.sent_at.is_not(None)),
    ~exists().where(_MINE, waiters.c.notify.is_not(None)),
    ~exists().where(waiters.c.task_id == _OWN, ~_MINE),
    ~exists().where(alerts.c.cause.in_(_CAUSES), alerts.c.closed_at.is_(None)),
    jobs.c.parent_id.is_(None),
    jobs.c.request_id.not_like("%#%"),
)
#: What the answer changes in the tasks that wait for it.
ANSWERED: dict[str, Any] = {
    "due_at": case((waiters.c.task_id == _OWN, now() + OWN_ANSWER_SECONDS), else_=now())
}
