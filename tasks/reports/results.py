"""The result of writing a report."""

from __future__ import annotations

from pydantic import Field

from tasks.runtime.results import Result


class WrittenReport(Result):
    """A report's file on the worker that got the task."""

    path: str
    bytes: int = Field(ge=0)
