"""The Vonage Business Communications call recording APIs, operation by operation.

An account is subscribed to the one of CSP India or to the global one (vonage_variants). Written
from the vendor's pages and what is known of its gateway (docs/providers/vonage.md); where the pages
are silent, a switch of the account decides (vonage_state.Switches).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .faults import ANSWER_KINDS, FILE_OPERATIONS, WIRE_KINDS, Rules
from .log import Log, Record
from .messages import Reply, Request
from .misbehaviour import delivery, misbehave
from .vonage_answers import fault_reply
from .vonage_files import Served
from .vonage_oauth import GRANTS, TOKEN_OPERATIONS, grant
from .vonage_operations import PERFORM, Call, Refusal
from .vonage_recordings import InvalidParameter
from .vonage_state import Account, Switches
from .vonage_store import Stores
from .vonage_tokens import Tokens
from .vonage_variants import Route, find_route
from .wire import Delivery, Wire

OPERATIONS = (*TOKEN_OPERATIONS, *PERFORM, "store")


class Vonage:
    """The provider: its accounts, its tokens, and the misbehaviour that tests asked for."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log = log
        self.folder = folder
        self.accounts: dict[str, Account] = {}
        self.defaults = Switches()
        self.tokens = Tokens()
        self.rules = Rules(OPERATIONS)
        self.stores = Stores()

    def answer(self, request: Request, record: Record, wire: Wire) -> tuple[Reply, Delivery]:
        """The answer to one request and how it is to travel; raises Severed for none."""
        route = find_route(request.method, request.path)
        account = self._recognise(request, route.operation, record)
        switches = account.switches if account else self.defaults
        operation = record["operation"]
        names = ("token", operation) if operation in GRANTS.values() else (operation,)
        met = self.take(names, record, ANSWER_KINDS)
        misbehave(met, "before", wire)
        replacement = met.get("answer")
        if replacement and replacement["when"] == "before":
            reply = fault_reply(replacement)
        else:
            reply = self._perform(request, route, record, account)
            misbehave(met, "after", wire)
            reply = fault_reply(replacement) if replacement else reply
        served = operation not in FILE_OPERATIONS or record.get("file", False)
        travel = self.take(names, record, WIRE_KINDS) if served else {}
        travelling = delivery(travel, switches.clock_offset)
        if record.get("file"):
            travelling.pace = lambda: switches.bytes_per_second
        return reply, travelling

    def take(
        self, names: tuple[str, ...], record: Record, kinds: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """The faults of these kinds that a request meets, counted down and noted in the log."""
        taken = self.rules.take(names, record["account"], kinds)
        record["faults"] = [*record.get("faults", []), *taken]
        return taken

    def signed(self, served: Served, account: Account, faults: Mapping[str, Any]) -> str:
        """A signed address of the account's store, under which the file is served once."""
        return self.stores.signed(served, account, faults)

    def _recognise(self, request: Request, operation: str, record: Record) -> Account | None:
        """Whose request this is, noted in the log together with what its token is worth."""
        if operation == "token":
            operation, state, account = self._recognise_grant(request)
        else:
            state, account = self.tokens.read(request.header("authorization"))
            if operation == "retrieve" and state == "absent":
                account = self._open_retrieve(request)
                state = "not needed" if account else state
        name = account.username if account else None
        self.log.recognised(record, operation=operation, account=name, authorization=state)
        return account

    def _recognise_grant(self, request: Request) -> tuple[str, str, Account | None]:
        form = request.form()
        operation = GRANTS.get(form.get("grant_type", ""), "token")
        if operation == "refresh":
            account = self.tokens.owner_of_refresh(form.get("refresh_token", ""))
        else:
            account = self.accounts.get(form.get("username", ""))
        return operation, "not needed", account

    def _open_retrieve(self, request: Request) -> Account | None:
        """The job's account, where a switch says that retrieve asks for no token."""
        for account in self.accounts.values():
            known = account.variant.job_named(request.query) in account.jobs
            if known and not account.switches.retrieve_needs_token:
                return account
        return None

    def _perform(
        self,
        request: Request,
        route: Route,
        record: Record,
        account: Account | None,
    ) -> Reply:
        """Does what is asked, once the token admits it."""
        try:
            if route.operation in TOKEN_OPERATIONS:
                return grant(request, record, self.accounts, self.tokens, self.log)
            if route.operation == "store":
                return self.stores.reply(request, route.arguments["key"])
            admitted = self._admit(record, account, route)
            if route.operation not in PERFORM or not admitted.offers(route.operation):
                raise Refusal(404, "", "wso2-json", code=900906)
            call = Call(self, request, record, admitted, route.arguments)
            return PERFORM[route.operation](call)
        except InvalidParameter as invalid:
            refusal = Refusal(400, invalid.reason, "problem", name=invalid.name)
        except Refusal as raised:
            refusal = raised
        return refusal.reply(account.switches if account else self.defaults)

    def _admit(self, record: Record, account: Account | None, route: Route) -> Account:
        state = record["authorization"]
        if state in ("absent", "malformed"):
            raise Refusal(401, "", "wso2-json", code=900902)
        if account is None or state not in ("valid", "not needed"):
            raise Refusal(401, "", "wso2-json", code=900901)
        other = route.variant not in (None, account.variant)
        if other or not account.switches.subscribed:
            raise Refusal(403, "", "wso2-json", code=900908)
        account_id = route.arguments.get("account_id")
        if account_id not in (None, "self", account.account_id):
            raise Refusal(403, f"No access to account {account_id}")
        return account
