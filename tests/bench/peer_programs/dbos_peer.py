"""DBOS: one process that runs a workflow with one step for each job, on PostgreSQL."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import asking
import psycopg
from dbos import DBOS, DBOSClient, DBOSConfig
from sqlalchemy import make_url

_URL = os.environ["PEER_DATABASE_URL"]
_SQLALCHEMY_URL = (
    make_url(_URL).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
)
_VERSION = "bench"


@DBOS.step()
def ask() -> Any:
    """Ask the provider."""
    return asking.ask()


@DBOS.workflow()
def call() -> Any:
    """Place one call."""
    return ask()


def work() -> None:
    """Run a worker; its queue is looked at often, so that its pauses are not what is measured."""
    config = DBOSConfig(
        name="bench",
        system_database_url=_SQLALCHEMY_URL,
        application_version=_VERSION,
        log_level="WARNING",
    )
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue("calls", worker_concurrency=asking.SLOTS, polling_interval_sec=0.05)
    threading.Event().wait()


def send() -> None:
    """Send jobs on request."""
    client = DBOSClient(system_database_url=_SQLALCHEMY_URL)
    connection = psycopg.connect(_URL, autocommit=True)
    options = {"queue_name": "calls", "workflow_name": "call", "app_version": _VERSION}
    count = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
    asking.send_on_request(
        lambda: client.enqueue(options), lambda: int(connection.execute(count).fetchone()[0])
    )


if __name__ == "__main__":
    {"work": work, "send": send}[sys.argv[1]]()
