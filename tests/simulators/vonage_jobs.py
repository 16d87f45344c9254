"""Export jobs: built behind the scenes, ready after some polls or seconds, one day expired.

Asking for the status is a poll like asking for the archive.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .audio import PRETENDERS, wave_file
from .exports import Archive, Member, build, damaged
from .messages import Text
from .vonage_recordings import Recording

if TYPE_CHECKING:
    from .vonage_state import Switches

BUILD_PATIENCE = 5.0
VALID_SECONDS = 7 * 86400.0
NO_FAULTS: Mapping[str, Mapping[str, Any]] = {}
_PRETENDERS = {"vtt": "webvtt"}


@dataclass(frozen=True)
class Progress:
    """How far a job is. Only a complete one has a `valid_until`, when its archive expires."""

    status: str
    files_completed: int
    files_total: int
    valid_until: datetime | None = None


class Job:
    """One export job, with the recordings that matched when it was created.

    `user_id` is whose on-demand recordings it holds, None for the company's; `faults` are the
    faults.JOB_KINDS that its creation met.

    It stays not ready for the polls or seconds that the account's switches ask for at the time
    of the poll, and in any case while its archive is being built. How the archive is laid out
    is decided by the switches at creation.
    """

    def __init__(
        self,
        job_id: str,
        filters: dict[str, Any],
        recordings: list[Recording],
        switches: Switches,
        folder: Path,
        *,
        user_id: str | None = None,
        faults: Mapping[str, Mapping[str, Any]] = NO_FAULTS,
    ) -> None:
        self.id = job_id
        self.filters = filters
        self.recordings = recordings
        self.user_id = user_id
        self.faults = faults
        self.polls = 0
        self.files_shown = 0
        self._switches = switches
        self._layout = dataclasses.replace(switches)
        self._folder = folder
        self._created = time.monotonic()
        self._created_at = datetime.now(UTC)
        self._expired = False
        self._built = threading.Event()
        self._archive: Archive | None = None
        self._variants: dict[str, Archive] = {}
        self._lock = threading.Lock()

    @property
    def window(self) -> tuple[Any, Any]:
        return self.filters.get("start:gte"), self.filters.get("start:lte")

    @property
    def expired(self) -> bool:
        if "expired_job" in self.faults and self._share() >= 1:
            return True
        return self._expired or time.monotonic() - self._created > self._valid_seconds()

    @property
    def valid_until(self) -> datetime:
        """When the archive expires, by the provider's clock."""
        seconds = self._switches.clock_offset + (0 if self.expired else self._valid_seconds())
        return self._created_at + timedelta(seconds=seconds)

    def _valid_seconds(self) -> float:
        chosen = self._switches.archive_valid_seconds
        return VALID_SECONDS if chosen is None else chosen

    def expire(self) -> None:
        """Ends the archive's validity; every later retrieve answers 410."""
        self._expired = True

    def build(self) -> None:
        """Starts building the archive on a thread of its own."""
        threading.Thread(target=self._build, daemon=True).start()

    def _build(self) -> None:
        self._archive = build(self._folder / f"{self.id}.zip", self._members(), self._layout)
        self._built.set()

    def serve(self, archive: Archive) -> None:
        """Offers an archive that was built before, by another simulator."""
        self._archive = archive
        self._built.set()

    def poll(self) -> Archive | None:
        """Counts a poll; the archive once it is ready."""
        with self._lock:
            self.polls += 1
            ready = self._share() >= 1 and self._halt() is None
        if not ready or not self._built.wait(BUILD_PATIENCE):
            return None
        return self._archive

    def progress(self) -> Progress:
        """Counts a poll; how far the job is."""
        total = len(self.recordings)
        if self.poll():
            return Progress("complete", total, total, self.valid_until)
        share, halt = self._share(), self._halt()
        status = self._switches.running_status
        if halt is not None and share >= halt:
            share = halt
            status = str(self.faults.get("failed_job", {}).get("status", status))
        return Progress(status, int(total * share), total)

    def _halt(self) -> float | None:
        """The share of the work at which the job stays or fails, if it is to."""
        for kind in ("failed_job", "stalled_job"):
            if kind in self.faults:
                return float(self.faults[kind]["share"])
        return None

    def _share(self) -> float:
        """The share of the work that is done, at most 1."""
        early = self._switches.ready_after_seconds
        if early is None:
            return min(1.0, self.polls / (self._switches.ready_after_polls + 1))
        return min(1.0, (time.monotonic() - self._created) / early) if early > 0 else 1.0

    def variant(self, kind: str, parameters: Mapping[str, Any]) -> Archive:
        """The archive with something wrong in it, built once for each wish."""
        key = f"{kind}{sorted(parameters.items())}"
        with self._lock:
            if key not in self._variants:
                assert self._archive is not None
                path = self._folder / f"{self.id}.{len(self._variants) + 1}.{kind}.zip"
                members = self._members()
                self._variants[key] = damaged(
                    path, self._archive, members, kind, parameters, layout=self._layout
                )
            return self._variants[key]

    def _members(self) -> list[Member]:
        scheme = self._layout.members
        form = self._layout.name_form
        members = [
            Member(unicodedata.normalize(form, _name(scheme, place, r)), r.audio, r.start)
            for place, r in enumerate(self.recordings, 1)
        ]
        beside = [
            one for r, m in zip(self.recordings, members, strict=True) for one in self._beside(r, m)
        ]
        members = (
            [*beside, *members] if self._layout.companions_at == "before" else [*members, *beside]
        )
        if self._layout.extra_member and self.recordings:
            members.append(Member.index(self.recordings[-1].start, [m.name for m in members]))
        return members

    def _beside(self, recording: Recording, member: Member) -> Iterator[Member]:
        """What lies beside a recording under its own name: a transcript, a second file of it."""
        stem = member.name.rpartition(".")[0]
        for ending in filter(None, self._layout.companions.split(",")):
            is_sound = ending == "wav"
            data = (
                wave_file(recording.id) if is_sound else PRETENDERS[_PRETENDERS.get(ending, ending)]
            )
            yield Member(f"{stem}.{ending}", Text(data), member.at)

    def facts(self) -> dict[str, Any]:
        """What a test may want to know of the job, as JSON can carry it."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            "filters": self.filters,
            "window": list(self.window),
            "polls": self.polls,
            "built": self._built.is_set(),
            "expired": self.expired,
            "recording_ids": [r.id for r in self.recordings],
            "bytes": self._archive.size if self._archive else None,
            "path": str(self._archive.path) if self._archive else None,
        }


def _name(scheme: str, place: int, recording: Recording) -> str:
    """The member's name under the scheme that the account's switch chose."""
    if scheme == "id":
        return f"recording_{recording.id}.mp3"
    if scheme == "folder":
        return f"{recording.start:%Y/%m/%d}/{recording.file_name}"
    if scheme == "renamed":
        return f"call-{'abcdefghij'[place % 10]}-{recording.call_id.rsplit('-', 1)[1]}.mp3"
    return "recording.mp3" if scheme == "duplicate" else recording.file_name
