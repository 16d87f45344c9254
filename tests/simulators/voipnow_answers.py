"""The shapes of VoipNow's answers: calls, lists of them, errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .messages import Reply, Text, json_reply
from .misbehaviour import dress
from .voipnow_state import Account, PhoneCall, Switches, View

BASE = "/voipnow"
TOKEN = BASE + "/oauth/token.php"
HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"
ACCESS_DENIED = ("access_denied", "You are not authorized to use this request.")


def shown(
    call: PhoneCall, account: Account, origin: str, *, silent: bool = False
) -> dict[str, Any]:
    """A PhoneCall as the vendor's page shows it; NULL fields are left out."""
    switches = account.switches
    own = f"{origin}{BASE}//uapi/phoneCalls/{account.user_id}/{call.extension}/{call.id}"
    return {
        "id": call.id,
        "extension": call.extension,
        "ownerId": account.owner_id,
        "ownerName": "Default Organization",
        "answered": call.at,
        "published": call.at,
        "phoneCallView": [_view(one, switches, call.at, silent=silent) for one in call.views],
        switches.link: {"self": own},
    }


def _view(view: View, switches: Switches, answered: str, *, silent: bool) -> dict[str, Any]:
    told = str if switches.numbers == "text" else int
    shown: dict[str, Any] = {
        "id": view.id,
        "extension": view.extension,
        "status": told(view.status),
        "flow": told(view.flow),
        "callerId": view.caller,
        "source": [view.source],
        "destination": [view.destination],
    }
    if view.status == 5:
        shown["answered"] = answered
    if view.recording and not view.hidden_lists and not silent:
        shown["recording"] = view.recording
    return shown


def listing(entries: list[dict[str, Any]], total: int, start: int, switches: Switches) -> Reply:
    """A page of calls; `total` counts all that match."""
    if not entries and switches.nothing_found in ("204", "php"):
        return Reply(204) if switches.nothing_found == "204" else json_reply(200, [])
    body: dict[str, Any] = {"startIndex": start, "itemsPerPage": len(entries)}
    if switches.totals != "absent":
        body["totalResults"] = str(total) if switches.totals == "text" else total
    if entries or switches.nothing_found == "empty":
        body["entry"] = _entry(entries, switches.entry)
    return json_reply(200, body)


def _entry(entries: list[dict[str, Any]], shape: str) -> Any:
    if shape == "one" and len(entries) == 1:
        return entries[0]
    return {one["id"]: one for one in entries} if shape == "object" else entries


def error(status: int, code: str, message: str) -> Reply:
    """An error of the API."""
    return json_reply(status, {"error": {"code": code, "message": message}})


def fault_reply(parameters: Mapping[str, Any]) -> Reply:
    """The answer that an "answer" fault asks for: body "empty", "html", "error" (the API's own
    shape), any other text verbatim, or a value to be sent as JSON.
    """
    status, body = int(parameters["status"]), parameters["body"]
    if not isinstance(body, str):
        reply = json_reply(status, body)
    elif body == "error":
        reply = error(status, "simulated", f"Simulated answer {status}")
    elif body == "html":
        page = HTML.format(f"Simulated answer {status}").encode()
        reply = Reply(status, {"Content-Type": "text/html; charset=UTF-8"}, Text(page))
    else:
        text = b"" if body == "empty" else body.encode()
        reply = Reply(status, {"Content-Type": "application/json"}, Text(text))
    return dress(reply, parameters)
