"""XML as servers really send it: in any declared encoding, and without DTDs and entities."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from .text import Decoded, decoded

_DECLARATION = re.compile(
    r"<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{0,40})[\"'][^>]{0,200}\?>"
)
#: The names under which programs declare UTF-16, although their server then sends UTF-8.
_WIDE = re.compile(r"(?i)utf-?16.*|utf-?32.*|ucs-?[24].*|unicode|iso-10646.*")
_EIGHT_BITS = re.compile(r"iso8859|cp(?:125[0-9]|437|8[0-9]{2})|koi8")
#: No other characters may occur in XML, escaped or not; a caller's name may hold them.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,8}|#x[0-9A-Fa-f]{1,8});)")
_AROUND = "\ufeff\0 \t\r\n"


class Parsed(NamedTuple):
    """An answer's root element; ``is_certain`` is false if some of its bytes were guessed."""

    root: Element
    is_certain: bool


def parsed(body: bytes) -> Parsed | None:
    """Return the root of an answer's XML; None if the answer is not XML, declares a DTD, or
    continues after its end.

    The bytes decide the encoding before the declaration does: UTF-8 and UTF-16 are read as such
    under any declaration (Windows declares UTF-16 for what a server then sends as UTF-8).
    Characters that no XML may hold become U+FFFD, and a lone ampersand stays an ampersand.
    """
    text, is_certain = _text(body)
    text = _DECLARATION.sub("", text.strip(_AROUND), count=1)
    text = _REFERENCE.sub(_readable, _BARE_AMPERSAND.sub("&amp;", _NO_XML.sub("\ufffd", text)))
    try:
        return Parsed(fromstring(text, forbid_dtd=True), is_certain)
    except (ParseError, DefusedXmlException, ValueError):
        return None


def _text(body: bytes) -> Decoded:
    found = decoded(body)
    declared = _DECLARATION.match(found.text.lstrip(_AROUND))
    if declared is None or _WIDE.fullmatch(declared[1]):
        return found
    try:
        name = codecs.lookup(declared[1]).name
        if found.is_certain:
            return found
        if _EIGHT_BITS.match(name):
            return Decoded(body.decode(name), is_certain=True)
    except LookupError:
        # The declared encoding does not exist: something other than the server may have answered.
        return Decoded(found.text, is_certain=False)
    except UnicodeError:
        pass
    return found


def _readable(reference: re.Match[str]) -> str:
    """Return U+FFFD for a reference to a character that no XML may hold."""
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    is_letter = code < 0x110000 and not _NO_XML.match(chr(code))
    return reference[0] if is_letter else "\ufffd"
