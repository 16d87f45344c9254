"""The rules that decide which end of a job alerts people, and with which cause.

Four jobs of one night share one cause. An end that only answers its caller (the provider refused,
or an argument was wrong) raises no alert.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
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
from .core.kinds import Ending
from .core.schema import alerts, days, jobs
from .day_exports import is_of_day

#: Errors that only answer the caller: nothing broke that people could repair.
_ANSWERS = frozenset(
    {
        ErrorName.REJECTED,
        ErrorName.INVALID_ARGUMENT,
        ErrorName.REQUEST_CONFLICT,
        ErrorName.CAP_REACHED,
        ErrorName.NO_SUCH_JOB,
    }
)


def decision_cause(call_job_id: str) -> str:
    """Return the cause of a certified call that needs a person's decision."""
    return f"{DECISION}:{call_job_id}"


def late_cause(collect_job_id: str) -> str:
    """Return the cause of a recording whose end was reported after its collection had ended."""
    return f"{CONTRADICTION}:late:{collect_job_id}"


def day_cause(account: str, day: str) -> str:
    """Return the cause of an incomplete day of an account."""
    return f"{DAY}:{account}:{day}"


def missed_days(account: str, first: str, last: str) -> Alert:
    """Return the alert for days that were missed too long ago for any night to catch up on."""
    cause = day_cause(account, first if first == last else f"{first}..{last}")
    message = (
        f"account {account} has no export of the days from {first} to {last}, and no later night "
        f"will export them; run: earwitness export --account {account} --from {first} "
        f"--to {last}"
    )
    return Alert(cause, DAY, account, message)


def damaged_days(account: str, first: str, last: str, example: str) -> Alert:
    """Return the alert for files of complete days that are missing from the archive."""
    cause = day_cause(account, first if first == last else f"{first}..{last}")
    message = (
        f"days of account {account} from {first} to {last} are damaged: files are missing from "
        f"the archive (for example {example}); restore the files from a copy, or export the days "
        f"again: earwitness export --account {account} --from {first} --to {last}"
    )
    return Alert(cause, DAY, account, message)


def spans_over(connection: Connection, account: str) -> list[str]:
    """Return the causes of given-up or damaged spans in which no day is given up or damaged now."""
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


FailureRule = Callable[[Connection, Ending], Alert | None]
OverRule = Callable[[Connection, Ending], None]


def close_usual(connection: Connection, ending: Ending) -> None:
    """Close the alerts that earlier failures of the same work opened."""
    first = _first_job_id(ending.job)
    close_alerts(connection, causes_of_signed_in(first))


def causes_of_signed_in(first_job_id: str) -> list[str]:
    """Return the causes that the success of a short action closes, apart from the credentials'."""
    return [f"{JOB}:{first_job_id}", late_cause(first_job_id)]


def close_signed_in(connection: Connection, ending: Ending) -> None:
    """Close the alerts that earlier failures of a short action opened. A short action that was
    carried out also proves that the provider accepts the credentials.
    """
    first = _first_job_id(ending.job)
    causes = causes_of_signed_in(first)
    if ending.before in (states.RUNNING, states.SENDING):
        causes.append(credentials_cause(ending.job.account))
    close_alerts(connection, causes)


def close_day(connection: Connection, ending: Ending) -> None:
    """Close the alert of an incomplete day, and those of spans in which every day is whole again.
    For an export by filters, close the usual alerts.
    """
    job = ending.job
    if not is_of_day(job):
        close_usual(connection, ending)
        return
    causes = [day_cause(job.account, job.parameters["day"])]
    close_alerts(connection, causes + spans_over(connection, job.account))


def close_verification(connection: Connection, ending: Ending) -> None:
    """Close the alerts that verifications of the same accounts opened."""
    account = ending.job.account
    close_kind(connection, VERIFICATION, None if account == EVERY_ACCOUNT else account)


