"""Calls that are going on."""

from __future__ import annotations

from typing import Any

from providers.errors import WrongField
from providers.interface import ListsCalls
from tasks.errors import InvalidArgument
from tasks.runtime.client import plain_client
from tasks.runtime.entry import ShortLived, plain_task
from tasks.runtime.queries import Listing, answered

from .arguments import ListCalls


@plain_task("call.list", ListCalls, ShortLived)
def list_calls(asked: ListCalls) -> Listing:
    """The calls that are going on: ``{calls}``."""
    calls = calls_of(asked)
    return Listing({"calls": calls}, len(calls), "call")


def calls_of(asked: ListCalls) -> list[dict[str, Any]]:
    """The calls that are going on, each ``call_id, state, source, destination, caller, started_at,
    views``; what the server does not tell is None, and ``views`` are empty where it has none.

    Raises InvalidArgument for an account whose provider lists no calls and for what it ignores, and
    what callers see after the third try (`queries.answered`).
    """

    def ask() -> list[dict[str, Any]]:
        with plain_client(asked.account, ListsCalls) as server:
            found = server.calls(user_id=asked.user_id, extension=asked.extension)
            return [call.result() for call in found]

    try:
        return answered(asked.account, ask)
    except WrongField as error:
        raise InvalidArgument(f"not done: {error}") from None
