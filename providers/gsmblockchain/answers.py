"""Reading gsmblockchain's answer to a certified call: JSON, or the form that its page shows.

The page's example is not JSON: it has bare keys, curly quotes, a bare number and a trailing comma.
The answers of a live server are not known (docs/providers/gsmblockchain.md, Q1), so both forms are
read. A body is understood from its first character to its last, or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from providers.http.text import decoded

_Pairs = Iterable[tuple[str, object]]

_STRING = r'"(?:[^"\\]|\\.)*"|“[^“”]*”'
_OPENING = re.compile(r"\s*\{\s*")
_PAIR = re.compile(
    rf"(?P<key>{_STRING}|[A-Za-z_][A-Za-z0-9_]*)\s*:\s*"
    rf"(?P<value>{_STRING}|[+-]?[0-9]+(?:\.[0-9]+)?|null|true|false)\s*"
)
_COMMA = re.compile(r",\s*")
_CLOSING = re.compile(r"\}\s*")
#: Characters that may surround an answer and carry no meaning.
_AROUND = "\ufeff\0 \t\r\n"
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]{0,30}")


@dataclass(frozen=True)
class Verdict:
    """An understood answer: OK or KO, the platform's number if given, the KO's reason."""

    is_ok: bool
    phone: str | None = field(repr=False)
    error_message: str = field(repr=False)


def understood(body: bytes) -> Verdict | None:
    """Return the content of an answer, or None if nothing in the answer is certain.

    ``phone`` may be a number or text, and may be absent from an OK; a leading zero is kept. Names
    and status are read in any case of letters: the page itself mixes companyID and CompanyID. A
    name that occurs twice with different values makes the answer unreadable.

    An OK counts only in clean UTF-8, since a call is paid for. A KO may be in any encoding
    (`text.decoded`) and hold control characters: its status is not in doubt.
    """
    with suppress(UnicodeDecodeError):
        verdict = _verdict(body.decode("utf-8-sig").strip(), strict=True)
        if verdict is not None:
            return verdict
    guessed = _verdict(decoded(body).text.strip(_AROUND), strict=False)
    return None if guessed is None or guessed.is_ok else guessed


def _verdict(text: str, *, strict: bool) -> Verdict | None:
    pairs = _pairs_of_json(text, strict=strict) or _pairs_as_on_the_page(text)
    fields = _fields(pairs or ())
    status = fields.get("status")
    if not isinstance(status, str) or status.upper() not in ("OK", "KO"):
        return None
    return Verdict(
        status.upper() == "OK", _phone(fields.get("phone")), _text(fields.get("errormessage"))
    )


def _fields(pairs: _Pairs) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in pairs:
        if fields.setdefault(key.lower(), value) != value:
            return {}
    return fields


def _pairs_of_json(text: str, *, strict: bool) -> _Pairs | None:
    if not text.startswith("{"):
        return None
    try:
        pairs: _Pairs = json.loads(
            text, strict=strict, object_pairs_hook=list, parse_constant=_no_json
        )
    except (ValueError, RecursionError):
        return None
    return pairs


def _no_json(_: str) -> NoReturn:
    raise ValueError


def _pairs_as_on_the_page(text: str) -> _Pairs | None:
    """Return the pairs of ``{ key: value, ... }``, which must span the whole text; the last comma
    is optional.
    """
    place = _OPENING.match(text)
    pairs = []
    while place and (pair := _PAIR.match(text, place.end())):
        try:
            pairs.append((str(_plain(pair["key"])), _plain(pair["value"])))
        except ValueError:
            return None
        place = _COMMA.match(text, pair.end())
        if place is None:
            return pairs if _CLOSING.fullmatch(text, pair.end()) else None
    return pairs if place and _CLOSING.fullmatch(text, place.end()) else None


def _plain(token: str) -> object:
    """Return a token's text. A bare number stays text, since a number would lose a leading zero."""
    if token.startswith('"'):
        return json.loads(token)
    if token.startswith("“"):
        return token[1:-1]
    return None if token == "null" else token  # noqa: S105 - no password


def _phone(raw: object) -> str | None:
    text = _text(raw).strip()
    return text if _PHONE.fullmatch(text) else None


def _text(raw: object) -> str:
    return str(raw) if isinstance(raw, str | int) else ""
