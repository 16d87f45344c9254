"""Ozeki Phone System's HTTP API: Record and ListActiveCalls, and the files of recordings.

Written from the vendor's pages (docs/providers/ozeki.md); where they are silent or contradict each
other, a switch decides (ozeki_state.Switches). Each server has a path of its own,
/ozeki/<name>/, as each would have a host of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from .faults import ANSWER_KINDS, FILE_KINDS, NOTIFICATIONS, WIRE_KINDS, Rules
from .log import Log, Record
from .messages import Reply, Request
from .misbehaviour import delivery, misbehave
from .ozeki_answers import HTML, Coded, active_calls, coded, fault_reply
from .ozeki_notifier import Notifier
from .ozeki_pbx import NoSuchCall, Pbx
from .ozeki_state import Limits, Recording, Switches
from .vonage_files import Served, file_reply
from .wire import Delivery, Wire

BASE = "/ozeki"
FILES = "/HttpRecordings/"
OPERATIONS = ("record", "list", "recording", *NOTIFICATIONS)
COMMANDS = {"record": "record", "listactivecalls": "list"}
TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}


class Ozeki:
    """The servers, each under a name, and the misbehaviour that tests asked for."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.pbxs: dict[str, Pbx] = {}
        self.defaults = Switches()
        self.rules = Rules(OPERATIONS)
        self.numbers = itertools.count(1)
        self.notifier = Notifier(self.rules, self.note)

    def note(self, name: str, effect: str, **fields: Any) -> None:
        """Logs an effect that no request of this moment had."""
        self.log.effect({"n": 0, "provider": "ozeki", "account": name}, effect, **fields)

    def answer(self, request: Request, record: Record, wire: Wire) -> tuple[Reply, Delivery]:
        """The answer to one request and how it is to travel; raises Severed for none."""
        name, _, rest = request.path.removeprefix(BASE + "/").partition("/")
        pbx = self.pbxs.get(name)
        parameters = _parameters(request)
        operation = _operation("/" + rest, request, parameters)
        state = _authorization(pbx, parameters)
        account = pbx.name if pbx else None
        self.log.recognised(record, operation=operation, account=account, authorization=state)
        met = self._take(record, ANSWER_KINDS)
        misbehave(met, "before", wire)
        replacement = met.get("answer")
        if replacement and replacement["when"] == "before":
            reply = fault_reply(replacement)
        else:
            reply = self._perform(request, record, pbx, parameters)
            misbehave(met, "after", wire)
            reply = fault_reply(replacement) if replacement else reply
        served = operation != "recording" or record.get("file", False)
        return reply, delivery(self._take(record, WIRE_KINDS) if served else {})

    def _take(self, record: Record, kinds: Collection[str]) -> dict[str, dict[str, Any]]:
        """The faults of these kinds that a request meets, counted down and noted in the log."""
        taken = self.rules.take((record["operation"],), record["account"], kinds)
        record["faults"] = [*record.get("faults", []), *taken]
        return taken

    def _perform(
        self, request: Request, record: Record, pbx: Pbx | None, parameters: Mapping[str, str]
    ) -> Reply:
        operation = record["operation"]
        if pbx is None or operation == "none":
            return _page(404)
        if operation == "recording":
            return self._file(request, record, pbx)
        namespaces = pbx.switches.namespaces
        try:
            _admit(pbx, record["authorization"])
            if operation == "record":
                self._record(record, pbx, parameters)
                return coded(200, namespaces=namespaces)
            if operation == "list":
                live = [call for call in list(pbx.calls.values()) if call.is_live]
                return active_calls(live, namespaces, pbx.switches.empty_list)
            if "command" not in parameters:
                raise Coded(300, "there is no command")
            raise Coded(301, parameters["command"])
        except Coded as refusal:
            return coded(refusal.code, *refusal.words, namespaces=namespaces)

    def _record(self, record: Record, pbx: Pbx, parameters: Mapping[str, str]) -> None:
        form = parameters.get("format", "mp3").lower()
        if not parameters.get("callid"):
            raise Coded(302, "CallId", "Record")
        if form not in TYPES:
            raise Coded(302, "Format", "Record")
        call_id = parameters["callid"]
        try:
            made = pbx.record(call_id, form, parameters.get("finishedurl"), "http", Limits())
        except NoSuchCall:
            raise Coded(601, call_id) from None
        record["recording"] = made.number
        if self.rules.take(("RecordCompleted",), pbx.name, ("early",)):
            pbx.finish(made, "early")
            self.notifier.deliver(pbx)

    def _file(self, request: Request, record: Record, pbx: Pbx) -> Reply:
        """The file of a finished recording; the vendor documents no login for it."""
        name = request.path.rpartition("/")[2]
        found = [one for one in pbx.recordings if one.file_name == name and one.ended]
        if not found:
            return _page(404)
        faults = self._take(record, FILE_KINDS)
        record |= {"file": True, "recording": found[0].number}
        return file_reply(request, _served(found[0]), pbx.switches, faults)  # type: ignore[arg-type]


def _served(recording: Recording) -> Served:
    return Served(recording.body, TYPES[recording.format], recording.sha256()[:32])


def _parameters(request: Request) -> dict[str, str]:
    """Query or form, as the vendor takes both; names count in any case."""
    given = dict(request.query)
    if request.method == "POST":
        given = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    return {name.lower(): value for name, value in given.items()}


def _operation(path: str, request: Request, parameters: Mapping[str, str]) -> str:
    if path.startswith(FILES) and request.method == "GET":
        return "recording"
    if path != "/" or request.method not in ("GET", "POST"):
        return "none"
    return COMMANDS.get(parameters.get("command", "").lower(), "other")


def _authorization(pbx: Pbx | None, parameters: Mapping[str, str]) -> str:
    """What the login that a request carries is worth."""
    given = parameters.get("username"), parameters.get("password")
    if pbx is None or not pbx.switches.authentication:
        return "not needed"
    if not all(given):
        return "absent"
    return "valid" if given == (pbx.username, pbx.password) else "refused"


def _admit(pbx: Pbx, authorization: str) -> None:
    if not pbx.switches.address_allowed:
        raise Coded(307)
    if authorization == "absent":
        raise Coded(304)
    if authorization == "refused":
        raise Coded(305)
    if not pbx.switches.user_allowed:
        raise Coded(306)


def _page(status: int) -> Reply:
    return fault_reply(
        {
            "status": status,
            "body": HTML.format("No such page"),
            "content_type": "text/html",
            "retry_after": None,
            "headers": {},
        }
    )
