"""The findings of a verification."""

from __future__ import annotations

from dataclasses import dataclass

from config.masking import mask_message

_MOST_QUOTED = 200
#: Text beyond this length is neither searched for secrets nor shown.
_MOST_READ = 4096


@dataclass(frozen=True)
class Problem:
    """A problem with a file of the archive: the file's path from the root, and a sentence."""

    path: str
    message: str

    def __str__(self) -> str:
        """Return one line for a path of any characters."""
        return f"{escaped(self.path)}: {escaped(self.message)}"


@dataclass(frozen=True)
class Unvouched(Problem):
    """A file that is not damaged, but for which nothing in the archive vouches."""


@dataclass(frozen=True)
class Pending(Problem):
    """An unvouched file so young that its evidence may still be written: no problem yet."""


def escaped(text: str) -> str:
    """Return the text in one line, with an escape for each character that is not printable: line
    feeds, a terminal's control characters, marks that turn the direction of writing, bytes of a
    name that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def quoted(value: object) -> str:
    """Return a value from a file for a message: as Python writes it, without numbers and secrets,
    and never a long text.
    """
    if isinstance(value, str):
        shown = repr(mask_message(value[:_MOST_READ])[: 2 * _MOST_QUOTED])
    else:
        shown = mask_message(repr(value)[:_MOST_READ])
    return shown if len(shown) <= _MOST_QUOTED else f"{shown[:_MOST_QUOTED]}..."


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        # A byte of a file's name that is not UTF-8, as Python carries it.
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
