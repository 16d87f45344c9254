"""gsmblockchain's certified call: one request by GET, everything in its query, judged by its body.

Written from the vendor's page (docs/providers/gsmblockchain.md). It gives no texts of refusals, so
ours are made up; where it contradicts itself, a switch decides (gsmblockchain_state.Switches).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from phonenumbers import PhoneMetadata

from .faults import ANSWER_KINDS, REFUSAL_KINDS, WIRE_KINDS, Rules
from .gsmblockchain_answers import fault_reply, page, placed, refused
from .gsmblockchain_state import Account, Calls, Switches, Wish
from .log import Log, Record
from .messages import Reply, Request
from .misbehaviour import delivery, misbehave
from .wire import Delivery, Wire

BASE = "/gsmblockchain"
PATH = BASE + "/services/sendCertifiedCallRecorder.php"
OPERATIONS = ("call",)
COMPANY_ID = ("companyID", "CompanyID")  # the page's table, and its example
REQUIRED = ("user", "pass", "countryID", "phone", "time", "companyName")


class Refusal(Exception):
    """The platform says KO, for this reason."""


class Gsmblockchain:
    """The platform: its users, the calls it counted, and the misbehaviour that tests asked for.

    A call is counted at the moment at which it is accepted: a fault "before" comes instead of
    that (but a hang only puts it off), a fault "after" follows it.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.accounts: dict[str, Account] = {}
        self.defaults = Switches()
        self.rules = Rules(OPERATIONS)
        self.calls = Calls()

    def answer(self, request: Request, record: Record, wire: Wire) -> tuple[Reply, Delivery]:
        """The answer to one request and how it is to travel; raises Severed for none."""
        account = self._recognise(request, record)
        met = self._take(record, ANSWER_KINDS)
        misbehave(met, "before", wire)
        replacement = met.get("answer")
        if replacement and replacement["when"] == "before":
            reply = fault_reply(replacement)
        else:
            reply = self._perform(request, record, account, wire)
            misbehave(met, "after", wire)
            reply = fault_reply(replacement) if replacement else reply
        return reply, delivery(self._take(record, WIRE_KINDS))

    def _take(self, record: Record, kinds: Collection[str]) -> dict[str, dict[str, Any]]:
        """The faults of these kinds that a request meets, counted down and noted in the log."""
        taken = self.rules.take((record["operation"],), record["account"], kinds)
        record["faults"] = [*record.get("faults", []), *taken]
        return taken

    def _recognise(self, request: Request, record: Record) -> Account | None:
        """Whose request this is, noted in the log together with what its password is worth."""
        operation = "call" if (request.method, request.path) == ("GET", PATH) else "none"
        given = request.query.get("user", ""), request.query.get("pass", "")
        account = self.accounts.get(given[0])
        right = account is not None and account.password == given[1]
        state = "valid" if right else "refused" if all(given) else "absent"
        name = account.username if account else None
        self.log.recognised(record, operation=operation, account=name, authorization=state)
        return account

    def _perform(
        self, request: Request, record: Record, account: Account | None, wire: Wire
    ) -> Reply:
        """Counts the call that is asked for, or says why not."""
        if record["operation"] == "none":
            return page(405 if request.path == PATH else 404, "The platform has no such function")
        switches = account.switches if account else self.defaults
        try:
            if ko := self._take(record, REFUSAL_KINDS).get("ko"):
                raise Refusal(ko["message"])
            caller, wish = self._understand(request.query, account, switches)
        except Refusal as refusal:
            return refused(str(refusal), switches.answer)
        call = self.calls.count(caller, wish)
        facts = {**vars(wish), "platform_phone": call["platform_phone"]}
        self.log.effect(record, "call_counted", call=call["n"], **facts)
        _wait_to_answer(caller, wire)
        return placed(call["platform_phone"], switches.answer)

    def _understand(
        self, query: Mapping[str, str], account: Account | None, switches: Switches
    ) -> tuple[Account, Wish]:
        """Who asks for which call; raises Refusal."""
        for name in REQUIRED:
            if not query.get(name):
                raise Refusal(f"Missing parameter: {name}")
        company_id = _company_id(query, switches.company_id_name)
        if account is None or account.password != query["pass"]:
            raise Refusal("Invalid user or password")
        country, phone, seconds = query["countryID"].upper(), query["phone"], query["time"]
        region = PhoneMetadata.metadata_for_region(country)
        if region is None or region.general_desc is None:
            raise Refusal("Invalid countryID")
        if not _digits(phone) or len(phone) not in region.general_desc.possible_length:
            raise Refusal("Invalid phone")
        if not _digits(seconds) or int(seconds) == 0:
            raise Refusal("Invalid time")
        return account, Wish(country, phone, int(seconds), query["companyName"], company_id)


def _wait_to_answer(caller: Account, wire: Wire) -> None:
    """Waits as long as the account's switch says; a change of it counts for what waits already."""
    began = time.monotonic()
    while (left := began + caller.switches.answer_seconds - time.monotonic()) > 0:
        wire.wait(min(left, 0.1))


def _company_id(query: Mapping[str, str], read_as: str) -> str:
    """The tax code under the spelling that is read; under both it has to be the same."""
    names = COMPANY_ID if read_as == "both" else (read_as,)
    given = {query[name] for name in names if query.get(name)}
    if len(given) > 1:
        raise Refusal("companyID and CompanyID differ")
    if not given:
        raise Refusal(f"Missing parameter: {names[0]}")
    return given.pop()


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
