"""Reading a text in every notation in which it may have been written.

A server that repeats a password seldom repeats it as it is: JSON, an address, a page or a mail each
escape it in their own way, often one within another. Everything here is bounded in time and memory:
a text that does not come to its end within these bounds raises TooDeep.
"""

from __future__ import annotations

import base64
import html
import quopri
import re
import unicodedata
from collections.abc import Iterator

#: How many notations may lie one within another.
_MOST_ROUNDS = 8
_MOST_DEPTH = 3
#: Longer texts are not searched for encoded bytes.
_MOST_SEARCHED = 1 << 18
#: How many characters are read at most for each character of the text, and for a short text.
_SHARE, _LEAST_BUDGET = 12, 1 << 18

_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_ESCAPE = re.compile(
    r"(?P<bytes>(?:\\x[0-9A-Fa-f]{2})+|(?:\\[0-3][0-7]{2})+)"
    r"|\\u(?P<u>[0-9A-Fa-f]{4})|%u(?P<pu>[0-9A-Fa-f]{4})"
    r"|\\U(?P<U>[0-9A-Fa-f]{8})|\\[ux]\{(?P<brace>[0-9A-Fa-f]{1,6})\}"
    r"|_x(?P<name>[0-9A-Fa-f]{4})_|U\+(?P<point>[0-9A-Fa-f]{4,6}) ?"
    r"|\\(?P<one>[nrtbfvae\"'\\/&<>=+ ])"
)
_CODE_POINTS = ("u", "pu", "U", "brace", "name", "point")
_TAG = re.compile(r"<[^<>]{0,400}>")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_BYTE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})")
_TORN = re.compile(r"[\ud800-\udfff]")
_FOREIGN = re.compile(r"[^\x00-\x7f]{1,4096}")
_UTF7 = re.compile(r"\+(?:-|[A-Za-z0-9+/]{2,}-?)")

_HEX = re.compile(r"(?:(?:0[xX])?[0-9A-Fa-f]{2}[\s:,;-]{0,2}){4,}")
_NO_HEX = re.compile(r"0[xX]|[\s:,;-]")
_CODES = re.compile(r"\d{1,3}(?:[\s,;]{1,3}\d{1,3}){3,}")
#: A line break may stand within, as in a mail.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-](?:(?:\r?\n[ \t]*)?[A-Za-z0-9+/_-]){5,}")

#: Words of these letters alone are names, ids and checksums, and no base64 of a secret.
_NO_BASE64 = re.compile(r"[a-z_-]+|[0-9a-f-]+")


class TooDeep(Exception):
    """The text holds more notations, one within another, than are read."""


class _Comparable(dict[int, int | None]):
    """Leaves out accents, what cannot be seen, and the blank of a form."""

    def __missing__(self, code: int) -> int | None:
        ignored = unicodedata.category(chr(code)) in ("Mn", "Me", "Cf", "Cc", "Zs", "Zl", "Zp")
        self[code] = None if ignored or code == ord("+") else code
        return self[code]


_COMPARABLE = _Comparable()


def decoded(text: str) -> str:
    """The text without escapes of JSON and Python, percent-encoding and entities, in NFC.

    They are removed until none is left. Raises TooDeep.
    """
    for _ in range(_MOST_ROUNDS):
        read = html.unescape(_PERCENT.sub(_percent, _unescaped(text)))
        if read == text:
            return unicodedata.normalize("NFC", read)
        text = read
    raise TooDeep


def readings(text: str) -> Iterator[str]:
    """Everything that the text may say: as it is, decoded, without tags, and what stands in it as
    hexadecimal, base64, quoted-printable, UTF-7, a list of codes or in a misread encoding. Raises
    TooDeep.
    """
    budget = max(_LEAST_BUDGET, _SHARE * len(text))
    search = len(text) <= _MOST_SEARCHED
    waiting, seen = [(text, 0)], set()
    while waiting:
        one, depth = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        budget -= len(one)
        if budget < 0:
            raise TooDeep
        yield one
        if depth <= _MOST_DEPTH:
            waiting += _beneath(one, depth, search=search)


