"""Beat's scheduler: Celery's own, which shows that it still looks at its timetable."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler

from .heartbeat import pulse

_log = logging.getLogger(__name__)

_SLACK = timedelta(seconds=10)


class Timetable(PersistentScheduler):
    """A tick that has come to its end is what beat is there for."""

    def tick(self, *arguments: Any, **more: Any) -> float:
        """Send what is due; the seconds until the next tick."""
        self._mend_future_runs()
        seconds = float(super().tick(*arguments, **more))
        pulse.worked()
        return seconds

    def _mend_future_runs(self) -> None:
        """Count what ran in the future as run now. A clock that was ahead wrote that into the file,
        and Celery would send nothing until the clock is there again.
        """
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at is not None and entry.last_run_at > now + _SLACK:
                _log.warning(
                    "%s last ran at %s, in the future: the clock was ahead, and it is due again "
                    "from now on",
                    entry.name,
                    entry.last_run_at.isoformat(timespec="seconds"),
                )
                entry.last_run_at = now
                self._heap = None
