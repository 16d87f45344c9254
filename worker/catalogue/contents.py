"""The catalogue: each task's arguments and result, every error, and what Earwitness sends."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from config.queues import FRONT_DOOR
from config.version import VERSION
from tasks import registry
from tasks.errors import BY_NAME, JobError
from tasks.runtime.kinds import KINDS, Kind
from tasks.runtime.message_bodies import ERROR_NAMES, AlertBody, ErrorBody, NotificationBody

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def contents() -> dict[str, Any]:
    """Return the catalogue as JSON; its schemas are of JSON Schema 2020-12."""
    tasks = {
        name: {
            "description": summary(kind.description),
            "opens_job": kind.opens_job,
            "arguments": _schema(kind.arguments),
            "result": _schema(kind.result),
        }
        for name, kind in public_tasks().items()
    }
    return {
        "version": VERSION,
        "queue": FRONT_DOOR,
        "tasks": tasks,
        "error": _schema(ErrorBody),
        "errors": {name: _meaning(BY_NAME[name]) for name in ERROR_NAMES},
        "notify": _schema(NotificationBody),
        "alert": _schema(AlertBody),
    }


def public_tasks() -> dict[str, Kind]:
    """Return the tasks that other applications may send, by their whole names."""
    registry.load()
    public = {f"earwitness.{one.name}": one for one in KINDS.values() if not one.is_internal}
    return dict(sorted(public.items()))


def summary(docstring: str | None) -> str:
    """Return the first paragraph of a docstring as plain text."""
    first = (docstring or "").strip().partition("\n\n")[0]
    return " ".join(first.split()).replace("``", "")


def _meaning(error: type[JobError]) -> dict[str, Any]:
    assert error.__base__ is not None
    return {
        "description": summary(error.__doc__),
        "is_a": error.__base__.__name__,
        "outcomes": list(error.outcomes),
        "send_same_id_again": error.send_again,
    }


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **model.model_json_schema(by_alias=True)}
