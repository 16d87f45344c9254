"""Recognition of secrets in text, in any notation."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from urllib.parse import quote, quote_plus

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
        values_by_length = sorted({value for value in values if value}, key=len, reverse=True)
        forms = sorted(
            {form for one in values_by_length for form in _forms(one)}, key=len, reverse=True
        )
        self._plain = re.compile("|".join(map(re.escape, forms))) if forms else None
        patterns = sorted({pattern for one in values_by_length for pattern in _patterns(one)})
        self._compared = re.compile("|".join(patterns)) if patterns else None

    def replaced(self, text: str, by: str) -> str:
        """Replace each secret that the text contains in a common notation with ``by``."""
        return text if self._plain is None else self._plain.sub(by, text)

    def stand_in(self, text: str | bytes) -> bool:
        """Return whether the text contains a secret in any notation, or is nested too deeply."""
        if self._plain is None:
            return False
        if isinstance(text, bytes):
            return any(self.stand_in(one) for one in texts_of(text))
        if self._plain.search(text):
            return True
        if self._compared is None:
            return False
        try:
            return any(self._compared.search(comparable(one)) for one in readings(text))
        except TooDeep:
            return True


def _patterns(secret: str) -> Iterator[str]:
    """Yield the patterns of a secret and of its decoded form, for comparable text."""
    try:
        texts = {secret, decoded(secret)}
    except TooDeep:
        texts = {secret}
    for text in texts:
        certain = comparable("".join(filter(str.isascii, text)))
        lost = len(certain) >= _MIN_CERTAIN
        pattern = "".join(
            re.escape(comparable("".join(run))) if is_ascii else _foreign("".join(run), lost=lost)
            for is_ascii, run in groupby(text, str.isascii)
        )
        if pattern:
            yield pattern


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
