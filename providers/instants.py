"""Instants as providers write them: read correctly, or not at all.

Only the forms below are read. Anything else (seconds since 1970, digits without separators, two
digits for a year, AM and PM, a leap second) could be taken for another instant, and is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_OFFSET = r"(?: ?(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-9]{2}))?))?"
_FORMS = (
    # 2026-11-10T10:30:00, also with a space for the T, without seconds, or with a fraction.
    re.compile(
        r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
        r"(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)"
        r"(?:(?<=:[0-9]{2}:[0-9]{2})[.,](?P<fraction>[0-9]{1,9}))?" + _OFFSET
    ),
    # 20261110T103000
    re.compile(r"(?P<date>[0-9]{8})T(?P<time>[0-9]{6})(?P<fraction>)" + _OFFSET),
)
#: Programs write "no date" as a year before these: 0000, 0001, 1899, 1900, 1970.
_YEARS = range(1990, 2200)
_LARGEST_OFFSET = timedelta(hours=14)
_LAST_MINUTE = 59


def instant(value: object, *, without_offset: timezone | None = UTC) -> datetime | None:
    """Return an instant in UTC, or None if ``value`` has none of the known forms.

    ``without_offset`` is the zone of a text that names none; None refuses such a text.
    """
    if not isinstance(value, str):
        return None
    found = next(filter(None, (form.fullmatch(value.strip()) for form in _FORMS)), None)
    if found is None:
        return None
    zone = _zone(found) if found["utc"] or found["sign"] else without_offset
    if zone is None:
        return None
    try:
        return _moment(found["date"], found["time"], found["fraction"], zone)
    except ValueError:
        return None


def iso(value: object, *, without_offset: timezone | None = UTC) -> str | None:
    """Return an instant as ISO 8601 with a Z, with milliseconds if there is a fraction."""
    found = instant(value, without_offset=without_offset)
    if found is None:
        return None
    timespec = "milliseconds" if found.microsecond else "seconds"
    return found.isoformat(timespec=timespec).replace("+00:00", "Z")


def _moment(date: str, time: str, fraction: str | None, zone: timezone) -> datetime | None:
    day = datetime.strptime(date.replace("-", ""), "%Y%m%d").replace(tzinfo=zone)
    hour, minute, second = (int(f"{time.replace(':', ''):0<6}"[at : at + 2]) for at in (0, 2, 4))
    microsecond = int(f"{fraction or '':0<6}"[:6])
    if day.year not in _YEARS:
        return None
    # The end of a day may be written as 24:00:00 (ISO 8601).
    if (hour, minute, second, microsecond) == (24, 0, 0, 0):
        return (day + timedelta(days=1)).astimezone(UTC)
    return day.replace(hour=hour, minute=minute, second=second, microsecond=microsecond).astimezone(
        UTC
    )


def _zone(found: re.Match[str]) -> timezone | None:
    if found["utc"]:
        return UTC
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    if offset > _LARGEST_OFFSET or int(found["minutes"] or 0) > _LAST_MINUTE:
        return None
    return timezone(-offset if found["sign"] == "-" else offset)
