"""Files over HTTP as Vonage serves them: whole or from an offset, chunked, with an ETag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .audio import PRETENDERS
from .messages import Body, Padded, Preceded, Reply, Request, Shortened, Text
from .vonage_answers import error_reply
from .vonage_state import Switches

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Served:
    """A file that is offered."""

    body: Body
    content_type: str
    etag: str


def file_reply(
    request: Request,
    served: Served,
    switches: Switches,
    faults: Mapping[str, Mapping[str, Any]],
) -> Reply:
    """Answers 200, 206 or 416, as Range and If-Range ask and the switches allow."""
    body = _changed(served.body, faults)
    tag = {"strong": f'"{served.etag}"', "weak": f'W/"{served.etag}"', "none": None}[switches.etag]
    headers = {"Content-Type": served.content_type} if served.content_type else {}
    if tag:
        headers["ETag"] = tag
    if switches.ranges:
        headers["Accept-Ranges"] = "bytes"
    framing = "length" if switches.send_length else "chunked"
    whole = Reply(200, headers, body, framing)
    if not switches.ranges or not _may_resume(request, tag):
        return whole
    return _part(whole, request.header("range") or "", faults)


def _changed(body: Body, faults: Mapping[str, Mapping[str, Any]]) -> Body:
    """The file as the faults want it: another one, cut, or with zeros at either end."""
    if "other_file" in faults:
        body = Text(PRETENDERS[faults["other_file"]["file"]])
    if "cut_file" in faults:
        body = Shortened(body, int(body.size * float(faults["cut_file"]["share"])))
    if "preceded" in faults:
        body = Preceded(body, int(faults["preceded"]["bytes"]))
    if "padded" in faults:
        body = Padded(body, int(faults["padded"]["bytes"]))
    return body


def _may_resume(request: Request, tag: str | None) -> bool:
    """A Range counts unless an If-Range names another entity; weak tags never match."""
    condition = request.header("if-range")
    if condition is None:
        return True
    return tag is not None and not tag.startswith("W/") and condition == tag


def _part(whole: Reply, wanted: str, faults: Mapping[str, Mapping[str, Any]]) -> Reply:
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or found.groups() == ("", ""):
        return whole
    size = whole.body.size
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= size or start >= stop:
        refusal = error_reply("empty", 416, "Range not satisfiable")
        refusal.headers |= {**whole.headers, "Content-Range": f"bytes */{size}"}
        return refusal
    if "wrong_range" in faults:
        start = min(max(0, start + int(faults["wrong_range"]["by"])), stop - 1)
    headers = {**whole.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return Reply(206, headers, whole.body, whole.framing, start, stop)
