"""The detected properties of a file: its format, its duration, and its fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sound:
    """A file that is audio by its own bytes.

    `format` is also the ending of its name. `seconds`, `fault` (why it is not whole, as the rest of
    a sentence) and `last_is_cut` (it ends within a frame) are known if the file was walked to its
    end and its format states them; otherwise they are None, None, False.
    """

    format: str
    seconds: float | None = None
    fault: str | None = None
    last_is_cut: bool = False


class Walk(Protocol):
    """The walk over the records of a file of one format, fed from the file's beginning."""

    @property
    def format(self) -> str:
        """The format."""

    @property
    def begun(self) -> bool:
        """Whether the record that identifies the format was found."""

    @property
    def may_begin(self) -> bool:
        """Whether that record was not found and may still come."""

    def feed(self, data: bytes) -> None:
        """Walk on over the following bytes."""

    def sound(self, size: int) -> Sound:
        """Return the properties found, after the file has ended with `size` bytes."""
