"""Manifests as a rebuild reads them, and the folders of a day's exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, field_validator

_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def _possible(instant: datetime) -> datetime:
    """Refuse a time so far away that days cannot be counted around it."""
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise ValueError(f"{instant.year} is no year of a recording")
    return instant


#: A point in time as the archive's documents have it.
Instant = Annotated[AwareDatetime, AfterValidator(_possible)]


class Window(BaseModel):
    """From ``start`` up to, and without, ``end``."""

    start: Instant
    end: Instant


class Manifest(BaseModel):
    """A manifest, as docs/archive-format.md describes it; of its parts what a rebuild needs."""

    kind: Literal["export"]
    account: str
    job_id: str
    day: date | None
    generation: int | None = Field(ge=1)
    window: Window | None
    timezone: str | None = None
    filters: dict[str, Any] | None
    parts: list[dict[str, Any]]
    files: list[dict[str, Any]]
    listed: int
    archived: int
    missing: int
    complete: bool
    created_at: Instant

    @field_validator("timezone", mode="before")
    @classmethod
    def _known(cls, told: object) -> str | None:
        """A zone that is known here; else it is as if there were none, as in older manifests."""
        try:
            return ZoneInfo(str(told)).key if told else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return None


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
