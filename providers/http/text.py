"""Text from the bytes of an answer, in any encoding that the provider really sent.

One unreadable letter must not cost the whole answer.
"""

from __future__ import annotations

import codecs
import json
from typing import NamedTuple

_HANDLER = "earwitness-windows-1252"
#: An answer with more unreadable letters is not a text, and would take long to guess.
_MOST_GUESSED = 50_000
#: The first byte of a letter of several bytes in UTF-8.
_LEAD = range(0xC2, 0xF5)
#: The bytes that follow the last letter of a text in JSON or XML.
_ENDS = (b'"', b"<", b"")


class Decoded(NamedTuple):
    """An answer's text; ``is_certain`` is false if some of its bytes were guessed."""

    text: str
    is_certain: bool


def decoded(body: bytes) -> Decoded:
    """Decode an answer: UTF-8, or UTF-16 and UTF-32 by their marks or their zero bytes.

    Bytes that are not UTF-8 are read as Windows-1252, or as U+FFFD if a text ends within a letter.
    If they are more than 50,000, all become U+FFFD. A byte-order mark is dropped.
    """
    encoding = json.detect_encoding(body)
    try:
        return Decoded(body.decode(encoding), is_certain=True)
    except UnicodeDecodeError:
        text = body.decode(encoding, "replace")
        if encoding.startswith("utf-8") and text.count("\ufffd") <= _MOST_GUESSED:
            text = body.decode(encoding, _HANDLER)
        return Decoded(text, is_certain=False)


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    unread = error.object[error.start : error.end]
    behind = error.object[error.end : error.end + 1]
    is_half = unread[0] in _LEAD and behind in _ENDS
    return "\ufffd" if is_half else unread.decode("cp1252", "replace"), error.end


codecs.register_error(_HANDLER, _as_windows)
