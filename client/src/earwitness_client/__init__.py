"""Client of an Earwitness worker: certified calls, recordings and exports.

from earwitness_client import Earwitness

earwitness = Earwitness("redis://127.0.0.1:6379/0")
job = earwitness.export.run(account="india", day="2026-11-20")
job.wait(timeout=3600)
"""

from .answers import Answer, Job
from .arguments import Filters, Notify
from .client import Earwitness
from .errors import (
    BadCredentials,
    Cancelled,
    CapReached,
    Damaged,
    Dangerous,
    EarwitnessError,
    Expired,
    Incomplete,
    InvalidArgument,
    JobError,
    JobFailed,
    MaybeQueued,
    NoSuchJob,
    NotAnswered,
    NotQueued,
    NotReady,
    NotSent,
    Rejected,
    RequestConflict,
    Throttled,
    Uncertain,
    Unreachable,
)
from .results import JobView

__all__ = [
    "Answer",
    "BadCredentials",
    "Cancelled",
    "CapReached",
    "Damaged",
    "Dangerous",
    "Earwitness",
    "EarwitnessError",
    "Expired",
    "Filters",
    "Incomplete",
    "InvalidArgument",
    "Job",
    "JobError",
    "JobFailed",
    "JobView",
    "MaybeQueued",
    "NoSuchJob",
    "NotAnswered",
    "NotQueued",
    "NotReady",
    "NotSent",
    "Notify",
    "Rejected",
    "RequestConflict",
    "Throttled",
    "Uncertain",
    "Unreachable",
]
