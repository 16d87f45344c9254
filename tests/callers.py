"""Celery applications of callers, and none of their sockets afterwards.

A socket that nobody closes is found by the garbage collector, which warns in the middle of a later
test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Connection


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
    """Close the idle connections of an application: to its broker, and where its results are.

    Applications of one address share their pool, which stays of use to the others.
    """
    for connection in list(app.pool._resource.queue):
        if isinstance(connection, Connection):
            connection.collect()
    results = getattr(app.backend, "result_consumer", None)
    if results is not None:
        results.stop()
        # Else a result that is collected later would connect anew to unsubscribe.
        results.subscribed_to.clear()
        app.backend.client.connection_pool.disconnect()
