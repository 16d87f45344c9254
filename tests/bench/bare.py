"""The peer of our worker: Celery as its first steps show it, and one task that keeps nothing."""

from __future__ import annotations

import os
from typing import Any

import httpx
from celery import Celery

app = Celery("bare", broker=os.environ["BARE_URL"], backend=os.environ["BARE_URL"])
app.conf.task_default_queue = "bare"
_client = httpx.Client(trust_env=False)


@app.task(name="bare.ask")  # type: ignore[untyped-decorator]
def ask(url: str) -> Any:
    """Ask the address and return its answer."""
    return _client.get(url).raise_for_status().json()
