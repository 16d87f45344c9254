"""Recognising secrets in a text, in any notation."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from urllib.parse import quote, quote_plus

from .notations import TooDeep, comparable, decoded, readings, texts_of

#: A shorter secret may be a word of our own sentences: only what comes from outside loses it.
LONG = 8
#: A secret of fewer letters than these is not looked for where bytes have lost their encoding.
_FEWEST = 4
_LOST = r"[\ufffd?]{1,9}"


class Secrets:
    """Secrets that are not to be shown.

    Args:
        values: passwords, tokens and client secrets as they are; empty ones are left out.
    """

    def __init__(self, values: Iterable[str]) -> None:
        known = sorted({value for value in values if value}, key=len, reverse=True)
        forms = sorted({form for one in known for form in _forms(one)}, key=len, reverse=True)
        self._plain = re.compile("|".join(map(re.escape, forms))) if forms else None
        patterns = sorted({pattern for one in known for pattern in _patterns(one)})
        self._compared = re.compile("|".join(patterns)) if patterns else None

    def replaced(self, text: str, by: str) -> str:
        """The text with ``by`` in place of each secret that it writes in a usual way."""
        return text if self._plain is None else self._plain.sub(by, text)

    def stand_in(self, text: str | bytes) -> bool:
        """Whether the text spells out a secret in any notation, or is too deeply nested to say."""
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
    """What a comparable text is searched for: the secret as it is, and as it reads decoded."""
    try:
        meant = {secret, decoded(secret)}
    except TooDeep:
        meant = {secret}
    for text in meant:
        certain = comparable("".join(filter(str.isascii, text)))
        lost = len(certain) >= _FEWEST
        pattern = "".join(
            re.escape(comparable("".join(run))) if is_ascii else _foreign("".join(run), lost=lost)
            for is_ascii, run in groupby(text, str.isascii)
        )
        if pattern:
            yield pattern


def _foreign(run: str, *, lost: bool) -> str:
    """Letters beyond ASCII, which a wrong encoding turns into marks that say nothing."""
    exact = re.escape(comparable(run))
    return f"(?:{exact}|{_LOST})" if lost else exact


def _forms(secret: str) -> Iterator[str]:
    """As it is; as an address, Python, JSON or XML would write it; in base64."""
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
    """Base64 of the secret alone, and the letters that stay the same wherever it stands in a longer
    text such as `user:password`: three offsets, without the letters that its neighbours share.
    """
    yield encode(secret).decode()
    for offset in range(3):
        letters = encode(bytes(offset) + secret).decode().rstrip("=")
        shared = (offset + len(secret)) % 3
        inner = letters[(0, 2, 3)[offset] : -1 if shared else None]
        if len(inner) >= 6:  # fewer would hide ordinary words
            yield inner
