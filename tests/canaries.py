"""Looking for secrets: in every form in which something that was written down may hold them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from urllib.parse import quote, quote_plus

#: Fewer letters than these may stand anywhere by chance.
_FEWEST = 8


def found(secrets: Iterable[str], places: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """Which secrets stand in which places: as they are, percent-encoded, escaped as JSON (also JSON
    within JSON), Python or HTML do, and all of these in base64, wherever they stand in its text.
    """
    return {
        (place, secret)
        for secret in set(secrets)
        for place, content in places.items()
        if any(form in content for form in forms(secret))
    }


@cache
def forms(secret: str) -> frozenset[bytes]:
    """Every form of a secret that is searched for."""
    texts = set(_written(secret))
    encoded = {text.encode() for text in texts}
    return frozenset(encoded | {inner for text in encoded for inner in _in_base64(text)})


def _written(secret: str) -> Iterator[str]:
    yield secret
    for escaped in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield escaped
        yield escaped.replace("%", "%25")
        yield from _lower_codes(escaped)
    yield "".join(f"%{byte:02X}" for byte in secret.encode())
    yield repr(secret)[1:-1]
    yield repr(secret.encode())[2:-1]
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    for as_json in (_json, _json_in_unicode):
        yield as_json(secret)
        yield as_json(secret).replace("/", "\\/")
        yield as_json(as_json(secret))
        yield html.escape(as_json(secret))


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _json_in_unicode(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _lower_codes(escaped: str) -> Iterator[str]:
    head, *codes = escaped.split("%")
    yield "%".join([head, *(code[:2].lower() + code[2:] for code in codes)])


def _in_base64(text: bytes) -> Iterator[bytes]:
    """The letters that stay the same wherever the text stands in a longer one: three offsets."""
    encoders: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode)
    for encode in encoders:
        for offset in range(3):
            letters = encode(bytes(offset) + text).rstrip(b"=")
            inner = letters[(0, 2, 3)[offset] : -1 if (offset + len(text)) % 3 else None]
            if len(inner) >= _FEWEST:
                yield inner
