"""Calls that are going on, their recordings, and what a server tells about them by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LiveCall:
    """A call that is going on. ``started_at`` is ISO 8601 in UTC; what the provider does not tell
    is None, the id too: such a call may be any. ``views`` are the call's legs where the provider
    has them, and ``more`` is what it tells beside.
    """

    call_id: str | None
    state: str | None = None
    source: str | None = field(default=None, repr=False)
    destination: str | None = field(default=None, repr=False)
    caller: str | None = field(default=None, repr=False)
    started_at: str | None = None
    views: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def result(self) -> dict[str, Any]:
        """The call as callers get it."""
        return {
            "call_id": self.call_id,
            "state": self.state,
            "source": self.source,
            "destination": self.destination,
            "caller": self.caller,
            "started_at": self.started_at,
            **self.more,
            "views": list(self.views),
        }


def going_on(calls: Sequence[LiveCall]) -> str:
    """How many calls are going on, as a sentence without an end."""
    return f"{len(calls)} call{'s' * (len(calls) != 1)} going on"


@dataclass(frozen=True)
class LiveRecording:
    """A call's recording: ``view_id`` is the leg that is meant, where the provider has legs, and
    ``since`` when it began, None where it is not known to run.
    """

    view_id: str | None
    since: str | None


class Unreadable(ValueError):
    """The form can not be read as a notification; the reason quotes nothing of it."""


@dataclass(frozen=True)
class Notification:
    """One notification.

    ``name`` in the vendor's spelling, or as sent where the vendor's pages know none such;
    ``call_id``, ``call_state``, ``record_url`` and ``digits`` are None where they were not told;
    ``fields`` is every field as it was sent, unknown ones too. ``call_is_over`` where nothing is
    left to record; ``finished_url`` is the address of a recording whose end this notification
    tells, None where it tells none.
    """

    name: str
    call_id: str | None
    call_state: str | None = None
    record_url: str | None = field(default=None, repr=False)
    digits: str | None = field(default=None, repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    call_is_over: bool = False
    finished_url: str | None = field(default=None, repr=False)
