"""What no log may show: credentials, and telephone numbers but for their last three digits.

Masking is by the look of things, so it errs towards hiding: any number of seven digits or more
loses all but three, a count of bytes too. What only looks like a number (UUIDs, checksums, times,
IPv4 addresses, seconds) stays as it is.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_DATE = r"(?:19|20)\d\d-[01]\d-[0-3]\d"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
#: Hexadecimal, as long as a checksum is (16: as in the names of our ZIP files), and of letters too.
_CHECKSUM = "|".join(f"[0-9a-fA-F]{{{length}}}" for length in (16, 32, 40, 64, 128))
_KEPT = "|".join(
    (
        rf"(?<![0-9a-zA-Z]){_UUID}(?![0-9a-zA-Z])",
        rf"(?<![0-9a-zA-Z])(?=(?:\d*[a-fA-F]){{3}})(?:{_CHECKSUM})(?![0-9a-zA-Z])",
        rf"(?<!\d){_DATE}(?!\d)(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?",
        r"(?<!\d)(?:19|20)\d{6}T\d{6}Z",
        r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])",
        r"(?<![\d.])\d{1,6}\.\d+s\b",  # Celery's "succeeded in 0.0123456789s"
    )
)
#: Between digits: blanks and dashes of every width too, as people copy them out of documents.
_GAP = r"(?:[ \t\-.()\u00a0\u2000-\u2015\u202f\u2060\u2212]|%20|%2D)"
#: A gap of up to three characters may stand between digits, as in "+34 (600) 12 - 34", but a
#: number does not reach into a time or an identifier that follows it.
_NUMBERS = re.compile(rf"(?P<kept>{_KEPT})|\+?\d(?:\d|{_GAP}{{1,3}}(?!{_KEPT})\d){{6,}}")

_HEADER = re.compile(
    r"""(?i)(authori[sz]ation\\?["']?\s*[:=,]\s*(?:b(?=["']))?\\?["']?)(?:(?:bearer|basic|digest)\s+)?[^\s"',;\\]+"""
)
_BEARER = re.compile(r"(?i)\b(bearer(?:\s+|%20|\+))[A-Za-z0-9._~+/=-]+")
_KEY = (
    r"(?i)(?<![a-z])((?:access|refresh|id)?_?token|accessRequestToken|client_?secret|secret|"
    r"password|passwd|passwort|pwd|pass|api_?key)"
)
_ASSIGNED = re.compile(_KEY + r"""(=|%3D)(?:"[^"]*"|'[^']*'|["']?[^\s&"'<>;]+)""")
_QUOTED = re.compile(
    _KEY + r"""(\\?["']\s*:\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\"[^"]*"|[^\s,}]+)"""
)
_ELEMENT = re.compile(_KEY + r"(>)[^<]*")
#: The address under which a recording's end may be told; whoever knows it may tell it.
_COMPLETED = re.compile(r"(/completed/)[A-Za-z0-9_-]{43}")
_USERINFO = re.compile(r"""(://)[^\s/?#"'<>]*@""")


class _Concealed:
    """The secrets of this process, in every form in which they may turn up."""

    pattern: re.Pattern[str] | None = None


def conceal(secrets: Iterable[str]) -> None:
    """From now on `mask` hides these, in place of those that it hid before.

    Args:
        secrets: passwords, tokens and client secrets as they are; empty ones are left out.
    """
    _Concealed.pattern = _pattern(secrets)


def hide(text: str) -> str:
    """The text without the secrets that were concealed; else as it is."""
    return text if _Concealed.pattern is None else _Concealed.pattern.sub(HIDDEN, text)


def without(text: str, values: Iterable[str]) -> str:
    """The text without these values, in every form in which they may turn up.

    Args:
        text: what may quote them, such as a provider's error.
        values: what was sent and is not to be shown; empty ones are left out.
    """
    pattern = _pattern(values)
    return text if pattern is None else pattern.sub(HIDDEN, text)


def mask(text: str) -> str:
    """The text without credentials, its long numbers cut to their last three digits."""
    text = _HEADER.sub(rf"\1{HIDDEN}", hide(text))
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    for pattern in (_ASSIGNED, _QUOTED, _ELEMENT):
        text = pattern.sub(rf"\1\2{HIDDEN}", text)
    text = _COMPLETED.sub(rf"\1{HIDDEN}", text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    return _NUMBERS.sub(_last_three, text)


def _last_three(match: re.Match[str]) -> str:
    if match["kept"] is not None:
        return match[0]
    return (
        HIDDEN + "".join(filter(str.isdecimal, match[0].replace("%20", "").replace("%2D", "")))[-3:]
    )


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None


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
        yield from _within(secret.encode(), encode)


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
