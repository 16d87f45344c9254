"""Calls that are going on, at VoipNow and Ozeki."""

from __future__ import annotations

from typing import Any

from providers.ozeki.account import OzekiAccount
from providers.ozeki.client import Ozeki
from providers.voipnow import fields
from providers.voipnow.account import VoipnowAccount
from tasks.errors import InvalidArgument
from tasks.runtime.arguments import ListCalls
from tasks.runtime.context import account as account_of
from tasks.runtime.entry import ShortLived, plain_task
from tasks.runtime.queries import Listing, answered
from tasks.runtime.rate_limit import turn_or_throttled

from .voipnow_client import plain_client


@plain_task("call.list", ListCalls, ShortLived)
def list_calls(asked: ListCalls) -> Listing:
    """The calls that are going on: ``{calls}``."""
    calls = calls_of(asked)
    return Listing({"calls": calls}, len(calls), "call")


def calls_of(asked: ListCalls) -> list[dict[str, Any]]:
    """The calls that are going on, each ``call_id, state, source, destination, caller, started_at,
    views``; what the server does not tell is None, and ``views`` are VoipNow's alone.

    Raises InvalidArgument for an account of another provider and for what the account ignores, and
    what callers see after the third try (`listings.answered`).
    """
    account = account_of(asked.account)
    if isinstance(account, VoipnowAccount):
        return answered(account.alias, lambda: _at_voipnow(account, asked))
    if not isinstance(account, OzekiAccount):
        raise InvalidArgument(
            f"not done: account: {account.alias!r} is a {account.provider} account; live calls are "
            "listed at voipnow and ozeki"
        )
    for name in ("extension", "user_id"):
        if getattr(asked, name) is not None:
            raise InvalidArgument(
                f"not done: {name}: account {account.alias!r} is at ozeki, which lists every call; "
                "leave it out"
            )
    return answered(account.alias, lambda: _at_ozeki(account))


def _at_voipnow(account: VoipnowAccount, asked: ListCalls) -> list[dict[str, Any]]:
    with plain_client(account) as voipnow:
        try:
            return voipnow.calls(asked.user_id or "@me", asked.extension or "@self")
        except fields.WrongField as error:
            raise InvalidArgument(f"not done: {error}") from None


def _at_ozeki(account: OzekiAccount) -> list[dict[str, Any]]:
    with Ozeki(account, before_call=turn_or_throttled(account)) as ozeki:
        return ozeki.active_calls()
