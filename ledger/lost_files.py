"""Files of a day that are gone from the archive, as a column of the day holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Lost:
    """Paths: ``gone`` while the day is damaged; ``given_up`` since the day was exported once more,
    so that it does without them.
    """

    gone: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> Lost:
        """What stands in the column."""
        known = stored or {}
        return cls(set(known.get("gone", ())), set(known.get("given_up", ())))

    def exported_again(self) -> Lost:
        """The same once another generation does the day's work."""
        return Lost(set(), self.gone | self.given_up)

    def stored(self) -> dict[str, list[str]] | None:
        """What is to stand in the column."""
        if not (self.gone or self.given_up):
            return None
        return {"gone": sorted(self.gone), "given_up": sorted(self.given_up)}
