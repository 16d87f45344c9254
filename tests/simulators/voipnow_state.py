"""What one App of the VoipNow simulator has: its user's calls, phone terminals and switches."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

CHOICES: dict[str, tuple[Any, ...]] = {
    "dead_token_status": (401, 403),
    "entry": ("list", "object", "one"),
    "nothing_found": ("absent", "empty", "204", "php"),
    "totals": ("number", "text", "absent"),
    "action_answer": ("object", "array", "204", "silent"),
    "link": ("link", "links"),
    "numbers": ("text", "number"),
    "second_start": ("same", "refused"),
}


@dataclass(frozen=True)
class Switches:
    """How the server behaves where its page leaves it open. Times in seconds.

    `entry`: a list, an object keyed by id, or the call itself where it is only one.
    `nothing_found`: no entry, an empty one, 204, or PHP's `[]`. `action_answer`: one call, an
    array of it, 204, or a call whose views do not tell of recordings ("silent").
    `shown_after_lists`: how many lists a recording that began is not shown in yet.
    `second_start`: a start where it records already continues, or is refused.
    """

    expires_in: float = 3600
    dead_token_status: int = 401
    entry: str = "list"
    nothing_found: str = "absent"
    totals: str = "number"
    page_cap: int | None = None
    action_answer: str = "object"
    link: str = "link"
    numbers: str = "text"
    second_start: str = "same"
    shown_after_lists: int = 0

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """These with some set by name; ValueError names one that does not exist or its choices."""
        names = {one.name for one in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"no switch {name!r}; there are {sorted(names)}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name} is one of {CHOICES[name]}, not {value!r}")
        return dataclasses.replace(self, **changes)


def moment() -> str:
    """Now, as the vendor's page writes times."""
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


@dataclass
class View:
    """One party's side of a call. `recording` is the moment when its recording began."""

    id: str
    extension: str
    source: str
    destination: str
    caller: str
    flow: int
    status: int = 5
    recording: str | None = None
    format: str | None = None
    hidden_lists: int = 0


@dataclass
class PhoneCall:
    """A call that is going on."""

    extension: str
    views: list[View]
    id: str = field(default_factory=lambda: secrets.token_hex(10))
    at: str = field(default_factory=moment)
    _views: itertools.count[int] = field(default_factory=lambda: itertools.count(2))

    def view(self, view_id: object) -> View | None:
        return next((one for one in self.views if one.id == view_id), None)

    def involves(self, extension: str) -> bool:
        return extension == "@self" or extension in {
            self.extension,
            *(one.extension for one in self.views),
        }

    def transfer(self, to: str | None) -> None:
        """Its views go and others come, the first one at another extension if wished. What was
        recorded of the old ones has ended.
        """
        old = self.views
        self.views = [
            dataclasses.replace(one, id=f"{next(self._views):02}", recording=None, format=None)
            for one in old
        ]
        if to is not None:
            self.views[0].extension = self.views[0].destination = to


@dataclass
class Account:
    """An App, the user that it is registered to, and that user's calls."""

    client_id: str
    client_secret: str
    user_id: str
    owner_id: str
    switches: Switches
    calls: dict[str, PhoneCall] = field(default_factory=dict)
    #: Extensions whose Phone Terminal Setup does not let *1 record.
    switched_off: set[str] = field(default_factory=set)
    actions: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(
        self, extension: str, other: str, caller: str, incoming: bool, status: int
    ) -> PhoneCall:
        """A new call; a number outside has no view."""
        source, destination = (other, extension) if incoming else (extension, other)
        inside = "*" in other
        flow = 2 if inside else 8 if incoming else 4
        parties = [("01", extension), *([("00", other)] if inside else [])]
        views = [
            View(number, party, source, destination, caller, flow, status)
            for number, party in parties
        ]
        call = PhoneCall(extension, views)
        with self.lock:
            self.calls[call.id] = call
        return call

    def note(self, **action: Any) -> None:
        """Remembers what was asked for, and what came of it."""
        with self.lock:
            self.actions.append({"at": time.time(), **action})
