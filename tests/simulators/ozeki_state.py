"""What one simulated Ozeki server holds: its switches, its live calls and its recordings."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import audio
from .messages import Body, Text

#: The states that end a call, of those that the vendor names.
ENDED = ("Completed", "Cancelled", "Busy", "Error")
STATES = (*ENDED, "Ringing", "InCall", "Hold", "Transferred", "Answered")
CHOICES: dict[str, tuple[Any, ...]] = {
    "control": ("http", "ozml_third_party", "ozml_extension"),
    "namespaces": ("xsd_first", "xsi_first", "absent"),
    "empty_list": ("empty", "absent"),
    "call_id_field": ("CallID", "CallId", "absent"),
    "etag": ("strong", "weak", "none"),
}


@dataclass(frozen=True)
class Switches:
    """How the server behaves where its pages leave it open.

    `authentication`: whether it asks for Username and Password; `user_allowed`, `address_allowed`:
    whether its lists admit them. `control` and `notify_url`: who is told of calls, and where.
    `call_id_field`: how RecordCompleted spells the call's id. `record_blocks`: whether the commands
    behind a Record wait for its end. `recording_origin`: what a RecordURL begins with instead of
    this server's address; `recording_bytes`: the size of MP3 recordings to come.
    """

    authentication: bool = True
    user_allowed: bool = True
    address_allowed: bool = True
    control: str = "http"
    notify_url: str | None = None
    namespaces: str = "xsd_first"
    empty_list: str = "empty"
    call_id_field: str = "CallID"
    record_blocks: bool = False
    recording_origin: str | None = None
    recording_bytes: int | None = None
    send_length: bool = True
    ranges: bool = True
    etag: str = "strong"
    part_status: int | None = None
    content_encoding: str | None = None
    stray_length: int | None = None

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """These with some set by name; ValueError names one that does not exist or its choices."""
        names = {one.name for one in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"no switch {name!r}; there are {sorted(names)}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name} is one of {CHOICES[name]}, not {value!r}")
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Command:
    """One command of an OzML document; attributes by their names in lower case."""

    name: str
    text: str
    attributes: Mapping[str, str]


@dataclass
class Call:
    """A call; `seconds` of it have passed, the last `silent` of them without a voice. `script` is
    what is left of the document that was answered, `resumes` the second at which it continues.
    """

    call_id: str
    state: str
    source: str
    destination: str
    caller: str
    started_at: datetime
    seconds: int = 0
    silent: int = 0
    script: list[Command] = field(default_factory=list)
    resumes: int = 0

    @property
    def is_live(self) -> bool:
        return self.state not in ENDED

    def facts(self) -> dict[str, Any]:
        told = ("call_id", "state", "source", "destination", "caller", "seconds")
        return {
            **{name: getattr(self, name) for name in told},
            "started_at": self.started_at.isoformat(),
        }


@dataclass(frozen=True)
class Limits:
    """What ends a recording before its call does: seconds, seconds of silence, keys."""

    duration: int | None = None
    inactivity: int | None = None
    finish_digits: str = ""


@dataclass
class Recording:
    """A recording; `ended` says why it did, None while it runs. `via`: "http" or "ozml"."""

    number: int
    call_id: str
    format: str
    finished_url: str | None
    via: str
    began: int
    limits: Limits
    size_bytes: int | None
    ended: str | None = None

    @property
    def file_name(self) -> str:
        return f"{self.number:06}_{self.call_id}.{self.format}"

    @property
    def body(self) -> Body:
        """The file: an MP3 or a WAV that no other recording is like."""
        if self.format == "wav":
            return Text(audio.wave_file(self.number))
        return audio.invented(self.number, self.size_bytes)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.body.read(0, self.body.size):
            digest.update(piece)
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        told = ("number", "call_id", "format", "finished_url", "via", "ended", "file_name")
        return {
            **{name: getattr(self, name) for name in told},
            "bytes": self.body.size,
            "sha256": self.sha256(),
        }


@dataclass(frozen=True)
class Notice:
    """A notification that is to be sent."""

    name: str
    url: str
    call_id: str
    fields: Mapping[str, str]
