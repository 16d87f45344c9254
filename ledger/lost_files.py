"""The files of a day that are missing from the archive, as a column of the day holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Lost:
    """Paths: ``gone`` while the day is damaged; ``given_up`` once the day was exported again
    without them.
    """

    gone: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> Lost:
        """Return the files in a stored column."""
        files = stored or {}
        return cls(set(files.get("gone", ())), set(files.get("given_up", ())))

    def exported_again(self) -> Lost:
        """Return the files once another generation does the day's work."""
        return Lost(set(), self.gone | self.given_up)

    def stored(self) -> dict[str, list[str]] | None:
        """Return the value for the column."""
        if not (self.gone or self.given_up):
            return None
        return {"gone": sorted(self.gone), "given_up": sorted(self.given_up)}
