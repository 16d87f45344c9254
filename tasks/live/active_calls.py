"""Calls in progress."""

from __future__ import annotations

from typing import Any

from providers.errors import WrongField
from providers.interface import ListsCalls
from tasks.errors import InvalidArgument
from tasks.runtime.client import plain_client
from tasks.runtime.entry import ShortLived, plain_task
from tasks.runtime.queries import Listing, ask_with_retries

from .arguments import ListCalls
from .results import ListedCalls


@plain_task("call.list", ListCalls, ListedCalls, ShortLived)
def list_calls(asked: ListCalls) -> Listing:
    """List the calls in progress."""
    calls = calls_of(asked)
    return Listing({"calls": calls}, len(calls), "call")


def calls_of(asked: ListCalls) -> list[dict[str, Any]]:
    """Return the calls in progress.

    Each has ``call_id, state, source, destination, caller, started_at, views``. A field that the
    server does not give is None, and ``views`` are empty if it has none.

    Raises InvalidArgument for an account whose provider lists no calls and for arguments that it
    ignores, and what callers see after the third try (`queries.ask_with_retries`).
    """

    def ask() -> list[dict[str, Any]]:
        with plain_client(asked.account, ListsCalls) as server:
            found = server.calls(user_id=asked.user_id, extension=asked.extension)
            return [call.result() for call in found]

    try:
        return ask_with_retries(asked.account, ask)
    except WrongField as error:
        raise InvalidArgument(f"not done: {error}") from None
