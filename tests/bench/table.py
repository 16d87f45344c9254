"""The table, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from tests.servers import Valkey
from worker.commands.display import print_table

from .measurement import Row

COLUMNS = ("what", "ours", "peer", "ratio", "than", "what the ratio pays for")


def machine() -> str:
    """Where and with what it was measured, in one line."""
    with Valkey() as server, server.client() as client:
        known = client.info("server")
    valkey = known.get("valkey_version") or known["redis_version"]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("celery", "redis"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {libraries}, Valkey {valkey}"
    )


def cells(row: Row) -> tuple[str, ...]:
    """The row as people read it."""
    times = (_seconds(row.ours), _seconds(row.peer), f"{row.ratio:.1f}")
    return (row.what, *times, row.than, row.pays_for)


def show(head: str, rows: Sequence[Row]) -> None:
    """Print the table under its head line."""
    click.echo(head)
    print_table(COLUMNS, map(cells, rows))


def write(file: str, head: str, rows: Sequence[Row]) -> None:
    """Write the same as JSON: the head line, and each row with what was counted."""
    facts = {"machine": head, "rows": [row.facts() for row in rows]}
    Path(file).write_text(json.dumps(facts, indent=1) + "\n")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
