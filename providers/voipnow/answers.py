"""Reading the answers of a VoipNow server: lenient form, strict success.

The documented facts and the open questions: docs/providers/voipnow.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from providers.errors import Uncertain
from providers.http.json_answers import parsed
from providers.http.redaction import drop_frames
from providers.instants import iso
from providers.live_calls import LiveCall

from .refusals import NAME

#: PhoneCallView.status in words; servers send numbers or text (docs/providers/voipnow.md, C11).
_STATES = {
    0: "unknown",
    1: "off_hook",
    2: "trying",
    3: "ringing",
    4: "other_side_ringing",
    5: "on_call",
}
_DIRECTIONS = {2: "local", 4: "outgoing", 8: "incoming"}
#: A whole number, also as text and as 5.0.
_WHOLE = re.compile(r"\s*([0-9]{1,9})(?:\.0+)?\s*")
#: The values that servers write for a recording that never began: no, zeros, and the years of no
#: date.
_NEVER = re.compile(
    r"(?i)[0\s:./TZ+-]*|false|no|null|none|nil|never|off|n/a|(?:0001|1899|1900|1970)-.*"
)
_PAGE = ("entry", "totalResults", "startIndex", "itemsPerPage")


class Page(NamedTuple):
    """The PhoneCalls of one answer, and the server's total count if given."""

    calls: list[LiveCall]
    total: int | None


@dataclass(frozen=True)
class Recorded:
    """An answer's content about a view: whether the view is being recorded, and ``since`` when (ISO
    8601 in UTC, or the server's own text if that is not a date).

    ``known`` is false if the answer says nothing of the view: HTTP 204, or another view.
    """

    known: bool
    since: str | None = None


@drop_frames
def page(body: bytes) -> Page:
    """Return the calls of a list; `Voipnow.calls` documents their form.

    ``entry`` is a list, an object keyed by id, one PhoneCall, or absent if no call matches
    (docs/providers/voipnow.md, Q7). A call whose id cannot be read has the call_id None, and may be
    any call that is not listed. Raises Uncertain for anything else, and if no call can be read.
    """
    what = "the list of calls"
    content = _content(body, what)
    if isinstance(content, list):
        # PHP writes an empty object as an empty array.
        content = {"entry": content}
    if content and not any(name in content for name in _PAGE):
        raise Uncertain(NAME, f"{what}: the answer is JSON, but not a list")
    entries = _entries(content.get("entry"), what)
    total = _whole(content.get("totalResults"))
    if total and "entry" not in content and not _whole(content.get("startIndex")):
        counted = f"{total} call{'s' * (total != 1)}"
        raise Uncertain(NAME, f"{what}: the server counts {counted} but lists none")
    calls = [_call(one) for one in entries]
    if calls and all(call.call_id is None for call in calls):
        raise Uncertain(NAME, f"{what}: none of the listed calls has an id")
    return Page(calls, total)


def _entries(entry: object, what: str) -> list[Any]:
    if entry is None or entry == "":
        return []
    if isinstance(entry, list):
        return entry
    if not isinstance(entry, dict):
        raise Uncertain(NAME, f"{what}: entry could not be read")
    if "phoneCallView" in entry or _text(entry.get("id")):
        return [entry]
    return [
        {**one, "id": one.get("id") or name} if isinstance(one, dict) else one
        for name, one in entry.items()
    ]


@drop_frames
def recorded(body: bytes, view_id: str, what: str) -> Recorded:
    """Return what the answer to an action, an object or an array of one, says about its view. The
    call's id is not compared: the vendor's example has another (docs/providers/voipnow.md, C4).
    """
    content = _content(body, what)
    if isinstance(content, list):
        if len(content) > 1:
            raise Uncertain(NAME, f"{what}: the answer holds several calls")
        content = content[0] if content else {}
    if not isinstance(content, dict) or (content and not {"id", "phoneCallView"} & set(content)):
        raise Uncertain(NAME, f"{what}: the answer is JSON, but not a phone call")
    views = _views(content)
    if views is None:
        raise Uncertain(NAME, f"{what}: the views of the call could not be read")
    for view in views:
        if view["view_id"] == view_id:
            return Recorded(known=True, since=view["recording"])
    if any(view["view_id"] is None for view in views):
        raise Uncertain(NAME, f"{what}: a view of the call has no id")
    return Recorded(known=False)


def _call(raw: object) -> LiveCall:
    raw = raw if isinstance(raw, Mapping) else {}
    views = _views(raw) or []
    extension = _text(raw.get("extension"))
    own = next((one for one in views if one["extension"] == extension), None)
    first = own or (views[0] if views else {})
    states = [one["state"] for one in views]
    return LiveCall(
        call_id=_text(raw.get("id")),
        # The state of a call is the state of its furthest view.
        state=max(states, key=list(_STATES.values()).index, default="unknown"),
        source=", ".join(first.get("source", ())) or None,
        destination=", ".join(first.get("destination", ())) or None,
        caller=first.get("caller"),
        started_at=iso(raw.get("published")) or iso(raw.get("answered")),
        views=views,
        more={"extension": extension},
    )


def _views(call: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return a call's views, or None if they cannot be read."""
    listed = call.get("phoneCallView") or []
    if isinstance(listed, dict):
        listed = [listed] if "id" in listed else list(listed.values())
    return [_view(one) for one in listed] if isinstance(listed, list) else None


def _view(raw: object) -> dict[str, Any]:
    """Return a view. It is being recorded if ``recording`` has a start time; servers omit NULL
    fields. A view whose id cannot be read has the view_id None.
    """
    raw = raw if isinstance(raw, Mapping) else {}
    return {
        "view_id": _text(raw.get("id")),
        "extension": _text(raw.get("extension")),
        "state": _STATES.get(_number(raw.get("status")), "unknown"),
        "direction": _DIRECTIONS.get(_number(raw.get("flow"))),
        "source": _texts(raw.get("source")),
        "destination": _texts(raw.get("destination")),
        # The vendor's pages have both spellings (docs/providers/voipnow.md, C13).
        "caller": _text(raw.get("callerId", raw.get("callerID"))),
        "answered_at": iso(raw.get("answered")),
        "recording": _since(raw.get("recording")),
    }


def _since(value: object) -> str | None:
    """Return when a recording began: the instant, or the server's own text if that is none.
    Return None for values that mean no recording, such as a date of zeros.
    """
    since = iso(value) or ("true" if value is True else _text(value))
    return None if since is None or _NEVER.fullmatch(since) else since


def _content(body: bytes, what: str) -> Any:
    """Return a JSON object or array. Raises Uncertain for anything else, and for an error in a
    success.
    """
    try:
        content = parsed(body)
    except ValueError:
        content = None
    if not isinstance(content, dict | list):
        raise Uncertain(NAME, f"{what}: the answer could not be read as JSON")
    if isinstance(content, dict) and "error" in content:
        raise Uncertain(NAME, f"{what}: the answer is an error")
    return content


def _text(value: object) -> str | None:
    """Return a value as text; None without a value, or for an empty one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _texts(value: object) -> list[str]:
    items: Iterable[object] = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _text(item)) is not None]


def _number(value: object) -> int:
    whole = _whole(value)
    return 0 if whole is None else whole


def _whole(value: object) -> int | None:
    written = _WHOLE.fullmatch(str(value)) if isinstance(value, int | float | str) else None
    return int(written[1]) if written else None
