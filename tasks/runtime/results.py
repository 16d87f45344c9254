"""Results of tasks as callers get them; each flow declares its own ones.

They are declared for the catalogue. The flows build them as plain dictionaries, and the tests
validate what real tasks return against the schemas.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """Base of all results. Later versions may add fields."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class JobResult(Result):
    """Base of the results of tasks that open a job."""

    job_id: str
    """The job's id in the ledger."""
