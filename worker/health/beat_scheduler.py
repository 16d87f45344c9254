"""Celery's scheduler for beat, with a heartbeat at every tick."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler

from .heartbeat import heartbeat

_log = logging.getLogger(__name__)

_SLACK = timedelta(seconds=10)


class Scheduler(PersistentScheduler):
    """Celery's scheduler; each completed tick is recorded as work done."""

    def tick(self, *arguments: Any, **more: Any) -> float:
        """Send the due tasks and return the seconds until the next tick."""
        self._mend_future_runs()
        seconds = float(super().tick(*arguments, **more))
        heartbeat.worked()
        return seconds

    def _mend_future_runs(self) -> None:
        """Set last runs in the future to now.

        A clock that was ahead leaves them in the schedule's file, and Celery would not send those
        tasks until the clock reaches them.
        """
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at is not None and entry.last_run_at > now + _SLACK:
                _log.warning(
                    "%s last ran at %s, in the future: the clock was ahead; its schedule starts "
                    "again now",
                    entry.name,
                    entry.last_run_at.isoformat(timespec="seconds"),
                )
                entry.last_run_at = now
                self._heap = None
