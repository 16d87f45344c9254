"""What libraries log, however another test of the same process has quieted them."""

from __future__ import annotations

import pytest


def listen(caplog: pytest.LogCaptureFixture, level: int) -> None:
    """Hear everything from this level on, from httpx and httpcore as well."""
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(level, logger=name or None)
