"""The token endpoint: who asks, with which grant, and whether they get a token."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from .log import Log, Record
from .messages import Reply, Request, json_reply
from .vonage_state import Account
from .vonage_tokens import Grant, Refused, Tokens

GRANTS = {"password": "login", "refresh_token": "refresh"}
TOKEN_OPERATIONS = ("token", "login", "refresh")
FORM = "application/x-www-form-urlencoded"


def grant(
    request: Request, record: Record, accounts: Mapping[str, Account], tokens: Tokens, log: Log
) -> Reply:
    """Answers a token request with tokens, or in OAuth's words why not."""
    try:
        granted = _issue(request, record["operation"], accounts, tokens)
    except Refused as no:
        return json_reply(no.status, {"error": no.error, "error_description": no.description})
    record["account"] = granted.access.account.username
    log.effect(record, "token_issued", operation=record["operation"], secrets=granted.secrets())
    answer = {**granted.answer(), **granted.access.account.switches.token_answer}
    return json_reply(200, answer, **{"Cache-Control": "no-store"})


def _issue(
    request: Request, operation: str, accounts: Mapping[str, Account], tokens: Tokens
) -> Grant:
    if not (request.header("content-type") or "").startswith(FORM):
        raise Refused(400, "invalid_request", "The body must be form-encoded")
    form = request.form()
    if operation == "token":
        raise Refused(400, "unsupported_grant_type", "Unsupported grant_type value")
    is_clients = _client(accounts, form, request.header("authorization"))
    if operation == "refresh":
        value = form.get("refresh_token", "")
        owner = tokens.owner_of_refresh(value)
        if owner is None or not is_clients(owner):
            raise Refused(400, "invalid_grant", "Persisted access token data not found")
        return tokens.refresh(owner, value)
    account = accounts.get(form.get("username", ""))
    if account is None or account.password != form.get("password") or not is_clients(account):
        raise Refused(400, "invalid_grant", "Authentication failed for the user")
    return tokens.login(account, form.get("scope", "default"))


def _client(
    accounts: Mapping[str, Account], form: Mapping[str, str], authorization: str | None
) -> Callable[[Account], bool]:
    """A check whether the client that asks is the account's; it names itself in the form or
    in a Basic header. Raises Refused where no account knows such a client.
    """
    name, secret = form.get("client_id", ""), form.get("client_secret", "")
    if authorization and authorization.lower().startswith("basic "):
        try:
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        except ValueError:
            name = secret = ""

    def is_clients(account: Account) -> bool:
        return (account.client_id, account.client_secret) == (name, secret)

    if not any(map(is_clients, accounts.values())):
        raise Refused(401, "invalid_client", "Client Authentication failed.")
    return is_clients
