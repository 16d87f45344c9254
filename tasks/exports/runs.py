"""An export's run as its parameters tell it: its filters, its window, its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from archive import paths
from archive.documents.manifest import Manifest
from archive.errors import Missing
from ledger.core.job import Job
from providers.interface import Recording, Window
from tasks.days import windows
from tasks.runtime.context import store
from tasks.runtime.fields import utc_text


@dataclass(frozen=True)
class Asked:
    """What is asked of the provider: ``filters`` under its names, and the ``window`` of the
    recordings' starts, None where it is open.
    """

    filters: Mapping[str, Any]
    window: Window | None = None


def asked(parameters: dict[str, Any]) -> Asked:
    """What a run asks of the provider."""
    span = parameters["window"]
    bounds = (datetime.fromisoformat(span[name]) for name in ("start", "last"))
    return Asked(parameters["filters"], Window(*bounds))


def window(parameters: dict[str, Any]) -> dict[str, str]:
    """The window as the manifest tells it: half open, ``start`` and ``end``."""
    span = parameters["window"]
    return {
        "start": span["start"],
        "end": utc_text(datetime.fromisoformat(span["last"]) + timedelta(seconds=1)),
    }


def in_window(parameters: dict[str, Any], recording: Recording) -> bool:
    """Whether a listed recording belongs to the run: a provider that ignores a bound of the filter
    must not put another day's recordings into this one. One without a readable start was listed
    for these bounds, and belongs to it.
    """
    if recording.start is None:
        return True
    window = asked(parameters).window
    assert window is not None
    # The bounds count whole seconds, the upper one included.
    return window.start <= recording.start.replace(microsecond=0) <= window.last


def recording_day(parameters: dict[str, Any], start: datetime, timezone: str) -> date:
    """The day under which one of the run's recordings lies where it is fetched singly: the run's
    own, else the local day of its ``start``, since a run by filters may be of several days.
    """
    if "day" in parameters:
        return date.fromisoformat(parameters["day"])
    return windows.local_day(start, timezone)


def folder(job: Job) -> str:
    """The archive's folder of a run: by the first local day of its window."""
    return paths.export_folder(job.account, folder_day(job), job.job_id)


def folder_day(job: Job) -> date:
    """The first local day of a run's window."""
    return date.fromisoformat(job.parameters["folder_day"])


class Presence:
    """Whether the files that a manifest names are in the archive, each looked for once."""

    def __init__(self, known: Manifest) -> None:
        self._sizes = {one.path: one.bytes for one in known.stored()}
        self._there: dict[str, bool] = {}

    def holds(self, path: str) -> bool:
        """Whether a file is there, of the size that the manifest gives, if it gives one."""
        if path not in self._there:
            try:
                size = store().size(path)
            except Missing:
                size = None
            self._there[path] = size is not None and self._sizes.get(path, size) == size
        return self._there[path]

    @property
    def is_whole(self) -> bool:
        """Whether every file that was asked for is there."""
        return all(self._there.values())
