"""Arguments of the certified call task."""

from __future__ import annotations

from pydantic import Field

from tasks.runtime.arguments import Arguments, Notify
from tasks.runtime.fields import Id, Instant, RequestId, Text


class RequestCall(Arguments):
    """``earwitness.certified_call.request``."""

    account: Id
    country: str = Field(pattern="^[A-Za-z]{2}$")
    phone: Text
    max_seconds: int = Field(ge=1, strict=True)
    company_name: Text | None = None
    company_id: Text | None = None
    request_id: RequestId
    not_after: Instant | None = None
    notify: Notify | None = None
