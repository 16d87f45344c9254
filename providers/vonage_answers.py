"""Reading what Vonage answers: generous in form, strict in what counts as success.

Sources: the vendor's page (seed 004) and what it leaves open (providers.md, sections 4.3 to 4.7).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import httpx
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from config.logging import mask

from .errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)

NAME = "vonage"

#: ``+0000`` is not RFC 3339, and ``datetime`` reads it only with a colon (providers.md 4.4).
_OFFSET = re.compile(r"([+-]\d{2})(\d{2})$")
_NOT_SUBSCRIBED = {"900908", "900909"}
_TEXTS = ("id", "call_id", "caller_id", "dnis", "cnam")
_LISTS = ("extensions", "rule_ids")
_NUMBERS = ("duration", "file_size_in_bytes")
_MOST_REASON = 300


def json_object(body: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises Uncertain when the body is something else."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Uncertain(NAME, f"the answer to {what} could not be read as a JSON object")
    return content


def recording(raw: object) -> dict[str, Any]:
    """A recording: every field of the vendor's, ids as text, instants as ISO 8601 in UTC.

    Ids and numbers come as numbers or text, dates with three kinds of offset, and any of them may
    be null (providers.md 4.4). Raises Uncertain when it has no id or no readable start.
    """
    if not isinstance(raw, Mapping) or raw.get("id") in (None, ""):
        raise Uncertain(NAME, "a listed recording has no id")
    found = dict(raw)
    for name in _TEXTS:
        if name in found:
            found[name] = None if found[name] is None else str(found[name])
    for name in _LISTS:
        if name in found:
            items = found[name] if isinstance(found[name], list) else [found[name]]
            found[name] = [str(item) for item in items if item is not None]
    for name in _NUMBERS:
        if name in found:
            found[name] = _whole(found[name])
    for name in ("start", "end"):
        if found.get(name) is not None:
            found[name] = instant(str(found[name]))
    if not found.get("start"):
        raise Uncertain(NAME, f"recording {found['id']} has no start")
    return found


def instant(text: str) -> str:
    """``2019-01-01T00:00:00+0000``, ``...Z`` or ``...+00:00`` as ``2019-01-01T00:00:00Z``."""
    try:
        found = datetime.fromisoformat(_OFFSET.sub(r"\1:\2", text.strip()))
    except ValueError:
        raise Uncertain(NAME, "a listed recording has a date that can not be read") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    timespec = "milliseconds" if found.microsecond else "seconds"
    return found.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def page(body: bytes, *, asked: int, page_size: int) -> dict[str, Any]:
    """One page of a list: ``recordings, page, page_size, total_items?, total_pages?``.

    ``_embedded`` is absent where nothing was found, ``total_pages`` may be absent too or be called
    ``total_page`` (providers.md 4.5). Links are not read: the seed's ``next`` is misspelt.
    """
    content = json_object(body, "a list")
    embedded = content.get("_embedded") or {}
    listed = embedded.get("recordings") if isinstance(embedded, dict) else None
    if listed is None:
        listed = []
    if not isinstance(listed, list):
        raise Uncertain(NAME, "the list of recordings could not be read")
    found: dict[str, Any] = {
        "recordings": [recording(one) for one in listed],
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


def job_ids(body: bytes) -> list[str]:
    """The ids of a new export; one request may become several jobs, or none (seed 004)."""
    listed = json_object(body, "the creation of an export").get("job_ids")
    if listed is None:
        raise Uncertain(NAME, "the answer to the creation of an export names no job_ids")
    items = listed if isinstance(listed, list) else [listed]
    return [str(item) for item in items if item not in (None, "")]


def date_of(response: httpx.Response) -> datetime | None:
    """The provider's own time, from the Date header, in UTC."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


def refusal(response: httpx.Response, body: bytes, what: str) -> ProviderError:
    """What a status other than the wanted one means, with the reason that the body gives."""
    status, reason, code = response.status_code, *error_reason(body)
    said = f"{what}: HTTP {status}" + (f" ({reason})" if reason else "")
    if status in (429, 503):
        return Throttled(NAME, said, retry_after(response))
    if status in (401, 403):
        if code in _NOT_SUBSCRIBED:
            return BadCredentials(
                NAME, f"{said}; the application is not subscribed to the CallRecording API suite"
            )
        return BadCredentials(NAME, said)
    if status == 404:
        return NotFound(NAME, said)
    if status == 410:
        return Gone(NAME, said)
    if 400 <= status < 500 and status != 408:
        return Rejected(NAME, said)
    return Uncertain(NAME, said)


def retry_after(response: httpx.Response) -> float | None:
    """How many seconds to wait: the header has seconds or a date; None where it has neither."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    sent = date_of(response) or datetime.now(UTC)
    return max((until.astimezone(UTC) - sent).total_seconds(), 0.0)


def error_reason(body: bytes) -> tuple[str, str | None]:
    """The reason in one line and, from the gateway, its code. Bodies have four shapes, or are HTML
    (providers.md 4.7).
    """
    text = body[:65536].decode("utf-8", "replace").strip()
    reason, code = "", None
    if text.startswith("<"):
        reason, code = _xml_reason(text)
    else:
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if isinstance(content, dict):
            reason, code = _json_reason(content)
    return mask(" ".join(reason.split()))[:_MOST_REASON], code


def _json_reason(content: dict[str, Any]) -> tuple[str, str | None]:
    fault = content.get("fault")
    if isinstance(fault, dict):
        # WSO2's API manager: {"fault": {"code", "message", "description"}}
        return _joined(fault.get("message"), fault.get("description")), str(fault.get("code"))
    wrong = content.get("invalid_parameters")
    if isinstance(wrong, list):
        named = [
            f"{one.get('name')}: {one.get('reason')}" for one in wrong if isinstance(one, dict)
        ]
        return _joined(content.get("title"), *named), None
    known = ("title", "msg", "errorMessage", "error", "error_description", "message", "detail")
    return _joined(*(content.get(name) for name in known)), None


def _xml_reason(text: str) -> tuple[str, str | None]:
    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError):
        return (
            "a page of HTML" if "<html" in text[:1000].lower() else "a text that is no XML"
        ), None
    fields = {child.tag.rpartition("}")[2]: child.text for child in root.iter()}
    if root.tag.rpartition("}")[2].lower() == "html":
        return "a page of HTML", None
    return _joined(fields.get("message"), fields.get("description")), fields.get("code")


def _joined(*texts: object) -> str:
    return ": ".join(str(text) for text in texts if text not in (None, "", []))


def _whole(value: object) -> int | None:
    try:
        return None if isinstance(value, bool) else int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return None
