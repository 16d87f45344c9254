"""Reading what Vonage answers: generous in form, strict in what counts as success.

Sources: the vendor's page (seed 004) and what it leaves open (providers.md, sections 4.3 to 4.6).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .errors import Uncertain
from .privacy import forgetful
from .vonage_refusals import NAME

_TEXTS = ("id", "call_id", "caller_id", "dnis", "cnam", "file_name")
_LISTS = ("extensions", "rule_ids")
_NUMBERS = ("duration", "file_size_in_bytes")
#: No bytes, milliseconds or pages are more; SQLite could not store them.
_MOST = 2**63 - 1
#: One of these makes a JSON object a page of a list, whether or not anything was found.
_PAGE = ("_embedded", "_links", "page", "page_size", "total_items", "total_pages", "total_page")


@forgetful
def page(body: bytes, *, asked: int, page_size: int) -> dict[str, Any]:
    """One page of a list: ``recordings, page, page_size, total_items?, total_pages?``.

    ``_embedded`` is absent where nothing was found, ``total_pages`` may be absent too or be called
    ``total_page``, and a smaller ``page_size`` than asked for may be applied (providers.md 4.5).
    Links are not read: the path in the seed's ``next`` is misspelt (seed 004).
    """
    content = _json_object(body, "the list of recordings")
    if not any(name in content for name in _PAGE):
        raise Uncertain(NAME, "the list of recordings: the answer is JSON, but no page of a list")
    found: dict[str, Any] = {
        "recordings": [_recording(one) for one in _listed(content)],
        "page": asked,
        "page_size": _whole(content.get("page_size")) or page_size,
    }
    totals = {
        "total_items": content.get("total_items"),
        "total_pages": content.get("total_pages", content.get("total_page")),
    }
    return {
        **found,
        **{name: whole for name, raw in totals.items() if (whole := _whole(raw)) is not None},
    }


def _listed(content: dict[str, Any]) -> list[Any]:
    embedded = content.get("_embedded") or {"recordings": None}
    listed = embedded.get("recordings", "nothing") if isinstance(embedded, dict) else "nothing"
    if listed is None:
        return []
    if not isinstance(listed, list):
        # A list under another name is not read, and no empty list either.
        raise Uncertain(NAME, "the list of recordings: _embedded could not be read")
    return listed


@forgetful
def recording(body: bytes, what: str) -> dict[str, Any]:
    """A recording on its own; see `page` for how it is read."""
    return _recording(_json_object(body, what))


def _recording(raw: object) -> dict[str, Any]:
    """A recording: every field of the vendor's, ids as text, instants as ISO 8601 in UTC.

    Ids and numbers come as numbers or text, dates with three kinds of offset, and all but id and
    start may be null (providers.md 4.4). Raises Uncertain when it has no id or no readable start:
    it could neither be fetched nor be given to a day.
    """
    if not isinstance(raw, Mapping) or not (name := _identifier(raw.get("id"))):
        raise Uncertain(NAME, "a listed recording has no id")
    found = dict(raw)
    found.update({key: _text(raw[key]) for key in _TEXTS if key in raw})
    found.update({key: _texts(raw[key]) for key in _LISTS if key in raw})
    found.update({key: _whole(raw[key]) for key in _NUMBERS if key in raw})
    for key in ("start", "end"):
        if raw.get(key) is not None:
            found[key] = _instant(str(raw[key]), f"recording {name}: its {key}")
    if not found.get("start"):
        raise Uncertain(NAME, f"recording {name} has no start")
    return found


def _instant(text: str, what: str) -> str:
    """``...Z``, ``...+0000`` (as in the seed, though that is not RFC 3339) or ``...+00:00``."""
    try:
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Uncertain(NAME, f"{what} is no date that can be read") from None
    timespec = "milliseconds" if found.microsecond else "seconds"
    return found.isoformat(timespec=timespec).replace("+00:00", "Z")


@forgetful
def job_ids(body: bytes) -> list[str]:
    """The ids of a new export; one request may become several jobs, or none (seed 004)."""
    what = "the creation of an export"
    listed = _json_object(body, what).get("job_ids")
    if not isinstance(listed, list):
        raise Uncertain(NAME, f"{what}: the answer has no list of job_ids")
    ids = [_identifier(one) for one in listed]
    if not all(ids):
        raise Uncertain(NAME, f"{what}: one of the job_ids could not be read")
    return list(dict.fromkeys(one for one in ids if one))


def deleted(body: bytes, what: str) -> None:
    """Nothing, or JSON: "No Content" (seed 004). Raises Uncertain for anything else, such as a page
    that something in between answered with.
    """
    if body.strip() and "fault" in _json_object(body, what):
        raise Uncertain(NAME, f"{what}: the answer is an error")


def _json_object(body: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises Uncertain when the body is something else."""
    try:
        # NaN and Infinity are no JSON, and nobody who reads the archive could read them.
        content = json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Uncertain(NAME, f"{what}: the answer could not be read as a JSON object")
    return content


def _finite(text: str) -> float | None:
    return number if math.isfinite(number := float(text)) else None


def _identifier(value: object) -> str | None:
    """An id that can be asked for and stored; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    name = _text(value)
    return name if name and name.isprintable() else None


def _text(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _text(item)) is not None]


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        return None
    return whole if 0 <= whole <= _MOST else None
