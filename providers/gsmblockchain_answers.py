"""What gsmblockchain answers (seed 000), read generously: strict JSON, and the form that the page
prints, which is none (bare names, curly quotes, a comma after the last field).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<mark>[{}:,])
      | ["“”„](?P<quoted>(?:\\.|[^"“”„\\])*)["“”„]
      | (?P<digits>\d+)(?!\w)
      | (?P<name>[A-Za-z_]\w*)
    )\s*""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_CREDENTIALS = re.compile(
    r"(?i)password|contrase|palavra-passe|credential|credencia|login|unauthori[sz]ed|authenticat"
)


class NotUnderstood(ValueError):
    """A body that is neither an OK nor a KO of this platform."""


@dataclass(frozen=True)
class Said:
    """An answer that was understood: ``ok``, the platform's ``phone`` (its digits, a leading zero
    kept) with an OK, its ``message`` with a KO.
    """

    ok: bool
    phone: str | None
    message: str | None

    @property
    def refuses_credentials(self) -> bool:
        """Whether a KO speaks of the user or the password. The page gives no texts: only words that
        mean nothing else count.
        """
        return not self.ok and bool(_CREDENTIALS.search(self.message or ""))


def read(body: bytes) -> Said:
    """Understand a whole body. Raises NotUnderstood for everything but one OK or one KO."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    fields = _fields(text.strip())
    status = (fields.get("status") or "").upper()
    message = fields.get("errormessage") or None
    if status == "OK" and message is None:
        return Said(True, fields.get("phone") or None, None)
    if status == "KO":
        return Said(False, None, message)
    raise NotUnderstood("neither OK nor KO")


def _fields(text: str) -> dict[str, str | None]:
    """The fields of the one object, names in lower case. A name that stands twice says nothing,
    unless it says the same.
    """
    fields: dict[str, str | None] = {}
    for written, value in _strict(text) or _pairs(text):
        name = written.lower()
        if name in fields and fields[name] != value:
            raise NotUnderstood(f"{name} stands twice")
        fields[name] = value
    return fields


def _strict(text: str) -> list[tuple[str, str | None]] | None:
    """The fields of a JSON object, numbers as they are written; None where it is no JSON."""
    try:
        found = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, _Pairs):
        raise NotUnderstood("no object")
    return [(name, value if isinstance(value, str) else None) for name, value in found]


class _Pairs(list[tuple[str, object]]):
    """The fields of an object, as they stand in it."""


def _pairs(text: str) -> list[tuple[str, str | None]]:
    """The fields of the form that the page prints: the whole body must be such an object."""
    tokens = _tokens(text)
    _expect(tokens, "{")
    pairs: list[tuple[str, str | None]] = []
    kind, word = next(tokens, ("end", ""))
    while (kind, word) != ("mark", "}"):
        if kind not in ("name", "quoted"):
            raise NotUnderstood("no field's name where one should stand")
        _expect(tokens, ":")
        value_kind, value = next(tokens, ("end", ""))
        if value_kind in ("mark", "end"):
            raise NotUnderstood("no value where one should stand")
        pairs.append((word, None if (value_kind, value) == ("name", "null") else value))
        kind, word = next(tokens, ("end", ""))
        if (kind, word) == ("mark", ","):
            kind, word = next(tokens, ("end", ""))
        elif (kind, word) != ("mark", "}"):
            raise NotUnderstood("no comma between two fields")
    if next(tokens, None) is not None:
        raise NotUnderstood("more follows after the object")
    return pairs


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise NotUnderstood("no object of names and values")
        word = found[found.lastgroup]
        yield found.lastgroup, _ESCAPE.sub(r"\1", word) if found.lastgroup == "quoted" else word
        position = found.end()


def _expect(tokens: Iterator[tuple[str, str]], mark: str) -> None:
    if next(tokens, None) != ("mark", mark):
        raise NotUnderstood(f"no {mark} where one should stand")
