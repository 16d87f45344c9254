"""Arguments of the export tasks."""

from __future__ import annotations

from pydantic import model_validator

from tasks.days.filters import Filters
from tasks.runtime.arguments import JobArguments
from tasks.runtime.fields import Day, Text


class CreateExport(JobArguments):
    """``earwitness.export.create``."""

    filters: Filters


class RetrieveExport(JobArguments):
    """``earwitness.export.retrieve``."""

    provider_job_id: Text


class RunExport(JobArguments):
    """``earwitness.export.run``: a day, or filters with both bounds of start."""

    day: Day | None = None
    filters: Filters | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> RunExport:
        if (self.day is None) == (self.filters is None):
            raise ValueError("day: give either day or filters")
        if self.day is not None and self.request_id is not None:
            raise ValueError("request_id: cannot be given with day, which is the key")
        if self.filters and not (self.filters.start_from and self.filters.start_to):
            raise ValueError("filters: needs both start:gte and start:lte")
        return self
