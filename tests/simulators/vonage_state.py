"""What one Vonage account holds: its switches, its recordings and its export jobs."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from .exports import Archive
from .vonage_jobs import NO_FAULTS, Job
from .vonage_recordings import Order, Recording, Search, day_starts, imagine
from .vonage_variants import STATUS_OPERATIONS, VARIANTS, Variant

CHOICES: dict[str, tuple[str, ...]] = {
    "repeated_login": ("same", "new"),
    "past_the_end": ("empty", "absent", "404", "last"),
    "totals": ("both", "absent", "total_page"),
    "nothing_found": ("empty", "absent"),
    "next_link": ("documented", "correct", "elsewhere"),
    "identifiers": ("number", "string"),
    "date_format": ("+0000", "Z", "+00:00"),
    "nothing_matches": ("no_job", "empty_zip"),
    "not_ready": ("404", "202", "204", "409", "200-json", "200-html", "200-empty"),
    "etag": ("strong", "weak", "none"),
    "members": ("file_name", "id", "folder", "renamed", "duplicate"),
    "compression": ("stored", "deflated"),
    "sizes": ("listed", "absent", "zero"),
    "durations": ("listed", "absent"),
    "companions_at": ("before", "behind"),
    "name_form": ("NFC", "NFD"),
}


@dataclass
class Switches:
    """How the provider behaves where its page leaves it open. Times in seconds.

    `sizes`, `durations`: whether recordings are listed with them. `companions`: endings of further
    members beside each recording in an archive, separated by commas (vtt, json, ... as in
    audio.PRETENDERS; wav is a second recording), before the recordings or behind them.
    `name_form`: how an archive composes the letters of names. `audio_type`: the content type of
    single recordings, none where it is empty. `export_status`, `status_endpoint`: as the account's
    API has them unless they are set. `running_status`: the status of an export job that is not
    complete yet, whose name the vendor does not give.
    """

    expires_in: float = 86400
    refresh_expires_in: float = 604800
    repeated_login: str = "same"
    subscribed: bool = True
    error_body: str | None = None
    clock_offset: float = 0.0
    first_page: int = 1
    page_size_cap: int | None = None
    past_the_end: str = "empty"
    totals: str = "both"
    nothing_found: str = "empty"
    next_link: str = "documented"
    identifiers: str = "number"
    date_format: str = "+0000"
    export_status: int | None = None
    export_parts: int = 1
    nothing_matches: str = "no_job"
    ready_after_polls: int = 2
    ready_after_seconds: float | None = None
    not_ready: str = "404"
    status_endpoint: bool | None = None
    running_status: str = "in_progress"
    archive_valid_seconds: float | None = None
    retrieve_needs_token: bool = True
    send_length: bool = False
    ranges: bool = True
    etag: str = "strong"
    #: The status that a request for a part of a file is answered with, in place of 206.
    part_status: int | None = None
    #: The files' Content-Encoding, and a Content-Length beside their chunks, whatever they are.
    content_encoding: str | None = None
    stray_length: int | None = None
    #: Where files are redirected to, such as http://localhost:8080, with this status.
    store: str | None = None
    redirect_status: int = 307
    #: How lists and recordings are written; a letter such as \udcc3 is sent as the byte C3.
    text_encoding: str = "ascii"
    #: Fields of a token's answer that are others than they should be.
    token_answer: dict[str, Any] = field(default_factory=dict)
    bytes_per_second: float | None = None
    members: str = "file_name"
    extra_member: bool = False
    compression: str = "stored"
    data_descriptors: bool = True
    zip64: bool = False
    sizes: str = "listed"
    durations: str = "listed"
    companions: str = ""
    companions_at: str = "behind"
    name_form: str = "NFC"
    audio_type: str = "audio/mpeg"

    def change(self, changes: Mapping[str, Any]) -> None:
        """Sets switches by name; ValueError names one that does not exist or its choices."""
        names = {f.name for f in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"no switch {name!r}; there are {sorted(names)}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name} is one of {CHOICES[name]}, not {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)


@dataclass
class Account:
    """One login and everything that belongs to it."""

    username: str
    password: str
    client_id: str
    client_secret: str
    login_name: str
    account_id: str
    user_id: str
    region: str
    switches: Switches
    recordings: dict[int, Recording] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    jobs: dict[str, Job] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _found: dict[tuple[Search, Order], list[Recording]] = field(default_factory=dict)

    @property
    def variant(self) -> Variant:
        """The API that the account is subscribed to."""
        return VARIANTS[self.region]

    @property
    def export_status(self) -> int:
        chosen = self.switches.export_status
        return self.variant.export_status if chosen is None else chosen

    def offers(self, operation: str) -> bool:
        """Whether the account's API has the operation."""
        if operation in STATUS_OPERATIONS:
            chosen = self.switches.status_endpoint
            return self.variant.status_endpoint if chosen is None else chosen
        return self.variant.on_demand or not operation.startswith("on_demand_")

    def user(self, user_id: str | None) -> str | None:
        """The id of a user of the account, `self` for its own; None where there is no such user."""
        if user_id in ("self", self.user_id):
            return self.user_id
        return user_id if user_id in self.users else None

    def seed(
        self, day: date, timezone: str, count: int, fields: Mapping[str, Any]
    ) -> list[Recording]:
        """Recordings spread over the local day, the first at its first second."""
        starts = day_starts(day, timezone, count)
        return [self.add({"start": start, **fields}) for start in starts]

    def add(self, fields: Mapping[str, Any]) -> Recording:
        """One recording more, of the company or, with a `user_id`, on demand of that user."""
        fields = dict(fields)
        user_id = fields.pop("user_id", None)
        if user_id is not None:
            fields["user_id"] = self.user(str(user_id)) or str(user_id)
            if not self.variant.on_demand:
                raise ValueError(f"the {self.region} API has no on-demand recordings")
        recording = imagine(fields, customer=str(int(self.account_id) + 180223))
        with self._lock:
            self.users |= {recording.user_id} if recording.user_id else set()
            if recording.id in self.recordings:
                raise ValueError(f"recording {recording.id} exists already")
            self.recordings[recording.id] = recording
            self._found.clear()
        return recording

    def withhold(self, recording_id: int, from_: str | None) -> None:
        """From "zip", "everywhere" or "list"; None gives it back."""
        if from_ not in (None, "zip", "everywhere", "list"):
            raise ValueError(f"a recording is withheld from zip, everywhere or list, not {from_}")
        with self._lock:
            self.recordings[recording_id].withheld = from_
            self._found.clear()

    def find(self, search: Search, order: Order) -> list[Recording]:
        """What a search finds, in order; remembered until a recording comes or goes."""
        with self._lock:
            if (search, order) not in self._found:
                matching = [r for r in self.recordings.values() if search.finds(r)]
                self._found[search, order] = order.sort(matching)
            return self._found[search, order]

    def visible(self, recording_id: str) -> Recording | None:
        """The recording with this id, as far as the provider shows it."""
        with self._lock:
            number = int(recording_id) if recording_id.isascii() and recording_id.isdigit() else 0
            recording = self.recordings.get(number)
            return None if recording is None or recording.withheld == "list" else recording

    def remove(self, recording: Recording) -> bool:
        """Deletes it; False where somebody else was faster."""
        with self._lock:
            self._found.clear()
            return self.recordings.pop(recording.id, None) is not None

    def export(
        self,
        filters: Mapping[str, Any],
        folder: Path,
        user_id: str | None = None,
        faults: Mapping[str, Mapping[str, Any]] = NO_FAULTS,
    ) -> list[Job]:
        """Creates the jobs of one export, of the company's recordings or of a user's: what matches
        now, split into the wanted parts. `faults` say what becomes of these jobs.
        """
        matching = self.find(Search.read(filters, user_id), Order("start", False))
        chosen = [r for r in matching if r.withheld is None]
        parts = self.switches.export_parts if chosen else 0
        if not matching and self.switches.nothing_matches == "empty_zip":
            parts = 1
        elif matching and not chosen:
            parts = min(1, self.switches.export_parts)
        jobs = []
        for part in range(parts):
            share = chosen[part * len(chosen) // parts : (part + 1) * len(chosen) // parts]
            job = Job(
                str(uuid.uuid4()),
                dict(filters),
                share,
                self.switches,
                folder,
                user_id=user_id,
                faults=faults,
            )
            jobs.append(job)
        if "lost_job" in faults:
            return jobs
        with self._lock:
            self.jobs.update({job.id: job for job in jobs})
        for job in jobs:
            job.build()
        return jobs

    def restore_job(
        self, job_id: str, recording_ids: list[int], archive: Archive | None, folder: Path
    ) -> None:
        """Puts an export job of another simulator in place, with its archive if that was built."""
        chosen = [self.recordings[one] for one in recording_ids]
        job = Job(job_id, {}, chosen, self.switches, folder)
        with self._lock:
            self.jobs[job_id] = job
        if archive is None:
            job.build()
        else:
            job.serve(archive)
