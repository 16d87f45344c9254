"""What a caller may ask about a live call, as the parameters of one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.accounts import Account
from providers.arguments import refuse_ignored

from . import fields

#: Why nobody collects a recording that was started here.
NOT_COLLECTED = "VoipNow offers no way to fetch a file"

_STOP = ("call_id", "view_id", "extension", "user_id")
_START = (*_STOP, "format")


def start_parameters(account: Account, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a start, defaults filled in. Raises WrongField."""
    refuse_ignored(account, given, _START)
    return _checked({**_view(given), "format": given.get("format") or "wav"})


def stop_parameters(account: Account, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a stop, defaults filled in. Raises WrongField."""
    refuse_ignored(account, given, _STOP)
    return _checked(_view(given))


def _view(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "call_id": given["call_id"],
        "extension": given.get("extension") or "@self",
        "user_id": given.get("user_id") or "@me",
    }
    return {**found, "view_id": given["view_id"]} if given.get("view_id") is not None else found


def _checked(parameters: dict[str, Any]) -> dict[str, Any]:
    fields.check(**parameters)
    return parameters
