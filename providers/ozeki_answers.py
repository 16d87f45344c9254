"""Reading what Ozeki's HTTP API answers: XML, generous in form, strict in what counts as success.

Sources: the Record command (seed 003) and the answers' shape (providers.md 2.1 and 2.4).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from .errors import Uncertain
from .ozeki_refusals import DONE, NAME, refusal

#: Some ten thousand calls; more is no answer of this server, and would take long to read.
MOST_BYTES = 4 << 20
_CODE = re.compile(r"[0-9]{1,4}")
#: Our names of a call's fields, and the vendor's in lower case.
_TEXTS = {
    "call_id": "callid",
    "state": "callstate",
    "source": "source",
    "destination": "destination",
    "caller": "callerid",
}


def done(status: int, body: bytes, what: str) -> list[Element]:
    """The elements of an answer that says done.

    A refusal in the server's own words counts under any HTTP status, a success only under 200: the
    server sends no other (providers.md 2.1), and something in between may have. Raises what the
    code means (ozeki_refusals), Uncertain where the answer is not understood.
    """
    elements = _elements(body) or []
    codes = {_told(element) for element in elements if _name(element) == "code"}
    if len(codes) != 1 or not _CODE.fullmatch(code := codes.pop()):
        hint = "; redirects are not followed: check base_url" if 300 <= status < 400 else ""
        raise Uncertain(
            NAME, f"{what}: unknown, the answer (HTTP {status}) is none of Ozeki's{hint}"
        )
    if int(code) != DONE:
        raise refusal(int(code), _text(elements, "message") or "", what)
    if status != 200:
        raise Uncertain(
            NAME, f"{what}: unknown, the answer says done, but it came as HTTP {status}"
        )
    return elements


def calls(status: int, body: bytes, what: str) -> list[dict[str, Any]]:
    """The calls that ListActiveCalls lists, each ``call_id, state, source, destination, caller,
    started_at, views``; what is not told is None. Raises as `done` does.

    With no calls <ActiveCalls> is empty or absent (providers.md 2.4). A list in which something can
    not be read is no list: a call that is missing from it would be taken for ended.
    """
    found = []
    for container in done(status, body, what):
        for info in container if _name(container) == "activecalls" else ():
            fields = list(info)
            if _name(info) != "callinfo" or _text(fields, "callid") is None:
                raise Uncertain(NAME, f"{what}: one of the listed calls could not be read")
            found.append(_call(fields))
    return found


def _elements(body: bytes) -> list[Element] | None:
    """What stands in <Response>; None where the body is something else, or declares entities."""
    if len(body) > MOST_BYTES:
        return None
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return list(root) if _name(root) == "response" else None


def _call(fields: list[Element]) -> dict[str, Any]:
    """A call: ``caller`` is a display name, not always a number; ``started_at`` is in UTC."""
    return {
        **{name: _text(fields, element) for name, element in _TEXTS.items()},
        "started_at": _instant(_text(fields, "starttime")),
        "views": [],
    }


def _instant(text: str | None) -> str | None:
    """Four fractional digits and an offset in the vendor's example; without an offset it is the
    server's own time, which nobody else knows.
    """
    try:
        found = datetime.fromisoformat(text or "")
        if found.tzinfo is None:
            return None
        found = found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    timespec = "milliseconds" if found.microsecond else "seconds"
    return found.isoformat(timespec=timespec).replace("+00:00", "Z")


def _text(elements: list[Element], name: str) -> str | None:
    """The text of the first of the elements with this name, in whatever case the name is."""
    texts = (_told(element) for element in elements if _name(element) == name)
    return next(texts, None) or None


def _told(element: Element) -> str:
    return (element.text or "").strip()


def _name(element: Element) -> str:
    """The local name in lower case: the pages' own spelling of names varies."""
    return str(element.tag).rpartition("}")[2].lower()
