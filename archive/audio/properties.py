"""What is heard of a file: its format, how long it lasts, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sound:
    """A file that is audio by its own bytes.

    `format` is also the ending of its name. `seconds`, `fault` (why it is not whole, as the rest of
    a sentence) and `last_is_cut` (it ends within a frame) are known where it was walked to its end
    and its format tells; else None, None, False.
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
        """Whether what makes it a file of this format was there."""

    @property
    def may_begin(self) -> bool:
        """Whether that was not there and may still come."""

    def feed(self, data: bytes) -> None:
        """Walk on over the bytes that follow."""

    def sound(self, size: int) -> Sound:
        """Return what was found, now that the file has ended after `size` bytes."""
