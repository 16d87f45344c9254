"""Decoding of a text in every notation in which it may have been written.

A server that repeats a password often escapes it: JSON, a URL, a web page and a mail each do so in
their own way, and they may be nested. Time and memory are bounded: a text that exceeds the bounds
raises TooDeep.
"""

from __future__ import annotations

import base64
import html
import quopri
import re
import unicodedata
from collections.abc import Iterator

#: How many nested notations are decoded.
_MAX_ROUNDS = 8
_MAX_DEPTH = 3
#: Longer texts are not searched for encoded bytes.
_MAX_SEARCHED = 1 << 18
#: How many characters are read at most: for each character of the text, and for a short text.
_BUDGET_FACTOR, _MIN_BUDGET = 12, 1 << 18

_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_ESCAPE = re.compile(
    r"(?P<bytes>(?:\\x[0-9A-Fa-f]{2})+|(?:\\[0-3][0-7]{2})+)"
    r"|\\u(?P<u>[0-9A-Fa-f]{4})|%u(?P<pu>[0-9A-Fa-f]{4})"
    r"|\\U(?P<U>[0-9A-Fa-f]{8})|\\[ux]\{(?P<brace>[0-9A-Fa-f]{1,6})\}"
    r"|_x(?P<name>[0-9A-Fa-f]{4})_|U\+(?P<point>[0-9A-Fa-f]{4,6}) ?"
    r"|\\(?P<one>[nrtbfvae\"'\\/&<>=+ ])"
)
_PRINTABLE = bytes(range(32, 127))
#: Every escape in ASCII has one of these.
_MARKS = ("\\", "%", "&", "_x", "U+")
_CODE_POINTS = ("u", "pu", "U", "brace", "name", "point")
_TAG = re.compile(r"<[^<>]{0,400}>")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_BYTE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FOREIGN = re.compile(r"[^\x00-\x7f]{1,4096}")
_UTF7 = re.compile(r"\+(?:-|[A-Za-z0-9+/]{2,}-?)")

_HEX = re.compile(r"(?:(?:0[xX])?[0-9A-Fa-f]{2}[\s:,;-]{0,2}){4,}")
#: An id, and not the hexadecimal of a secret.
_UUID = re.compile(r"(?<![0-9A-Za-z-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9A-Za-z-])")
_NO_HEX = re.compile(r"0[xX]|[\s:,;-]")
_CODES = re.compile(r"\d{1,3}(?:[\s,;]{1,3}\d{1,3}){3,}")
#: Line breaks may occur inside, as in a mail.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-](?:(?:\r?\n[ \t]*)?[A-Za-z0-9+/_-]){5,}")

#: Words of only these letters are names, ids and checksums, and not the base64 of a secret.
_NO_BASE64 = re.compile(r"[a-z_-]+|[0-9a-f-]+")


class TooDeep(Exception):
    """The text contains more nested notations than are decoded."""


class _Comparable(dict[int, int | None]):
    """A translation table that removes accents, invisible characters and a form's "+"."""

    def __missing__(self, code: int) -> int | None:
        ignored = unicodedata.category(chr(code)) in ("Mn", "Me", "Cf", "Cc", "Zs", "Zl", "Zp")
        self[code] = None if ignored or code == ord("+") else code
        return self[code]


_COMPARABLE = _Comparable()


def decoded(text: str) -> str:
    """Decode escapes of JSON and Python, percent-encoding and entities until none is left.

    The result is in NFC. Raises TooDeep.
    """
    if text.isascii() and not any(mark in text for mark in _MARKS):
        return text
    for _ in range(_MAX_ROUNDS):
        read = html.unescape(_PERCENT.sub(_percent, _unescaped(text)))
        if read == text:
            return unicodedata.normalize("NFC", read)
        text = read
    raise TooDeep


def readings(text: str) -> Iterator[str]:
    """Yield every reading of the text: as it is, decoded, without tags, and its encoded parts.

    Encodings are hexadecimal, base64, quoted-printable, UTF-7, lists of character codes and text
    that was read in a wrong encoding. Raises TooDeep.
    """
    budget = max(_MIN_BUDGET, _BUDGET_FACTOR * len(text))
    search = len(text) <= _MAX_SEARCHED
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
        if depth <= _MAX_DEPTH:
            waiting += _nested(one, depth, search=search)


def comparable(text: str) -> str:
    """Return the text for comparison: without case, accents, blanks and invisible characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return text.lower().translate(_COMPARABLE)


def texts_of(content: bytes) -> set[str]:
    """Decode bytes as UTF-8, as Latin-1 and, if they may be that, as UTF-16."""
    read = {content.decode("utf-8", "replace"), content.decode("latin-1")}
    if b"\0" in content or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        read |= {content.decode(name, "replace") for name in ("utf-16-le", "utf-16-be")}
    return read


def _nested(text: str, depth: int, *, search: bool) -> Iterator[tuple[str, int]]:
    """Yield the text decoded from each notation, and the depth of the result."""
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
            # Binary content contains no further notation.
            below = depth + 1 if _is_text(content) else _MAX_DEPTH + 1
            yield from ((one, below) for one in texts_of(content))


def _is_text(content: bytes) -> bool:
    return 2 * len(content.translate(None, _PRINTABLE)) < len(content)


def _encoded(text: str) -> Iterator[bytes]:
    """Yield the bytes that the text encodes, one value for each way to read them."""
    runs = [_NO_HEX.sub("", run) for run in _HEX.findall(_UUID.sub(" ", text))]
    for offset in range(2 if runs else 0):
        whole = (run[offset : len(run) - (len(run) - offset) % 2] for run in runs)
        yield b"\n".join(bytes.fromhex(run) for run in whole)
    lists = (re.findall(r"\d+", run) for run in _CODES.findall(text))
    yield b"\n".join(bytes(int(code) for code in run if int(code) < 256) for run in lists)
    words = [
        re.sub(r"\s", "", run) for run in _BASE64.findall(text) if not _NO_BASE64.fullmatch(run)
    ]
    for offset in range(4 if words else 0):
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
    # JSON writes code points beyond 65,535 as a surrogate pair.
    if read.isascii() or not _SURROGATE.search(read):
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
    """Repair UTF-8 that was decoded as Latin-1 or Windows-1252."""
    for _ in range(_MAX_DEPTH):
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
    if "\udc80" <= letter <= "\udcff":  # a byte kept by `surrogateescape`
        return bytes([ord(letter) - 0xDC00])
    return letter.encode("cp1252")
