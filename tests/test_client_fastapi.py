"""The service of docs/producers/fastapi.md with five hundred requests at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .servers import Valkey
from .test_client_faults import queued
from .watched_service import FAULTS, ask_at_once, watched_service

CROWD = 500


@pytest.fixture
def service(valkey: Valkey, tmp_path: Path) -> Iterator[str]:
    """The address of the page's service, which is watched."""
    with watched_service(tmp_path, valkey.url) as address:
        yield address


@pytest.mark.parametrize("fault", FAULTS)
def test_five_hundred_at_once(service: str, valkey: Valkey, fault: str) -> None:
    """With Redis alive, frozen and gone: each is answered, 202 or 503; the loop continues, without
    one thread more and without one call that blocks; afterwards the service works as before. How
    long the loop lags is what `make bench T=service` measures.
    """
    seen = ask_at_once(service, valkey, fault, CROWD)
    assert seen.statuses.keys() <= ({202, 503} if fault == "none" else {503}), seen
    assert seen.statuses[202] or fault != "none"
    assert seen.statuses.total() == CROWD
    assert seen.threads == (1,)
    assert seen.blocking == ()
    assert seen.beats > 10
    if fault == "none":
        # The one before and the one after. Where Redis' answer was read too late, 503 says that the
        # request may be queued.
        assert 0 <= queued(valkey) - 2 - seen.statuses[202] <= seen.statuses[503]


def test_a_blocking_call_would_be_noticed(service: str) -> None:
    """The watch sees a sleep on the loop."""
    httpx.get(f"{service}/watched", params={"anew": True}, trust_env=False)
    httpx.get(f"{service}/blocked", trust_env=False)
    assert httpx.get(f"{service}/watched", trust_env=False).json()["blocking"] == ["time.sleep"]
