"""Recordings as providers list them, in the one form that tasks and the archive use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Window:
    """The bounds of the requested recordings' starts, both included, to the second."""

    start: datetime
    last: datetime


@dataclass(frozen=True)
class Recording:
    """A recording as its provider lists it.

    ``id`` is unique in its account. ``start`` is in UTC, None if it cannot be read. ``duration_ms``
    is in milliseconds, ``size_bytes`` in bytes. Every field but the id is None if the provider does
    not give it. ``raw`` is the provider's whole entry, in its own words. ``set_aside`` says why the
    recording can neither be fetched nor be assigned to a day.
    """

    id: str
    start: datetime | None
    duration_ms: int | None = None
    call_id: str | None = field(default=None, repr=False)
    caller: str | None = field(default=None, repr=False)
    callee: str | None = field(default=None, repr=False)
    size_bytes: int | None = None
    file_name: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    set_aside: str | None = None

    def line(self) -> dict[str, Any]:
        """Return the recording as the archive keeps it and as callers get it.

        The result has ``raw`` whole, and the known fields under the archive's names
        (docs/archive-format.md). A provider that uses one of those names for something else keeps
        that under another name in ``raw``.
        """
        optional = {
            "duration": self.duration_ms,
            "call_id": self.call_id,
            "caller_id": self.caller,
            "dnis": self.callee,
            "file_size_in_bytes": self.size_bytes,
            "file_name": self.file_name,
            "set_aside": self.set_aside,
        }
        always = {"id": self.id, "start": None if self.start is None else _text(self.start)}
        present = {name: value for name, value in optional.items() if value is not None}
        return {**self.raw, **always, **present}


@dataclass(frozen=True)
class Page:
    """One page of a list of recordings. ``page`` counts from 1, ``page_size`` is the size that the
    provider applied, and the totals are None if the provider does not give them. ``set_aside`` are
    the entries that are not fetchable recordings.
    """

    recordings: Sequence[Recording]
    page: int
    page_size: int
    total_items: int | None = None
    total_pages: int | None = None
    set_aside: Sequence[Recording] = ()

    def result(self) -> dict[str, Any]:
        """Return the page as callers get it: ``recordings, page, page_size, set_aside?,
        total_items?, total_pages?``.
        """
        totals = {"total_items": self.total_items, "total_pages": self.total_pages}
        return {
            "recordings": [one.line() for one in self.recordings],
            "page": self.page,
            "page_size": self.page_size,
            **({"set_aside": [one.line() for one in self.set_aside]} if self.set_aside else {}),
            **{name: count for name, count in totals.items() if count is not None},
        }


def _text(instant: datetime) -> str:
    timespec = "milliseconds" if instant.microsecond else "seconds"
    return instant.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
