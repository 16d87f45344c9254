"""The result of planning the nights."""

from __future__ import annotations

from tasks.runtime.results import Result


class PlannedNights(Result):
    """The exports that were opened."""

    opened: dict[str, int]
    """How many exports were opened, by account."""
    failed: list[str]
    """The accounts whose nights could not be planned."""
