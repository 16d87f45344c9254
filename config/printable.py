"""Texts without characters that a terminal obeys or a reader does not see.

ESC and the other controls move a cursor and hide a line, bidirectional overrides turn one round,
zero-width letters and separators forge another, and a lone surrogate cannot be written at all.
"""

from __future__ import annotations

import json


def printable(text: str, keep: str = "") -> str:
    r"""The text with every character that is not printable written as Python does: ``\x1b``.

    Args:
        text: anything.
        keep: characters that stay all the same, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else _escaped(letter) for letter in text
    )


def printable_json(value: object) -> str:
    """The value as JSON on one line, in which every character is printable."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    # JSON's own escapes are printable already: what is not stands within a string.
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
