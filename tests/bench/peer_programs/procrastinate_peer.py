"""procrastinate: one process with as many concurrent jobs as there are slots, on PostgreSQL."""

from __future__ import annotations

import os
import sys
from typing import Any

import asking
import procrastinate
import psycopg

_URL = os.environ["PEER_DATABASE_URL"]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=_URL))


@app.task(name="call", queue="calls")
async def call() -> Any:
    """Place one call."""
    return await asking.ask_async()


def work() -> None:
    """Create the tables and run a worker."""
    with app.open():
        app.schema_manager.apply_schema()
    app.run_worker(queues=["calls"], concurrency=asking.SLOTS)


def send() -> None:
    """Send jobs on request."""
    connection = psycopg.connect(_URL, autocommit=True)
    count = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
    connector = procrastinate.SyncPsycopgConnector(conninfo=_URL)
    with app.replace_connector(connector) as sender, sender.open():
        asking.send_on_request(
            sender.tasks["call"].defer, lambda: int(connection.execute(count).fetchone()[0])
        )


if __name__ == "__main__":
    {"work": work, "send": send}[sys.argv[1]]()
