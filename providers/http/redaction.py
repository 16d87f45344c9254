"""Keeps the personal data and credentials of an answer out of the errors that follow from it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import httpx

from config.masking import HIDDEN, decode_foreign, mask
from providers.errors import ProviderError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_MOST_REASON = 300
#: No reason needs a long word with digits, which may be a token or an address that a body quotes.
_LONG_WORD = re.compile(r"\S{20,}")
_DIGIT = re.compile(r"\d")
_USUAL_TYPES = frozenset(
    f"{group}/{kind}"
    for group, kinds in {
        "text": ("html", "plain", "xml", "json", "javascript"),
        "application": ("json", "problem+json", "xml", "xhtml+xml", "octet-stream"),
    }.items()
    for kind in kinds
)


def drop_frames(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Raise errors of this function without the frames that they passed: the frames hold secrets
    and telephone numbers.
    """

    @functools.wraps(function)
    def wrapper(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except ProviderError as error:
            failure = type(error)(*error.args)
        del args, kwargs
        raise failure

    return wrapper


def redact_reason(reason: str) -> str:
    """Return a reason from a body in one short line, without numbers and credentials in any
    notation.
    """
    line = " ".join(decode_foreign(" ".join(reason.split())).split())
    without = _LONG_WORD.sub(lambda word: HIDDEN if _DIGIT.search(word[0]) else word[0], line)
    return mask(without)[:_MOST_REASON]


def description(headers: httpx.Headers, body: bytes) -> str:
    """Describe a body that was not understood without quoting it: its form, its content type if
    that is a usual one, and its length.
    """
    if not body:
        return "an empty body"
    named = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    kind = f"of type {named}" if named in _USUAL_TYPES else "of no usual type"
    return f"{_form(body)} {kind}, {len(body)} bytes"


def _form(body: bytes) -> str:
    begins = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if begins == b"<":
        return "a page"
    if begins in (b"{", b"["):
        return "an object" if begins == b"{" else "a list"
    return "text" if body.isascii() or _is_utf8(body) else "bytes that are not UTF-8 text"


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
