"""Arguments of the job tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tasks.runtime.arguments import Arguments
from tasks.runtime.fields import Id, Words


class NameJob(Arguments):
    """``earwitness.job.status`` and ``.cancel``."""

    job_id: Id | None = None
    task_id: Id | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> NameJob:
        if (self.job_id is None) == (self.task_id is None):
            raise ValueError("job_id: give either job_id or task_id")
        return self


class RetryJob(NameJob):
    """``earwitness.job.retry``."""

    by: Id
    note: Words = Field(min_length=1, max_length=1000)


class ResolveJob(NameJob):
    """``earwitness.job.resolve``."""

    outcome: Literal["placed", "not_placed"]
    by: Id
    note: Words = Field(min_length=1, max_length=1000)