def usual_failure(
    _connection: Connection, ending: Ending, answers: Collection[str] = _ANSWERS
) -> Alert | None:
    """Return the alert of a failure, or None.

    A failure has no alert if its error only answers the caller (``answers`` holds the names of such
    errors), or if the job's parent or another alert reports the failure.
    """
    job = ending.job
    if job.parent_id is not None or ending.contradicts is not None:
        return None
    error = (job.error or {}).get("type", "")
    if error == ErrorName.BAD_CREDENTIALS:
        return replace(_of_job(job), cause=credentials_cause(job.account), kind=CREDENTIALS)
    return None if error in answers else _of_job(job)


def export_failure(connection: Connection, ending: Ending) -> Alert | None:
    """Return the alert of an export. A refused export lacks recordings, so the refusal is more than
    an answer to the caller.
    """
    job = ending.job
    if not is_of_day(job):
        return usual_failure(connection, ending, _ANSWERS - {ErrorName.REJECTED})
    day = job.parameters["day"]
    message = f"day {day} of account {job.account} is not complete: {job.reason}"
    return replace(_of_job(job), cause=day_cause(job.account, day), kind=DAY, message=message)


def deletion_failure(connection: Connection, ending: Ending) -> Alert | None:
    """Return the alert of a deletion. All deletions of a day that no caller waits for share one
    cause.
    """
    job = ending.job
    if "day" not in job.parameters:
        return usual_failure(connection, ending)
    found = usual_failure(connection, ending, ())
    if found is None or found.kind != JOB:
        return found
    return replace(found, cause=f"{JOB}:deletion:{job.account}:{job.parameters['day']}")


def collection_failure(connection: Connection, ending: Ending) -> Alert | None:
    """Return the alert of a collection, or None if its start failed and reports that."""
    found = usual_failure(connection, ending, ())
    is_reported = found is not None and found.kind == JOB and _start_failed(connection, ending.job)
    return None if is_reported else found


def verification_failure(connection: Connection, ending: Ending) -> Alert:
    """Return the alert of damage. Damage that differs from the last finding is another cause, and
    the alert of the last finding is closed.
    """
    job = ending.job
    problems = sorted((job.result or {}).get("problems", []))
    digest = hashlib.sha256("\n".join(problems).encode()).hexdigest()[:16] if problems else "ended"
    cause = f"{VERIFICATION}:{job.account}:{digest}"
    if problems:
        close_kind(connection, VERIFICATION, job.account, but=cause)
    return Alert(cause, VERIFICATION, job.account, _message(job), job.job_id)


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The alerts that the ends of one kind of job open and close.

    ``over`` closes the alerts that a success ends; ``failure`` returns the alert of a failure, or
    None.
    """

    over: OverRule = close_usual
    failure: FailureRule = usual_failure

    def __call__(self, connection: Connection, ending: Ending) -> None:
        """Open and close alerts for one end, in the transaction that writes the end."""
        job = ending.job
        if ending.before == states.NEEDS_DECISION:
            close_alerts(connection, [decision_cause(job.job_id)])
        if job.state == states.DONE:
            self.over(connection, ending)
        elif job.state == states.FAILED:
            if ending.contradicts is not None:
                message = _message(
                    job, "found a different file in the archive under the name it was to store"
                )
                path = ending.contradicts
                open_alert(
                    connection, archive_contradiction(path, job.account, message, job.job_id)
                )
            found = self.failure(connection, ending)
            if found is not None:
                open_alert(connection, found)


def _of_job(job: Job) -> Alert:
    return Alert(f"{JOB}:{_first_job_id(job)}", JOB, job.account, _message(job), job.job_id)


def _message(job: Job, what: str = "failed") -> str:
    return f"{job.kind} {job.job_id} ({job.account}) {what}: {job.reason}"


def _first_job_id(job: Job) -> str:
    """Return the id of the job that this job retries, or its own id."""
    base, retried, _ = job.request_id.partition("#")
    return job_id(job.account, f"earwitness.{job.kind}", base) if retried else job.job_id


def _start_failed(connection: Connection, job: Job) -> bool:
    """Return whether the start's own end already reports that there is nothing to collect."""
    state = connection.execute(
        select(jobs.c.state).where(jobs.c.job_id == job.parameters["start_job_id"])
    ).scalar_one_or_none()
    return state in (states.FAILED, states.CANCELLED)
