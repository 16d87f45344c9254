"""Days that list far fewer recordings than the same weekday did before: complete, but probably
wrong.

A wrong filter or an empty listing looks like a quiet day: 0 of 0 recordings are archived.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection, select

from .alerts import UNUSUAL, Alert, close_alerts, open_alert
from .core.job import Job
from .core.schema import alerts, days

#: The weekday is looked up in so many earlier weeks, and compared if it was listed in so many of
#: them.
_WEEKS = 8
_FEWEST_WEEKS = 3
#: A count below this share of the median is unusual if the median is large (`_LARGE_MEDIAN`). A
#: count of zero is unusual from `_SOME_MEDIAN` on.
_SHARE = 0.25
_LARGE_MEDIAN = 10
_SOME_MEDIAN = 3


def unusual_cause(account: str, day: str) -> str:
    """Return the cause of a day that lists far fewer recordings than the same weekday before."""
    return f"{UNUSUAL}:{account}:{day}"


def compare(connection: Connection, job: Job) -> None:
    """Open the alert of a day whose export listed far fewer recordings than the same weekday did in
    recent weeks, or close the alert if the day now lists usual numbers. An alert that a person has
    closed stays closed.
    """
    listed = (job.result or {}).get("listed")
    if listed is None:
        return
    cause = unusual_cause(job.account, job.parameters["day"])
    before = _before(connection, job.account, date.fromisoformat(job.parameters["day"]))
    if not _is_unusual(listed, before):
        close_alerts(connection, [cause])
    elif not _is_explained(connection, cause):
        open_alert(
            connection, Alert(cause, UNUSUAL, job.account, _message(job, before), job.job_id)
        )


def _before(connection: Connection, account: str, day: date) -> list[int]:
    """Return the counts that the same weekday listed in the weeks before, newest first."""
    wanted = (
        select(days.c.counts)
        .where(
            days.c.account == account,
            days.c.day.in_([day - timedelta(weeks=number) for number in range(1, _WEEKS + 1)]),
            days.c.counts.is_not(None),
        )
        .order_by(days.c.day.desc())
    )
    return [counts["listed"] for counts in connection.execute(wanted).scalars()]


def _is_unusual(listed: int, before: list[int]) -> bool:
    if len(before) < _FEWEST_WEEKS:
        return False
    usual = _median(before)
    far_fewer = usual >= _LARGE_MEDIAN and listed < _SHARE * usual
    return far_fewer or (listed == 0 and usual >= _SOME_MEDIAN)


def _median(counts: list[int]) -> float:
    # Its module costs a command a twentieth of its start, and few days are compared.
    from statistics import median  # noqa: PLC0415

    return median(counts)


def _is_explained(connection: Connection, cause: str) -> bool:
    wanted = select(alerts.c.closed_by).where(alerts.c.cause == cause)
    return connection.execute(wanted).scalar_one_or_none() is not None


def _message(job: Job, before: list[int]) -> str:
    listed = (job.result or {})["listed"]
    counted = "1 recording" if listed == 1 else f"{listed} recordings"
    # Words between the numbers: a sequence of bare numbers would be masked as a telephone number.
    return (
        f"day {job.parameters['day']} of account {job.account} lists {counted}; on the same "
        f"weekday, the {len(before)} earlier weeks listed a median of {_median(before):g}, at "
        f"least {min(before)} and at most {max(before)}; if the day was not a holiday, check the "
        "filters of the account's nights and what the provider shows for this day; to export what "
        "is missing, run earwitness.export.run with the right filters"
    )
