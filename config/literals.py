"""Search for many literal strings at once, in time that does not grow with their number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

#: The lengths of the beginnings by which literals are found: of each literal the longest that fits.
_LENGTHS = (8, 4, 2, 1)
#: So many characters are looked at together.
_STRETCH = 4096
#: A regular expression finds so few literals faster.
_FEW = 64


class Literals:
    """Literal strings that are searched for together.

    A regular expression of alternatives tries each of them at every character, and a thousand
    accounts have ten thousand notations of their secrets. Here each character costs one lookup.

    Args:
        literals: the strings; empty ones are ignored.
    """

    def __init__(self, literals: Iterable[str]) -> None:
        known = sorted({one for one in literals if one}, key=len, reverse=True)
        self._few = re.compile("|".join(map(re.escape, known))) if len(known) <= _FEW else None
        self._begun: dict[int, dict[str, list[str]]] = {}
        for literal in known if self._few is None else ():
            length = next(one for one in _LENGTHS if one <= len(literal))
            begun = self._begun.setdefault(length, {})
            begun.setdefault(literal[:length], []).append(literal)
        self._is_empty = not known

    def search(self, text: str) -> bool:
        """Return whether the text contains one of the literals."""
        if self._is_empty:
            return False
        if self._few is not None:
            return self._few.search(text) is not None
        return any(True for _ in self._found(text))

    def replaced(self, text: str, by: str) -> str:
        """Replace each occurrence with ``by``: the first of overlapping ones, and of those that
        begin at one place the longest.
        """
        if self._is_empty:
            return text
        if self._few is not None:
            return self._few.sub(lambda _: by, text)
        longest: dict[int, str] = {}
        for at, literal in self._found(text):
            longest[at] = max(literal, longest.get(at, ""), key=len)
        pieces, end = [], 0
        for at in sorted(longest):
            if at >= end:
                pieces += [text[end:at], by]
                end = at + len(longest[at])
        return "".join([*pieces, text[end:]])

    def _found(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield every literal that stands in the text, with its place."""
        for length, begun in self._begun.items():
            for at in _beginnings(text, length, begun):
                for literal in begun[text[at : at + length]]:
                    if text.startswith(literal, at):
                        yield at, literal


@cache
def _windows(length: int) -> list[slice]:
    """Return the slices of one stretch: half a megabyte, which few literals do not need."""
    return [slice(at, at + length) for at in range(_STRETCH)]


def _beginnings(text: str, length: int, begun: dict[str, list[str]]) -> Iterator[int]:
    """Yield the places at which one of the beginnings stands."""
    count = len(text) - length + 1
    for base in range(0, count, _STRETCH):
        windows = _windows(length)[: count - base]
        piece = text[base : base + _STRETCH + length - 1]
        if not begun.keys().isdisjoint(map(piece.__getitem__, windows)):
            yield from (base + one.start for one in windows if piece[one] in begun)
