"""Celery applications of callers, and none of their sockets afterwards.

A socket that nobody closes is found by the garbage collector, which warns in the middle of a later
test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery


@contextmanager
def caller(
    broker: str, backend: str | None = None, *, transport: Mapping[str, Any] | None = None
) -> Iterator[Celery]:
    """An application that knows nothing of our code. ``transport`` holds options of Redis for the
    broker and the results.
    """
    with Celery("caller", broker=broker, backend=backend, set_as_current=False) as app:
        app.conf.update(
            broker_connection_retry_on_startup=True,
            broker_transport_options=dict(transport or {}),
            result_backend_transport_options=dict(transport or {}),
        )
        try:
            yield app
        finally:
            close_connections(app)


def close_connections(app: Celery) -> None:
    """Close every connection of an application: to its broker, and where its results are."""
    app.amqp.producer_pool.force_close_all(close_pool=False)
    app.pool.force_close_all(close_pool=False)
    client = getattr(app.backend, "client", None)
    if client is not None:
        client.connection_pool.disconnect()
