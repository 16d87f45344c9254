"""Manifests as a rebuild reads them, and the folders of a day's exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field


class Window(BaseModel):
    """From ``start`` up to, and without, ``end``."""

    start: AwareDatetime
    end: AwareDatetime


class Manifest(BaseModel):
    """A manifest, as docs/archive-format.md describes it; of its parts what a rebuild needs."""

    kind: Literal["export"]
    account: str
    job_id: str
    day: date | None
    generation: int | None = Field(ge=1)
    window: Window | None
    filters: dict[str, Any] | None
    parts: list[dict[str, Any]]
    files: list[dict[str, Any]]
    listed: int
    archived: int
    missing: int
    complete: bool
    created_at: AwareDatetime


@dataclass
class Folder:
    """The exports of one day: what each job's manifest says, None where it can not be believed or
    is not there.
    """

    account: str
    day: date
    exports: dict[str, tuple[str, Manifest | None]] = field(default_factory=dict)

    def runs(self) -> list[tuple[str, Manifest]]:
        """The manifests of the day itself, by generation."""
        found = [
            (path, one)
            for path, one in self.exports.values()
            if one is not None and one.day == self.day and one.generation is not None
        ]
        return sorted(found, key=lambda run: run[1].generation or 0)
