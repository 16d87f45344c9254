"""The table, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from tests.servers import Valkey
from worker.commands.display import print_table

from .measurement import Goal, Row, Samples
from .sizes import Sizes

COLUMNS = ("what", "ours", "peer", "than", "ratio", "to reach", "is it reached")


def machine(sizes: Sizes) -> str:
    """Return where, when, how and with what it was measured, in one line."""
    with Valkey() as server, server.client() as client:
        known = client.info("server")
    valkey = known.get("valkey_version") or known["redis_version"]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("celery", "redis", "sqlalchemy"))
    times = "once" if sizes.times == 1 else f"medians of {sizes.times}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {sizes.name} run, {times}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, {libraries}, Valkey {valkey}"
    )


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as people read it: medians, each with the lowest and highest in brackets."""
    goal = goal_text(row)
    if row.not_measured:
        return (row.what, "not measured", row.not_measured, row.than, "", goal, "")
    assert row.ours is not None
    peer = "" if row.peer is None else _shown(row.peer, row.unit)
    ratio = "" if row.ratio is None else _shown(row.ratio, "")
    reached = {True: "yes", False: "NO", None: ""}[row.reached]
    return (row.what, _shown(row.ours, row.unit), peer, row.than, ratio, goal, reached)


def goal_text(row: Row) -> str:
    """Return what the row is to reach, in a few words."""
    if row.goal is None:
        return ""
    sign = ">=" if row.goal.at_least else "<="
    if row.goal.of == "ratio":
        return f"ratio {sign} {row.goal.bound:g}"
    bound = f"{sign} {_figure(row.goal.bound, row.unit)}"
    return f"{bound} more" if row.goal.of == "difference" else bound


def show(head: str, rows: Sequence[Row]) -> None:
    """Print the table under its head line."""
    click.echo(head)
    print_table(COLUMNS, map(cells, rows))


def facts(row: Row) -> dict[str, Any]:
    """Return the row as JSON can carry it."""
    return {
        "benchmark": row.benchmark,
        "what": row.what,
        "unit": row.unit,
        "ours": _facts(row.ours),
        "peer": _facts(row.peer),
        "than": row.than,
        "ratio": _facts(row.ratio),
        "goal": None if row.goal is None else asdict(row.goal),
        "to_reach": goal_text(row),
        "reached": row.reached,
        "counted": dict(row.counted),
        "not_measured": row.not_measured,
    }


def write(file: Path, head: str, rows: Sequence[Row]) -> None:
    """Write the same as JSON: the head line, and each row with what was counted."""
    file.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": head, "rows": [facts(row) for row in rows]}
    file.write_text(json.dumps(written, indent=1) + "\n")


def read(file: Path) -> tuple[str, list[Row]]:
    """Return the head line and the rows of a file that `write` wrote."""
    written = json.loads(file.read_text())
    return str(written["machine"]), [_row(one) for one in written["rows"]]


def _row(given: Mapping[str, Any]) -> Row:
    return Row(
        given["benchmark"],
        given["what"],
        given["unit"],
        _samples(given["ours"]),
        _samples(given["peer"]),
        given["than"],
        None if given["goal"] is None else Goal(**given["goal"]),
        given["counted"],
        given["not_measured"],
    )


def _samples(given: Mapping[str, Any] | None) -> Samples | None:
    return None if given is None else Samples.of(given["values"])


def _facts(samples: Samples | None) -> dict[str, Any] | None:
    if samples is None:
        return None
    known = {"median": samples.median, "low": samples.low, "high": samples.high}
    return {**known, "values": list(samples.values)}


def _shown(samples: Samples, unit: str) -> str:
    median = _figure(samples.median, unit)
    if len(samples.values) == 1:
        return median
    return f"{median} ({_figure(samples.low, unit)} to {_figure(samples.high, unit)})"


def _figure(value: float, unit: str) -> str:
    """Return a figure with three digits that count, or all before the point."""
    if unit == "s" and value < 1:
        value, unit = value * 1000, "ms"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}".strip()