def comparable(text: str) -> str:
    """The text in the form in which texts are compared: without case, accents, blanks and what
    cannot be seen.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return text.lower().translate(_COMPARABLE)


def texts_of(content: bytes) -> set[str]:
    """What bytes say as UTF-8, as Latin-1 and, where it may be that, as UTF-16."""
    read = {content.decode("utf-8", "replace"), content.decode("latin-1")}
    if b"\0" in content or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        read |= {content.decode(name, "replace") for name in ("utf-16-le", "utf-16-be")}
    return read


def _beneath(text: str, depth: int, *, search: bool) -> Iterator[tuple[str, int]]:
    """What the text says in each notation, and how deep that is."""
    plain = decoded(text)
    yield plain, depth + 1
    if not plain.isascii():
        yield _reread(plain), depth + 1
    if "<" in text:
        yield _TAG.sub("", text), depth + 1
    if "=" in text:
        yield _quoted_printable(text), depth + 1
    if "+" in text:
        yield _UTF7.sub(_utf7, text), depth + 1
    if search:
        for content in filter(None, _encoded(plain)):
            # What is no text holds no further notation.
            under = depth + 1 if _is_text(content) else _MOST_DEPTH + 1
            yield from ((one, under) for one in texts_of(content))


def _is_text(content: bytes) -> bool:
    return 2 * sum(32 <= byte < 127 for byte in content) > len(content)


def _encoded(text: str) -> Iterator[bytes]:
    """The bytes that stand in the text in other letters, each way of reading them apart."""
    runs = [_NO_HEX.sub("", run) for run in _HEX.findall(text)]
    for offset in range(2):
        whole = (run[offset : len(run) - (len(run) - offset) % 2] for run in runs)
        yield b"\n".join(bytes.fromhex(run) for run in whole)
    lists = (re.findall(r"\d+", run) for run in _CODES.findall(text))
    yield b"\n".join(bytes(int(code) for code in run if int(code) < 256) for run in lists)
    words = [
        re.sub(r"\s", "", run) for run in _BASE64.findall(text) if not _NO_BASE64.fullmatch(run)
    ]
    for offset in range(4):
        yield b"\n".join(_from_base64(word[offset:]) for word in words)


def _from_base64(letters: str) -> bytes:
    whole = letters[: len(letters) - (1 if len(letters) % 4 == 1 else 0)]
    padded = whole.replace("-", "+").replace("_", "/") + "=" * (-len(whole) % 4)
    return base64.b64decode(padded)


def _quoted_printable(text: str) -> str:
    content = quopri.decodestring(text.encode("utf-8", "replace"))
    return _as_text(content)


def _utf7(found: re.Match[str]) -> str:
    return found[0].encode().decode("utf-7", "ignore")


def _percent(found: re.Match[str]) -> str:
    return _as_text(bytes.fromhex(found[0].replace("%", "")))


def _unescaped(text: str) -> str:
    read = _ESCAPE.sub(_escape, text)
    # JSON writes what lies beyond 65,535 as a pair.
    if read.isascii() or not _TORN.search(read):
        return read
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escape(found: re.Match[str]) -> str:
    if found["bytes"]:
        return _as_text(
            bytes(int(one[1], 16) if one[1] else int(one[2], 8) for one in _BYTE.finditer(found[0]))
        )
    if found["one"]:
        return _NAMED.get(found["one"], found["one"])
    code = int(next(filter(None, map(found.group, _CODE_POINTS))), 16)
    return chr(code) if code < 0x110000 else "\ufffd"


def _as_text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _reread(text: str) -> str:
    """The text with UTF-8 that was taken for Latin-1 or Windows-1252 put right."""
    for _ in range(_MOST_DEPTH):
        read = _FOREIGN.sub(_right_encoding, text)
        if read == text:
            break
        text = read
    return text


def _right_encoding(found: re.Match[str]) -> str:
    try:
        return _as_text(b"".join(map(_byte_of, found[0])))
    except UnicodeEncodeError:
        return found[0]


def _byte_of(letter: str) -> bytes:
    if letter <= "\xff":
        return letter.encode("latin-1")
    if "\udc80" <= letter <= "\udcff":  # as `surrogateescape` keeps a byte
        return bytes([ord(letter) - 0xDC00])
    return letter.encode("cp1252")
