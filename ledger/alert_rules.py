"""Which end of which job people are told of, and as what: four jobs of one night are one cause.

An end that only answers its caller (the provider said no, an argument was wrong) is none.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection, select

from config.error_names import ErrorName

from .alerts import (
    CONTRADICTION,
    CREDENTIALS,
    DAY,
    DECISION,
    EVERY_ACCOUNT,
    JOB,
    VERIFICATION,
    Alert,
    archive_contradiction,
    close_alerts,
    close_kind,
    credentials_cause,
    open_alert,
)
from .core import states
from .core.job import Job, job_id
from .core.schema import alerts, days, jobs

#: Errors that answer the caller: nothing broke that people could mend.
_ANSWERS = (
    ErrorName.REJECTED,
    ErrorName.INVALID_ARGUMENT,
    ErrorName.REQUEST_CONFLICT,
    ErrorName.CAP_REACHED,
    ErrorName.NO_SUCH_JOB,
)
#: Short actions whose success shows that the provider takes the credentials.
_SIGNED_IN = ("certified_call.request", "recording.start", "recording.stop")
_EXPORTS = "export."


def decision_cause(call_job_id: str) -> str:
    """The cause that a certified call waits for a person's decision."""
    return f"{DECISION}:{call_job_id}"


def late_cause(collect_job_id: str) -> str:
    """The cause that a recording's end was told after its collection had ended."""
    return f"{CONTRADICTION}:late:{collect_job_id}"


def day_cause(account: str, day: str) -> str:
    """The cause that a day of an account is not complete."""
    return f"{DAY}:{account}:{day}"


def given_up(account: str, first: str, last: str) -> Alert:
    """That days were missed for so long that no night will catch them up."""
    cause = day_cause(account, first if first == last else f"{first}..{last}")
    message = (
        f"account {account} was not exported from {first} to {last}, and no night catches these "
        f"days up any more; run: python -m worker export --account {account} --from {first} "
        f"--to {last}"
    )
    return Alert(cause, DAY, account, message)


def damaged(account: str, first: str, last: str, example: str) -> Alert:
    """That files of complete days are gone from the archive."""
    cause = day_cause(account, first if first == last else f"{first}..{last}")
    message = (
        f"days of account {account} from {first} to {last} are damaged: files of them are gone "
        f"from the archive (for example {example}); give them back from a copy, or fetch them "
        f"again: python -m worker export --account {account} --from {first} --to {last}"
    )
    return Alert(cause, DAY, account, message)


def told(connection: Connection, job: Job, before: str, contradicts: str | None) -> None:
    """Open and close what the end of a job opens and closes. ``before`` is the state that it left;
    ``contradicts`` the path in the archive where something else stands than the job would keep.
    """
    if before == states.NEEDS_DECISION:
        close_alerts(connection, [decision_cause(job.job_id)])
    if job.state == states.DONE:
        _over(connection, job, before)
    elif job.state == states.FAILED:
        if contradicts is not None:
            message = _message(job, "met something else in the archive than it would keep")
            found = archive_contradiction(contradicts, job.account, message, job.job_id)
            open_alert(connection, found)
        alert = _of_failure(connection, job, contradicts)
        if alert is not None:
            open_alert(connection, alert)


def _over(connection: Connection, job: Job, before: str) -> None:
    if job.kind == "archive.verify":
        close_kind(connection, VERIFICATION, None if job.account == EVERY_ACCOUNT else job.account)
        return
    first = _first_job_id(job)
    causes = [f"{JOB}:{first}", late_cause(first)]
    if _is_day(job):
        causes = [day_cause(job.account, job.parameters["day"])]
        causes += spans_over(connection, job.account)
    if job.kind in _SIGNED_IN and before in (states.RUNNING, states.SENDING):
        causes.append(credentials_cause(job.account))
    close_alerts(connection, causes)


def spans_over(connection: Connection, account: str) -> list[str]:
    """The causes that days in a row were given up or damaged, of which none is any more."""
    c = alerts.c
    open_causes = connection.execute(
        select(c.cause).where(c.kind == DAY, c.account == account, c.closed_at.is_(None))
    ).scalars()
    spans = {cause: cause.rpartition(":")[2].partition("..") for cause in open_causes}
    return [
        cause
        for cause, (first, many, last) in spans.items()
        if many and not _any_lacks(connection, account, first, last)
    ]


def _any_lacks(connection: Connection, account: str, first: str, last: str) -> bool:
    bounds = date.fromisoformat(first), date.fromisoformat(last)
    lacking = select(days.c.day).where(
        days.c.account == account,
        days.c.day.between(*bounds),
        days.c.state.in_((states.DAY_GAVE_UP, states.DAY_DAMAGED)),
    )
    return connection.execute(lacking.limit(1)).first() is not None


def _of_failure(connection: Connection, job: Job, contradicts: str | None) -> Alert | None:
    kind = (job.error or {}).get("type", "")
    alert = Alert(f"{JOB}:{_first_job_id(job)}", JOB, job.account, _message(job), job.job_id)
    if _is_day(job):
        day = job.parameters["day"]
        message = f"day {day} of account {job.account} is not complete: {job.reason}"
        return replace(alert, cause=day_cause(job.account, day), kind=DAY, message=message)
    if job.kind == "archive.verify":
        return _of_verification(connection, job)
    if job.parent_id is not None or contradicts is not None:
        return None
    if kind == ErrorName.BAD_CREDENTIALS:
        return replace(alert, cause=credentials_cause(job.account), kind=CREDENTIALS)
    if job.kind == "recording.delete" and "day" in job.parameters:
        cause = f"{JOB}:deletion:{job.account}:{job.parameters['day']}"
        return replace(alert, cause=cause)
    if job.kind == "recording.collect":
        return None if _start_failed(connection, job) else alert
    if kind in _ANSWERS and not (kind == ErrorName.REJECTED and job.kind.startswith(_EXPORTS)):
        return None
    return alert


def _of_verification(connection: Connection, job: Job) -> Alert:
    """Other damage than the last time is other news; what was found then is not there any more."""
    problems = sorted((job.result or {}).get("problems", []))
    digest = hashlib.sha256("\n".join(problems).encode()).hexdigest()[:16] if problems else "ended"
    cause = f"{VERIFICATION}:{job.account}:{digest}"
    if problems:
        close_kind(connection, VERIFICATION, job.account, but=cause)
    return Alert(cause, VERIFICATION, job.account, _message(job), job.job_id)


def _message(job: Job, what: str = "failed") -> str:
    return f"{job.kind} {job.job_id} ({job.account}) {what}: {job.reason}"


def _is_day(job: Job) -> bool:
    return job.kind == "export.run" and "day" in job.parameters


def _first_job_id(job: Job) -> str:
    """The id of the job that this one is a retry of, or its own."""
    base, retried, _ = job.request_id.partition("#")
    return job_id(job.account, f"earwitness.{job.kind}", base) if retried else job.job_id


def _start_failed(connection: Connection, job: Job) -> bool:
    """Whether people or the caller know from the start's own end that there is nothing to fetch."""
    state = connection.execute(
        select(jobs.c.state).where(jobs.c.job_id == job.parameters["start_job_id"])
    ).scalar_one_or_none()
    return state in (states.FAILED, states.CANCELLED)
