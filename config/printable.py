"""Escaping of characters that control a terminal or are invisible to a reader.

ESC and other control characters move the cursor and hide lines, bidirectional overrides reverse
them, zero-width characters and separators forge them, and a lone surrogate cannot be encoded.
"""

from __future__ import annotations

import json


def printable(text: str, keep: str = "") -> str:
    r"""Escape every character that is not printable as Python does: ``\x1b``.

    Args:
        text: any text.
        keep: characters that are not escaped, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else _escaped(letter) for letter in text
    )


def printable_json(value: object) -> str:
    """Return the value as JSON on one line of printable characters."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    # JSON's own escapes are printable, so every other character is part of a string.
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
