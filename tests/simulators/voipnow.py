"""4PSA VoipNow's UnifiedAPI, as far as live calls and their recording go.

Written from the vendor's pages (docs/providers/voipnow.md); where they are silent, a switch of the
App decides (voipnow_state.Switches).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .faults import ANSWER_KINDS, WIRE_KINDS, Rules
from .log import Log, Record
from .messages import Reply, Request
from .misbehaviour import delivery, misbehave
from .voipnow_answers import ACCESS_DENIED, BASE, TOKEN, error, fault_reply
from .voipnow_operations import Call, Refusal, act, list_calls
from .voipnow_state import Account, Switches
from .voipnow_tokens import Tokens
from .wire import Delivery, Wire

PATH = re.compile(
    BASE + r"/(?:uapi|unifiedapi)/phoneCalls/(?P<user_id>[^/]+)/(?P<extension>[^/]+)"
    r"(?:/(?P<call_id>[^/]+))?/?"
)
OPERATIONS = ("token", "list", "start", "stop")
ACTIONS = {"StartRecording": "start", "StopRecording": "stop"}


class Voipnow:
    """The server: its Apps, their tokens, and the misbehaviour that tests asked for."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.accounts: dict[str, Account] = {}
        self.defaults = Switches()
        self.tokens = Tokens()
        self.rules = Rules(OPERATIONS)

    def answer(self, request: Request, record: Record, wire: Wire) -> tuple[Reply, Delivery]:
        """The answer to one request and how it is to travel; raises Severed for none."""
        account = self._recognise(request, record)
        met = self._take(record, ANSWER_KINDS)
        misbehave(met, "before", wire)
        replacement = met.get("answer")
        if replacement and replacement["when"] == "before":
            reply = fault_reply(replacement)
        else:
            reply = self._perform(request, record, account)
            misbehave(met, "after", wire)
            reply = fault_reply(replacement) if replacement else reply
        return reply, delivery(self._take(record, WIRE_KINDS))

    def _take(self, record: Record, kinds: Collection[str]) -> dict[str, dict[str, Any]]:
        """The faults of these kinds that a request meets, counted down and noted in the log."""
        taken = self.rules.take((record["operation"],), record["account"], kinds)
        record["faults"] = [*record.get("faults", []), *taken]
        return taken

    def _recognise(self, request: Request, record: Record) -> Account | None:
        """Whose request this is, noted in the log with all that it said but its token."""
        operation = _operation(request)
        if operation == "token":
            state = "not needed"
            account = self.accounts.get(request.form().get("client_id", ""))
        else:
            state, account = self.tokens.read(request.header("authorization"))
            record["target"] = request.target
            record["body"] = request.body.decode("utf-8", "replace")
            record["headers"] = {**request.headers, "authorization": state}
        name = account.client_id if account else None
        self.log.recognised(record, operation=operation, account=name, authorization=state)
        return account

    def _perform(self, request: Request, record: Record, account: Account | None) -> Reply:
        if record["operation"] == "token":
            reply, token = self.tokens.grant(request, self.accounts)
            if token:
                self.log.effect(record, "token_issued", operation="token", secrets=[token])
            return reply
        found = PATH.fullmatch(request.path)
        if found is None or record["operation"] == "none":
            return error(404, "not_found", "There is nothing at this address")
        if account is None or record["authorization"] != "valid":
            switches = account.switches if account else self.defaults
            return error(switches.dead_token_status, *ACCESS_DENIED)
        call = Call(self.log, request, record, account, **found.groupdict())
        try:
            call.check_place()
            return list_calls(call) if record["operation"] == "list" else act(call)
        except Refusal as refusal:
            return refusal.reply()


def _operation(request: Request) -> str:
    if (request.method, request.path) == ("POST", TOKEN):
        return "token"
    found = PATH.fullmatch(request.path)
    if found and request.method == "GET":
        return "list"
    if found and request.method == "PUT" and found["call_id"]:
        try:
            payload = request.json()
        except ValueError:
            payload = {}
        action = payload.get("action") if isinstance(payload, dict) else None
        return ACTIONS.get(str(action), "other")
    return "none"
