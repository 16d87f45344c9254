"""The shapes of gsmblockchain's answers: OK and KO in every form that they might come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .messages import Reply, Text, json_reply
from .misbehaviour import dress

PHP = {"Content-Type": "text/html; charset=UTF-8"}  # what PHP says when nobody says otherwise
HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"
CURLY = "“{}”"


def placed(platform_phone: str, form: str) -> Reply:
    """The answer to a call that was accepted, with a number of the platform."""
    return _said({"status": "OK", "phone": platform_phone}, form)


def refused(message: str, form: str) -> Reply:
    """The answer to a call that was not."""
    return _said({"status": "KO", "errorMessage": message}, form)


def page(status: int, message: str) -> Reply:
    """An answer of the web server itself, or of a proxy before it."""
    return Reply(status, dict(PHP), Text(HTML.format(message).encode()))


def fault_reply(parameters: Mapping[str, Any]) -> Reply:
    """The answer that an "answer" fault asks for: body "empty", "html", any other text as it
    stands, or a value to be sent as JSON.
    """
    status, body = int(parameters["status"]), parameters["body"]
    if not isinstance(body, str):
        reply = json_reply(status, body)
    elif body == "html":
        reply = page(status, f"Simulated answer {status}")
    else:
        reply = Reply(status, dict(PHP), Text(b"" if body == "empty" else body.encode()))
    return dress(reply, parameters)


def _said(fields: dict[str, str], form: str) -> Reply:
    return Reply(200, dict(PHP), Text(FORMS[form](fields).encode()))


def _json(fields: dict[str, str]) -> str:
    """As PHP's json_encode writes it; a number has no leading zeros there."""
    bare = {name: int(value) if name == "phone" else value for name, value in fields.items()}
    return _compact(bare)


def _compact(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _pseudo(fields: dict[str, str], *, quote_phone: bool = False) -> str:
    """As the vendor's page shows it: bare names, curly quotes, a comma too many."""
    bare = set() if quote_phone else {"phone"}
    shown = {n: value if n in bare else CURLY.format(value) for n, value in fields.items()}
    return "{\n" + "".join(f"{name}: {value},\n" for name, value in shown.items()) + "}"


def _lower_case(fields: dict[str, str]) -> str:
    return _json(fields | {"status": fields["status"].lower()})


def _no_phone(fields: dict[str, str]) -> str:
    """The page's table of answer parameters knows no phone, only its example does."""
    return _compact({name: value for name, value in fields.items() if name != "phone"})


FORMS: dict[str, Callable[[dict[str, str]], str]] = {
    "json": _json,
    "json_string": _compact,
    "pseudo": _pseudo,
    "pseudo_string": lambda fields: _pseudo(fields, quote_phone=True),
    "bom": lambda fields: "\ufeff" + _json(fields),
    "spaced": lambda fields: f"\r\n\n \t{_json(fields)}\r\n\n",
    "lower_case": _lower_case,
    "no_phone": _no_phone,
}
