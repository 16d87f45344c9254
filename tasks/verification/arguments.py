"""Arguments of the verification task."""

from __future__ import annotations

from tasks.runtime.arguments import Arguments, Notify
from tasks.runtime.fields import Id, RequestId


class VerifyArchive(Arguments):
    """``earwitness.archive.verify``."""

    account: Id | None = None
    request_id: RequestId | None = None
    notify: Notify | None = None
