"""Client of an Earwitness worker: certified calls, recordings and exports.

from earwitness_client import Earwitness

earwitness = Earwitness("redis://127.0.0.1:6379/0")
job = earwitness.export.run(account="india", day="2026-11-20")
job.wait(timeout=3600)
"""

from .answers import Answer, Job
from .arguments import Filters, Instant, Notify
from .async_answers import AsyncAnswer, AsyncJob
from .async_client import AsyncEarwitness
from .client import Earwitness
from .errors import (
    BadCredentials,
    Cancelled,
    CapReached,
    Closed,
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
from .results import (
    Call,
    CallList,
    CertifiedCall,
    CreatedExport,
    Deleted,
    JobErrorView,
    JobView,
    LiveRecording,
    RecordingPage,
    RunExport,
    StoredExport,
    StoredFile,
    Verified,
)

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AsyncAnswer",
    "AsyncEarwitness",
    "AsyncJob",
    "BadCredentials",
    "Call",
    "CallList",
    "Cancelled",
    "CapReached",
    "CertifiedCall",
    "Closed",
    "CreatedExport",
    "Damaged",
    "Dangerous",
    "Deleted",
    "Earwitness",
    "EarwitnessError",
    "Expired",
    "Filters",
    "Incomplete",
    "Instant",
    "InvalidArgument",
    "Job",
    "JobError",
    "JobErrorView",
    "JobFailed",
    "JobView",
    "LiveRecording",
    "MaybeQueued",
    "NoSuchJob",
    "NotAnswered",
    "NotQueued",
    "NotReady",
    "NotSent",
    "Notify",
    "RecordingPage",
    "Rejected",
    "RequestConflict",
    "RunExport",
    "StoredExport",
    "StoredFile",
    "Throttled",
    "Uncertain",
    "Unreachable",
    "Verified",
    "__version__",
]
