"""The folders of a day's exports, as a rebuild finds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from archive.documents.manifest import Manifest


@dataclass
class Folder:
    """The exports of one day: the path and manifest of each job.

    The manifest is None if it is missing or cannot be trusted.
    """

    account: str
    day: date
    exports: dict[str, tuple[str, Manifest | None]] = field(default_factory=dict)

    def runs(self) -> list[tuple[str, Manifest]]:
        """Return the manifests of the day itself, by generation."""
        day = self.day.isoformat()
        found = [
            (path, one)
            for path, one in self.exports.values()
            if one is not None and one.day == day and one.generation is not None
        ]
        return sorted(found, key=lambda run: run[1].generation or 0)
