"""What each request of the VoipNow API does, once its caller is admitted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .log import Log, Record
from .messages import Reply, Request, json_reply
from .voipnow_answers import error, listing, shown
from .voipnow_state import Account, PhoneCall, View, moment

FORMATS = ("wav", "wav49")
MOST = 5000
FILTERS = ("id", "published")
FILTER_OPERATIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda value, wanted: wanted in value,
    "equals": lambda value, wanted: value == wanted,
    "greaterThan": lambda value, wanted: value > wanted,
    "inArray": lambda value, wanted: value in wanted.split(","),
    "lessThan": lambda value, wanted: value < wanted,
    "present": lambda value, _: bool(value),
    "startsWith": lambda value, wanted: value.startswith(wanted),
}
#: The messages of errors as the vendor's server words them (docs/providers/voipnow.md).
MESSAGES = {
    "pc_recformat_invalid": "Value supplied in recFormat parameter is missing or invalid. The "
    "parameter must be set to one of the following value: wav or wav49.",
    "pc_phonecall_invalid": "Value supplied in phoneCallId from the URI-Fragment is invalid. The "
    "parameter must be set to an alpha-numeric value and reference an existing phone call.",
    "pc_phonecallview_invalid": "Value supplied in phoneCallViewId parameter is missing or invalid."
    " The parameter must reference a view of the phone call identfied by the phoneCallId given in "
    "the URI-Fragment.",
}


class Refusal(Exception):
    """An error answer of the API."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status

    def reply(self) -> Reply:
        message = MESSAGES.get(self.code, f"The request is refused: {self.code}")
        return error(self.status, self.code, message)


@dataclass(frozen=True)
class Call:
    """One admitted request."""

    log: Log
    request: Request
    record: Record
    account: Account
    user_id: str
    extension: str
    call_id: str | None

    def check_place(self) -> None:
        """Whether the user and the extension of the address exist; raises Refusal."""
        if self.user_id not in ("@me", "@viewer", "@owner", self.account.user_id):
            raise Refusal("user_invalid")
        if not re.fullmatch(r"@self|[0-9]+\*[0-9]+", self.extension):
            raise Refusal("extension_invalid")

    def phone_call(self) -> PhoneCall:
        """The call of the address; raises Refusal."""
        found = self.account.calls.get(self.call_id or "")
        if found is None or not found.involves(self.extension):
            raise Refusal("pc_phonecall_invalid")
        return found


def list_calls(call: Call) -> Reply:
    """GET phoneCalls/{userId}/{extension}[/{phoneCallId}]"""
    query, account = call.request.query, call.account
    count = _number(query, "count", 20, least=1)
    start = _number(query, "startIndex", 0, least=0)
    if account.switches.page_cap:
        count = min(count, account.switches.page_cap)
    with account.lock:
        found = [
            one
            for one in account.calls.values()
            if one.involves(call.extension)
            and call.call_id in (None, one.id)
            and _passes(one, query)
        ]
        if query.get("sortOrder", "ascending") not in ("ascending", "descending"):
            raise Refusal("sortorder_invalid")
        if query.get("sortOrder") == "descending":
            found.reverse()
        origin = call.request.origin()
        entries = [shown(one, account, origin) for one in found[start : start + count]]
        for view in (view for one in found for view in one.views):
            view.hidden_lists = max(0, view.hidden_lists - 1)
    return listing(entries, len(found), start, account.switches)


def act(call: Call) -> Reply:
    """PUT phoneCalls/{userId}/{extension}/{phoneCallId}: StartRecording and StopRecording"""
    payload = _payload(call)
    facts = {
        "action": payload.get("action"),
        "user_id": call.user_id,
        "extension": call.extension,
        "call_id": call.call_id,
        "view_id": payload.get("phoneCallViewId"),
        "format": payload.get("format"),
    }
    with call.account.lock:
        try:
            phone_call, view = _aimed_at(call, payload)
            outcome = (_start if payload["action"] == "StartRecording" else _stop)(
                call, view, payload
            )
        except Refusal as refusal:
            call.account.note(**facts, outcome=refusal.code)
            raise
        call.account.note(**facts, outcome=outcome)
        call.log.effect(call.record, "recording_" + outcome, **facts)
        return _answer(call, phone_call)


def _payload(call: Call) -> dict[str, Any]:
    try:
        payload = call.request.json()
    except ValueError:
        payload = None
    if not isinstance(payload, dict) or "json" not in (call.request.header("content-type") or ""):
        raise Refusal("request_payload_invalid")
    return payload


def _aimed_at(call: Call, payload: Mapping[str, Any]) -> tuple[PhoneCall, View]:
    call.check_place()
    if payload.get("action") not in ("StartRecording", "StopRecording"):
        raise Refusal("request_not_implemented", 501)
    if payload["action"] == "StartRecording" and payload.get("format", "wav") not in FORMATS:
        raise Refusal("pc_recformat_invalid")
    phone_call = call.phone_call()
    view = phone_call.view(payload.get("phoneCallViewId"))
    if view is None:
        raise Refusal("pc_phonecallview_invalid")
    return phone_call, view


def _start(call: Call, view: View, payload: Mapping[str, Any]) -> str:
    if view.extension in call.account.switched_off:
        return "switched_off"
    if view.recording:
        if call.account.switches.second_start == "refused":
            raise Refusal("pc_recording_invalid")
        return "already"
    view.recording, view.format = moment(), payload.get("format", "wav")
    view.hidden_lists = call.account.switches.shown_after_lists
    return "started"


def _stop(call: Call, view: View, _: Mapping[str, Any]) -> str:
    if view.extension in call.account.switched_off or not view.recording:
        return "not_recording"
    view.recording = view.format = None
    return "stopped"


def _answer(call: Call, phone_call: PhoneCall) -> Reply:
    kind = call.account.switches.action_answer
    if kind == "204":
        return Reply(204)
    origin = call.request.origin()
    body = shown(phone_call, call.account, origin, silent=kind == "silent")
    return json_reply(200, [body] if kind == "array" else body)


def _passes(one: PhoneCall, query: Mapping[str, str]) -> bool:
    if "filterBy" not in query:
        return True
    name, operation = query["filterBy"], query.get("filterOp", "")
    if name not in FILTERS:
        raise Refusal("filterby_invalid")
    if operation not in FILTER_OPERATIONS:
        raise Refusal("filterop_invalid")
    value = one.id if name == "id" else one.at
    return FILTER_OPERATIONS[operation](value, query.get("filterValue", ""))


def _number(query: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= MOST:
        raise Refusal(f"{name.lower()}_invalid")
    return int(text)
