"""The shapes of Ozeki's answers: XML with a code, always under HTTP 200."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from .messages import Reply, Text
from .misbehaviour import dress
from .ozeki_state import Call

HEADERS = {"Content-Type": "application/xml", "Server": "Microsoft-HTTPAPI/2.0"}
HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"
XSD = ' xmlns:xsd="http://www.w3.org/XMLSchema"'
XSI = ' xmlns:xsi="http://www.w3.org/XMLSchema-instance"'
NAMESPACES = {"xsd_first": XSD + XSI, "xsi_first": XSI + XSD, "absent": ""}
#: The vendor's messages, its spelling kept.
MESSAGES = {
    200: "Command successfully executed",
    300: "Error occured during parsing message: '{0}'",
    301: "Not implemented command: '{0}'",
    302: "Missing or invalid parameter '{0}' for command '{1}'",
    303: "Command '{0}' cannot be used here",
    304: "Authentication required",
    305: "Authentication failed, bad username or password",
    306: "User is not allowed to use API in ACL",
    307: "Use API from this address is forbidden",
    401: "API extension '{0}' unavailable, please check configuration or permissions",
    402: "Call connect to '{0}' failed with result state '{1}'",
    501: "Destination of the SMS is not found",
    601: "Call not found with ID {0}",
    701: "Config not found",
    702: "Invalid config",
    703: "Config already exists",
}


class Coded(Exception):
    """The answer is this code, and its message with these words filled in."""

    def __init__(self, code: int, *words: str) -> None:
        super().__init__(code, *words)
        self.code = code
        self.words = words


def coded(code: int, *words: str, namespaces: str = "xsd_first", content: str = "") -> Reply:
    """An answer with a code, and behind its message what else the command tells."""
    message = MESSAGES.get(code, "Unknown").format(*[*words, "?", "?"])
    document = (
        f'<?xml version="1.0"?>\n<Response{NAMESPACES[namespaces]}>\n<Code>{code}</Code>\n'
        f"<Message>{escape(message)}</Message>\n{content}</Response>\n"
    )
    return Reply(200, dict(HEADERS), Text(document.encode()))


def active_calls(calls: Iterable[Call], namespaces: str, empty_list: str) -> Reply:
    """The answer to ListActiveCalls."""
    shown = "".join(_call_info(call) for call in calls)
    is_left_out = not shown and empty_list == "absent"
    content = "" if is_left_out else f"<ActiveCalls>\n{shown}</ActiveCalls>\n"
    return coded(200, namespaces=namespaces, content=content)


def _call_info(call: Call) -> str:
    fields = {
        "CallState": call.state,
        "CallId": call.call_id,
        "Source": call.source,
        "CallerId": call.caller,
        "Destination": call.destination,
        "StartTime": _start(call),
        "RingDuration": "2",
        "TalkDuration": str(call.seconds),
    }
    told = "".join(f"<{name}>{escape(value)}</{name}>\n" for name, value in fields.items())
    return f"<CallInfo>\n{told}</CallInfo>\n"


def _start(call: Call) -> str:
    """Four fractional digits and an offset, as in the vendor's example."""
    text = call.started_at.isoformat(timespec="microseconds")
    return text[:24] + text[26:]


def fault_reply(parameters: Mapping[str, Any]) -> Reply:
    """The answer that an "answer" fault asks for: body "empty", "html", digits for a code, any
    other text verbatim.
    """
    status, body = int(parameters["status"]), str(parameters["body"])
    if body.isdecimal():
        reply = coded(int(body))
    elif body == "html":
        page = HTML.format(f"Simulated answer {status}").encode()
        reply = Reply(status, {"Content-Type": "text/html"}, Text(page))
    else:
        reply = Reply(status, dict(HEADERS), Text(b"" if body == "empty" else body.encode()))
    reply.status = status
    return dress(reply, parameters)
