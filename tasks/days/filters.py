"""Filters by which recordings are listed and exported."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.runtime.arguments import Arguments
from tasks.runtime.fields import Instant, Milliseconds, Text, utc_text


class Filters(Arguments):
    """The vendor's filters, under the vendor's names (docs/providers/vonage.md)."""

    call_direction: Literal["INBOUND", "OUTBOUND", "INTRA_PBX"] | None = None
    call_id: Text | None = None
    caller_id: Text | None = None
    cnam: Text | None = None
    dnis: Text | None = None
    extension: Text | None = None
    duration_from: Milliseconds | None = Field(None, alias="duration:gte")
    duration_to: Milliseconds | None = Field(None, alias="duration:lte")
    start_from: Instant | None = Field(None, alias="start:gte")
    start_to: Instant | None = Field(None, alias="start:lte")

    @model_validator(mode="after")
    def _in_order(self) -> Filters:
        if self.start_from and self.start_to and self.start_from > self.start_to:
            raise ValueError("start:gte is later than start:lte")
        return self

    def canonical(self) -> dict[str, Any]:
        """Return the given filters under the vendor's names, with instants as UTC text."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {
            name: utc_text(value) if isinstance(value, datetime) else value
            for name, value in given.items()
        }
