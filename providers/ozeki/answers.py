"""Reading the answers of Ozeki's HTTP API: XML, with lenient form and strict success.

The documented facts and the open questions: docs/providers/ozeki.md.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from providers.errors import Uncertain
from providers.http.xml_answers import parsed
from providers.instants import iso
from providers.live_calls import LiveCall

from .refusals import DONE, NAME, NotUnderstood, refusal

#: About ten thousand calls. A larger answer is not this server's, and would take long to read.
MOST_BYTES = 4 << 20
_CODE = re.compile(r"[0-9]{1,4}")


def done(status: int, body: bytes, what: str, *, strict: bool = True) -> list[Element]:
    """Return the elements of an answer that reports success.

    A refusal in the server's own words counts under any HTTP status. A success counts only under
    200: the server documents no other, and a proxy may have sent it. A ``strict`` success has no
    byte that had to be guessed. Raises the error that the code means (ozeki/refusals.py),
    NotUnderstood, and Uncertain if the answer is not understood.
    """
    kind = NotUnderstood if status == 200 else Uncertain
    elements, is_certain = _elements(body)
    codes = {_stripped(element) for element in elements if _name(element) == "code"}
    if len(codes) != 1 or not _CODE.fullmatch(code := codes.pop()):
        hint = "; redirects are not followed: check base_url" if 300 <= status < 400 else ""
        raise kind(NAME, f"{what}: unknown, the answer (HTTP {status}) is not one of Ozeki's{hint}")
    if int(code) != DONE:
        raise refusal(int(code), _text(elements, "message") or "", what)
    if strict and not is_certain:
        raise kind(
            NAME,
            f"{what}: unknown, the answer says done, but in an encoding that Ozeki does not use",
        )
    if status != 200:
        raise Uncertain(
            NAME, f"{what}: unknown, the answer says done, but it came as HTTP {status}"
        )
    return elements


def calls(status: int, body: bytes, what: str) -> list[LiveCall]:
    """Return the calls that ListActiveCalls lists, each ``call_id, state, source, destination,
    caller, started_at, views``; fields that the server omits are None. Raises as `done` does.

    Without calls, <ActiveCalls> may be empty or absent (docs/providers/ozeki.md, Q4). A call whose
    id cannot be read has the call_id None, and may be any call that is not listed. Raises Uncertain
    if no listed call can be read.
    """
    found = []
    for container in done(status, body, what, strict=False):
        for info in container if _name(container) == "activecalls" else ():
            fields = list(info) if _name(info) == "callinfo" else []
            found.append(_call(fields))
    if found and all(call.call_id is None for call in found):
        raise Uncertain(NAME, f"{what}: none of the listed calls could be read")
    return found


def _elements(body: bytes) -> tuple[list[Element], bool]:
    """Return the elements of <Response>, and whether no byte of it had to be guessed. Return no
    elements if the body is something else or declares entities.
    """
    found = parsed(body) if len(body) <= MOST_BYTES else None
    if found is None or _name(found.root) != "response":
        return [], False
    return list(found.root), found.is_certain


def _call(fields: list[Element]) -> LiveCall:
    """Return a call. Its ``caller`` is a display name, not always a number."""
    return LiveCall(
        call_id=_text(fields, "callid"),
        state=_text(fields, "callstate"),
        source=_text(fields, "source"),
        destination=_text(fields, "destination"),
        caller=_text(fields, "callerid"),
        # The vendor's example has four fractional digits and an offset; without an offset, the time
        # is that of an unknown clock.
        started_at=iso(_text(fields, "starttime"), without_offset=None),
    )


def _text(elements: list[Element], name: str) -> str | None:
    """Return the text of the first element with this name, in any case of letters."""
    texts = (_stripped(element) for element in elements if _name(element) == name)
    return next(texts, None) or None


def _stripped(element: Element) -> str:
    return (element.text or "").strip()


def _name(element: Element) -> str:
    """Return the local name in lower case: the pages' own spelling of names varies."""
    return str(element.tag).rpartition("}")[2].lower()
