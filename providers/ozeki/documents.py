"""The parameters of a start, and the OzML document that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from providers.arguments import refuse_ignored
from providers.errors import WrongField

from . import ozml
from .account import OzekiAccount
from .ozml import Control

#: The arguments of a start that only a document can carry.
_OF_DOCUMENTS = (
    "announcement",
    "max_seconds",
    "silence_seconds",
    "finish_digits",
    "hang_up_after_seconds",
)
_START = ("call_id", "format", *_OF_DOCUMENTS, "finished_url")


def start_parameters(account: OzekiAccount, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a start: ``call_id``, ``format`` and the other given arguments.

    Raises WrongField, which names the argument that the account's control ignores or that no server
    could read.
    """
    refuse_ignored(account, given, _START)
    parameters = {
        "call_id": given["call_id"],
        "format": given.get("format") or "mp3",
        **{name: given[name] for name in (*_OF_DOCUMENTS, "finished_url") if name in given},
    }
    if account.control == "http":
        _refuse_documents(parameters)
    # Under HTTP the same values are sent in a query; values that no document could hold are refused
    # too.
    control = "ozml_third_party" if account.control == "http" else account.control
    document(control, parameters, parameters.get("finished_url"))
    _refuse_no_address(parameters.get("finished_url"))
    return parameters


def document(control: str, parameters: Mapping[str, Any], finished_url: str | None) -> bytes:
    """Return the document of a start's parameters. Raises WrongField."""
    return ozml.recording(
        cast(Control, control),
        call_id=parameters["call_id"] if control == "ozml_third_party" else None,
        format=parameters["format"],
        finished_url=finished_url,
        **{name: parameters.get(name) for name in _OF_DOCUMENTS},
    )


def _refuse_documents(parameters: Mapping[str, Any]) -> None:
    for name in _OF_DOCUMENTS:
        if name in parameters:
            raise WrongField(name, "is ignored while control is http; leave it out")


def _refuse_no_address(url: str | None) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or not url.isprintable() or " " in url:
        raise WrongField("finished_url", "must be an address that begins with http:// or https://")
