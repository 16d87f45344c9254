"""Recognition of secrets in text, in any notation."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from urllib.parse import quote, quote_plus

from .literals import Literals
from .notations import TooDeep, comparable, decoded, readings, texts_of

#: A shorter secret may be a word of our own sentences, so it is hidden only in foreign text.
LONG = 8
#: A secret with fewer ASCII letters is not searched for in text that has lost its encoding.
_MIN_CERTAIN = 4
_LOST = r"[\ufffd?]{1,9}"


class Secrets:
    """Secrets that must not be shown.

    Args:
        values: passwords, tokens and client secrets in clear; empty ones are ignored.
    """

    def __init__(self, values: Iterable[str]) -> None:
        known = {value for value in values if value}
        self._plain = Literals(form for one in known for form in _forms(one))
        patterns = {pattern for one in known for pattern in _patterns(one)}
        self._compared = Literals(one for one in patterns if isinstance(one, str))
        foreign = sorted(one.pattern for one in patterns if isinstance(one, re.Pattern))
        self._foreign = re.compile("|".join(foreign)) if foreign else None
        self._is_compared = bool(patterns)

    def replaced(self, text: str, by: str) -> str:
        """Replace each secret that the text contains in a common notation with ``by``."""
        return self._plain.replaced(text, by)

    def removed(self, text: str, by: str) -> str:
        """Replace each secret with ``by``, and the whole text if it contains one in a notation from
        which the secret cannot be cut.
        """
        clean = self.replaced(text, by)
        return by if self.stand_in(clean) else clean

    def stand_in(self, text: str | bytes) -> bool:
        """Return whether the text contains a secret in any notation, or is nested too deeply."""
        if isinstance(text, bytes):
            return any(self.stand_in(one) for one in texts_of(text))
        if self._plain.search(text):
            return True
        if not self._is_compared:
            return False
        try:
            return any(self._stands_in_comparable(comparable(one)) for one in readings(text))
        except TooDeep:
            return True

    def _stands_in_comparable(self, text: str) -> bool:
        return self._compared.search(text) or (
            self._foreign is not None and self._foreign.search(text) is not None
        )


def _patterns(secret: str) -> Iterator[str | re.Pattern[str]]:
    """Yield the secret and its decoded form as they stand in comparable text; patterns where
    letters beyond ASCII may have been lost.
    """
    try:
        texts = {secret, decoded(secret)}
    except TooDeep:
        texts = {secret}
    for text in texts:
        if text.isascii():
            yield comparable(text)
            continue
        certain = comparable("".join(filter(str.isascii, text)))
        lost = len(certain) >= _MIN_CERTAIN
        pattern = "".join(
            re.escape(comparable("".join(run))) if is_ascii else _foreign("".join(run), lost=lost)
            for is_ascii, run in groupby(text, str.isascii)
        )
        if pattern:
            yield re.compile(pattern)


def _foreign(run: str, *, lost: bool) -> str:
    """Return a pattern of letters beyond ASCII; ``lost`` also matches replacement characters."""
    exact = re.escape(comparable(run))
    return f"(?:{exact}|{_LOST})" if lost else exact


def _forms(secret: str) -> Iterator[str]:
    """Yield the secret in clear, escaped for URLs, Python, JSON and XML, and in base64."""
    escaped = (quote(secret, safe=""), quote(secret), quote_plus(secret))
    yield from (
        secret,
        *escaped,
        *(re.sub(r"%..", lambda code: code[0].lower(), e) for e in escaped),
    )
    yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1], html.escape(secret))
    yield from (json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret, quote=False))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield from _within(secret.encode("utf-8", "surrogatepass"), encode)


def _within(secret: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """Yield the secret's base64, alone and inside a longer text such as `user:password`.

    Inside another text, the letters depend on the offset modulo three; letters that also encode
    part of a neighbour are left out.
    """
    yield encode(secret).decode()
    for offset in range(3):
        letters = encode(bytes(offset) + secret).decode().rstrip("=")
        shared = (offset + len(secret)) % 3
        inner = letters[(0, 2, 3)[offset] : -1 if shared else None]
        if len(inner) >= 6:  # fewer would hide ordinary words
            yield inner
