"""Information in an answer's headers: the provider's time, the wait, the coding of the body."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

#: An account that must pause for longer is tried again after a day.
_LONGEST_WAIT_SECONDS = 86400.0
#: Values that object stores and web servers send as a Content-Encoding that packs nothing:
#: charsets, encodings of mail, and the way a file was once uploaded to S3.
_NO_CODINGS = (
    *("", "identity", "none", "binary", "7bit", "8bit", "chunked", "aws-chunked"),
    *("utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"),
)


def retry_after(headers: httpx.Headers) -> float | None:
    """Return how many seconds to wait, a day at most, from seconds or a date; None without either.

    A date is compared with the answer's own Date, since clocks differ.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", text):
        return min(float(text), _LONGEST_WAIT_SECONDS)
    until = _http_date(text)
    if until is None:
        return None
    seconds = (until - (date_of(headers) or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)


def date_of(headers: httpx.Headers) -> datetime | None:
    """Return the provider's own time, from the Date header, in UTC."""
    return _http_date(headers.get("Date", ""))


def codings(headers: httpx.Headers) -> list[str]:
    """Return the codings of a body, in lower case and by their current names. Return nothing for a
    plain body, whose Content-Encoding may be empty or name no coding.
    """
    named = headers.get_list("Content-Encoding", split_commas=True)
    found = [one.strip().lower() for one in named]
    return [one.removeprefix("x-") for one in found if one not in _NO_CODINGS]


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # also the last day of 9999 in western time
        return None
