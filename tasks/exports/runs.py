"""Parameters of an export's run: its filters, its window, its folder."""

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
class ExportRequest:
    """What an export requests of the provider.

    ``filters`` are under the provider's names; ``window`` is that of the recordings' starts, None
    if open.
    """

    filters: Mapping[str, Any]
    window: Window | None = None


def export_request(parameters: dict[str, Any]) -> ExportRequest:
    """Return what a run requests of the provider."""
    span = parameters["window"]
    bounds = (datetime.fromisoformat(span[name]) for name in ("start", "last"))
    return ExportRequest(parameters["filters"], Window(*bounds))


def window(parameters: dict[str, Any]) -> dict[str, str]:
    """Return the window as the manifest states it: half open, ``start`` and ``end``."""
    span = parameters["window"]
    return {
        "start": span["start"],
        "end": utc_text(datetime.fromisoformat(span["last"]) + timedelta(seconds=1)),
    }


def in_window(parameters: dict[str, Any], recording: Recording) -> bool:
    """Return whether a listed recording belongs to the run.

    A provider that ignores a bound of the filter must not put another day's recordings into this
    run. A recording without a readable start was listed for these bounds, and belongs to the run.
    """
    if recording.start is None:
        return True
    window = export_request(parameters).window
    assert window is not None
    # The bounds are whole seconds, the upper one included.
    return window.start <= recording.start.replace(microsecond=0) <= window.last


def recording_day(parameters: dict[str, Any], start: datetime, timezone: str) -> date:
    """Return the day under which one of the run's recordings lies if it is fetched singly.

    This is the run's own day, or else the local day of the recording's ``start``, since a run by
    filters may span several days.
    """
    if "day" in parameters:
        return date.fromisoformat(parameters["day"])
    return windows.local_day(start, timezone)


def folder(job: Job) -> str:
    """Return the archive's folder of a run, named by the first local day of its window."""
    return paths.export_folder(job.account, folder_day(job), job.job_id)


def folder_day(job: Job) -> date:
    """Return the first local day of a run's window."""
    return date.fromisoformat(job.parameters["folder_day"])


class Presence:
    """Whether the files that a manifest names are in the archive; each is looked up once."""

    def __init__(self, known: Manifest) -> None:
        self._sizes = {one.path: one.bytes for one in known.stored()}
        self._there: dict[str, bool] = {}

    def holds(self, path: str) -> bool:
        """Return whether a file is there, with the size that the manifest gives, if any."""
        if path not in self._there:
            try:
                size = store().size(path)
            except Missing:
                size = None
            self._there[path] = size is not None and self._sizes.get(path, size) == size
        return self._there[path]

    @property
    def is_whole(self) -> bool:
        """Whether every file that was looked up is there."""
        return all(self._there.values())
