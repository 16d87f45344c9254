"""Plain Celery as its first steps show it, with one task that keeps nothing: the peer of ours."""

from __future__ import annotations

import os
from typing import Any

import httpx
from celery import Celery

app = Celery("plain", broker=os.environ["PLAIN_URL"], backend=os.environ["PLAIN_URL"])
app.conf.task_default_queue = "plain"
_client = httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=None))


@app.task(name="plain.ask")  # type: ignore[untyped-decorator]
def ask(url: str) -> Any:
    """Ask the address and return its answer."""
    return _client.get(url).raise_for_status().json()
