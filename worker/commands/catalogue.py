"""``catalogue``: every task and its arguments, for producers."""

from __future__ import annotations

import click

from config.queues import FRONT_DOOR
from config.version import VERSION
from tasks import registry
from tasks.runtime.kinds import KINDS, Kind

from .display import print_json


@click.command()
def catalogue() -> None:
    """Print the JSON Schema of every task's keyword arguments, and the tasks' queue."""
    registry.load()
    tasks = {
        f"earwitness.{kind.name}": _description(kind)
        for kind in KINDS.values()
        if not kind.is_internal
    }
    print_json({"version": VERSION, "queue": FRONT_DOOR, "tasks": dict(sorted(tasks.items()))})


def _description(kind: Kind) -> dict[str, object]:
    return {
        "opens_job": kind.opens_job,
        "arguments": kind.arguments.model_json_schema(by_alias=True),
    }
