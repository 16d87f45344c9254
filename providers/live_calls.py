"""Calls in progress, their recordings, and the notifications of servers about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LiveCall:
    """A call in progress. ``started_at`` is ISO 8601 in UTC. Fields that the provider does not give
    are None, even the id: such a call may be any call. ``views`` are the call's legs if the
    provider has them, and ``more`` holds the provider's other fields.
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
        """Return the call as callers get it."""
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
    """Return the number of calls in progress, as a sentence without a full stop."""
    return f"{len(calls)} call{'s' * (len(calls) != 1)} in progress"


@dataclass(frozen=True)
class LiveRecording:
    """A call's recording: ``view_id`` is the recorded leg, if the provider has legs, and ``since``
    when it began, None if it is not known to run.
    """

    view_id: str | None
    since: str | None


class Unreadable(ValueError):
    """The form cannot be read as a notification; the reason quotes nothing of it."""


@dataclass(frozen=True)
class Notification:
    """One notification.

    ``name`` has the vendor's spelling, or the sent one if the vendor's pages do not know the name.
    ``call_id``, ``call_state``, ``record_url`` and ``digits`` are None if they were not sent.
    ``fields`` is every field as sent, unknown ones too. ``call_is_over`` means that nothing is left
    to record. ``finished_url`` is the address of a recording whose end this notification reports,
    None if it reports none.
    """

    name: str
    call_id: str | None
    call_state: str | None = None
    record_url: str | None = field(default=None, repr=False)
    digits: str | None = field(default=None, repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    call_is_over: bool = False
    finished_url: str | None = field(default=None, repr=False)
