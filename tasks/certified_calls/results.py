"""The result of a certified call."""

from __future__ import annotations

from typing import Literal

from tasks.runtime.results import JobResult


class CertifiedCall(JobResult):
    """A certified call that was placed."""

    state: Literal["done"]
    platform_phone: str | None
    """The platform's number; null if a person decided that the call was placed."""
