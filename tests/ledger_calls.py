"""What the tests of certified calls in the ledger share: calls to begin, what became of them, and
what the tables say afterwards.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from ledger.call_outcomes import KIND, PLACED, REFUSED, UNKNOWN, UNSENT, Outcome
from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.core.schema import call_days, calls, jobs, metadata, obligations
from ledger.daily_quota import Cap
from ledger.errors import CapReached, LedgerError
from ledger.ledger import Ledger

from .ledgers import claim_job, pass_time, request
from .recent_days import ZONE

#: Its day does not end while the tests run.
CAP = Cap(3, ZONE)

SAID_OK = Outcome(
    states.DONE,
    PLACED,
    result={"state": "done", "platform_phone": "34900100100"},
    http_status=200,
    answer=b"OK;34900100100",
    platform_phone="34900100100",
)
SAID_KO = Outcome(
    states.FAILED,
    REFUSED,
    "not done: no credit",
    {"type": "Rejected", "message": "not done: no credit"},
    http_status=200,
    answer=b"KO;no credit",
    error_message="no credit",
)
NO_ANSWER = Outcome(
    states.NEEDS_DECISION,
    UNKNOWN,
    "unknown: no answer came",
    {"type": "Uncertain", "message": "unknown: no answer came"},
)
NOTHING_LEFT = Outcome(
    states.FAILED,
    UNSENT,
    "not done: the ledger took too long",
    {"type": "Unreachable", "message": "not done: the ledger took too long"},
)


def call(request_id: str = "r1", **given: Any) -> Request:
    """A request for a certified call of the account ``legal``, unless told otherwise."""
    standard = {
        "kind": KIND,
        "account": "legal",
        "parameters": {"country": "ES", "phone": "+34660111222"},
        "details": CAP,
        "lifetime_seconds": 900.0,
    }
    return request(request_id, **{**standard, **given})


def begun(
    ledger: Ledger, request_id: str = "r1", notify: dict[str, str] | None = None, **given: Any
) -> tuple[Job, Lease]:
    """A call just opened and held by this ledger's worker."""
    job, lease = ledger.execution.begin(call(request_id, **given), by="test", notify=notify)
    assert lease is not None
    return job, lease


def sending(
    ledger: Ledger, request_id: str = "r1", notify: dict[str, str] | None = None, **given: Any
) -> tuple[Job, Lease]:
    """A call whose request may have left."""
    job, lease = begun(ledger, request_id, notify, **given)
    ledger.calls.send(lease, given.get("details", CAP))
    return job, lease


def undecided(ledger: Ledger, request_id: str = "r1", **given: Any) -> tuple[Job, Lease]:
    """A call that needs a decision since its sender died while sending."""
    job, lease = sending(ledger, request_id, **given)
    its_worker_dies(ledger)
    (taken,) = ledger.lease_expiry.take_from_the_dead()
    assert taken.job_id == job.job_id
    return taken, lease


def its_worker_dies(ledger: Ledger) -> None:
    """Let every lease that is held run out."""
    pass_time(ledger, 31, jobs.c.lease_until)


def another_holds_it(ledger: Ledger, job_id: str) -> None:
    """Let its worker die and another take the call up."""
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    claim_job(ledger, job_id)


def another_sends_it(ledger: Ledger, job_id: str) -> None:
    """Let its worker die and another send the call."""
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    ledger.calls.send(claim_job(ledger, job_id)[1], CAP)


def sends(ledger: Ledger, lease: Lease) -> str:
    """What comes of sending: *sent*, or the name of the error."""
    try:
        ledger.calls.send(lease, CAP)
    except LedgerError as error:
        return type(error).__name__
    return "sent"


def state(ledger: Ledger, job: Job) -> str:
    """The state of a job now."""
    return ledger.jobs.job(job.job_id).state


def begins(ledger: Ledger, asked: Request) -> tuple[str, bool]:
    """The id of the job that a request begins or joins and whether it is to be done now; the name
    of the error where it is refused.
    """
    try:
        job, lease = ledger.execution.begin(asked, by="test")
    except LedgerError as error:
        return type(error).__name__, False
    return job.job_id, lease is not None


def refused_by_the_cap(ledger: Ledger, request_id: str, **given: Any) -> bool:
    """Whether a call cannot be opened because of the cap."""
    return begins(ledger, call(request_id, **given))[0] == CapReached.__name__


def owed(ledger: Ledger, kind: str) -> list[dict[str, Any]]:
    """What is or was owed of this kind, in order, without claiming it."""
    wanted = select(obligations.c.payload).where(obligations.c.kind == kind)
    return ledger.database.read(
        lambda connection: list(connection.execute(wanted.order_by(obligations.c.id)).scalars())
    )


def everything(ledger: Ledger) -> dict[str, list[str]]:
    """Every row of every table."""
    return ledger.database.read(
        lambda connection: {
            table.name: sorted(repr(row) for row in connection.execute(select(table)))
            for table in metadata.sorted_tables
        }
    )


def counted(ledger: Ledger, account: str = "legal") -> list[int]:
    """The counters of the account's days, the earliest first."""
    wanted = select(call_days.c.calls).where(call_days.c.account == account)
    return ledger.database.read(
        lambda connection: list(connection.execute(wanted.order_by(call_days.c.day)).scalars())
    )


def a_day_goes_by(ledger: Ledger) -> None:
    """Date every reservation a day earlier, as after midnight."""

    def work(connection: Connection) -> None:
        for column in (calls.c.reserved_on, call_days.c.day):
            days = select(column).where(column.is_not(None)).distinct().order_by(column)
            for day in connection.execute(days).scalars().all():
                moved = {column: day - timedelta(days=1)}
                connection.execute(update(column.table).where(column == day).values(moved))

    ledger.database.write(work)
