"""Beat's scheduler: Celery's own, which shows that it still looks at its timetable."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler

from .pulse import pulse


class Timetable(PersistentScheduler):
    """A tick that has come to its end is what beat is there for."""

    def tick(self, *arguments: Any, **more: Any) -> float:
        """Send what is due; the seconds until the next tick."""
        seconds = float(super().tick(*arguments, **more))
        pulse.worked()
        return seconds
