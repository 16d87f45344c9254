"""The catalogue as an AsyncAPI 3 document.

Its schemas are in AsyncAPI's own dialect, a superset of JSON Schema draft 07.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from config.queues import FRONT_DOOR
from config.version import VERSION
from tasks.runtime.kinds import Kind
from tasks.runtime.message_bodies import ERROR_NAMES, AlertBody, NotificationBody

from .contents import public_tasks, summary

_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_FAILED = "failed"

_ABOUT = """Earwitness is a job queue: an application sends a task to the queue `earwitness` in \
Redis, as Celery's message protocol 2, and finds the outcome under the task's id in the result \
backend. Any Celery client does both. Earwitness itself sends notifications of jobs' ends and \
alerts. The messages here are what these transports carry, decoded."""

#: The headers of the Standard Webhooks convention.
_SIGNED = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {
            "type": "string",
            "description": "The same each time this message is sent: the key to detect repeats.",
        },
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "The seconds since 1970 at which this attempt began.",
        },
        "webhook-signature": {
            "type": "string",
            "description": "`v1,` and the HMAC-SHA256 of id, timestamp and body, in Base64.",
        },
    },
}


def document() -> dict[str, Any]:
    """Return the whole document."""
    tasks = public_tasks()
    names, schemas = _schemas(tasks.values())
    messages = _messages(tasks, names)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Earwitness", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": _channels(tasks),
        "operations": _operations(tasks),
        "components": {"schemas": schemas, "messages": messages},
    }


def _schemas(kinds: Iterable[Kind]) -> tuple[dict[type[BaseModel], str], dict[str, Any]]:
    """Return each model's reference, and all schemas by name."""
    models: list[type[BaseModel]] = [NotificationBody, AlertBody]
    for kind in kinds:
        models += [kind.arguments, kind.result]
    named, defined = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)],
        by_alias=True,
        ref_template=f"{_SCHEMAS}{{model}}",
    )
    references = {model: named[model, "validation"]["$ref"] for model in models}
    return references, defined["$defs"]


def _messages(
    tasks: Mapping[str, Kind], names: Mapping[type[BaseModel], str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, kind in tasks.items():
        found[name] = {
            "name": name,
            "summary": summary(kind.description),
            "headers": _celery_headers({"const": name}),
            "payload": _celery_body({"$ref": names[kind.arguments]}),
        }
        found[f"{name}.result"] = {
            "name": f"{name}.result",
            "summary": summary(kind.result.__doc__),
            "payload": _outcome(["SUCCESS"], {"$ref": names[kind.result]}),
        }
    found[_FAILED] = {
        "name": _FAILED,
        "summary": "The task's error, the same each time the request id is sent.",
        "payload": _outcome(["FAILURE", "REVOKED"], _exception()),
    }
    notification = {"$ref": names[NotificationBody]}
    found["notification"] = {
        "name": "notification",
        "summary": "A job's end, as a task of the application's own.",
        "headers": _celery_headers({"description": "The task that `notify` names."}),
        "payload": _celery_body(notification),
    }
    for name, payload in (("webhook", notification), ("alert", {"$ref": names[AlertBody]})):
        found[name] = {"name": name, "headers": _SIGNED, "payload": payload}
    return found


def _celery_headers(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["task", "id"],
        "properties": {
            "task": {"type": "string", **task},
            "id": {"type": "string", "description": "The task's id, under which its outcome is."},
        },
    }


def _celery_body(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a body: no positional arguments, the keyword arguments, and options."""
    return {
        "type": "array",
        "items": [{"type": "array", "maxItems": 0}, arguments, {"type": "object"}],
        "minItems": 3,
        "maxItems": 3,
    }


def _outcome(states: list[str], result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["task_id", "status", "result"],
        "properties": {
            "task_id": {"type": "string"},
            "status": {"type": "string", "enum": states},
            "result": result,
        },
    }


def _exception() -> dict[str, Any]:
    """Return the schema of an exception as Celery stores one."""
    return {
        "type": "object",
        "required": ["exc_type", "exc_message"],
        "properties": {
            "exc_type": {"type": "string", "examples": list(ERROR_NAMES)},
            "exc_message": {"type": "array", "items": {"type": "string"}},
            "exc_module": {"type": "string"},
        },
    }


def _channels(tasks: Mapping[str, Kind]) -> dict[str, Any]:
    results = [f"{name}.result" for name in tasks]
    return {
        "tasks": {
            "address": FRONT_DOOR,
            "description": "The queue for tasks, a list in Redis.",
            "messages": _offered(tasks),
        },
        "outcomes": {
            "address": "celery-task-meta-{task_id}",
            "description": "A task's outcome, a key in Redis that lives for a day. Until then its "
            "status is PENDING, STARTED or RETRY.",
            "parameters": {"task_id": {"description": "The id of the task."}},
            "messages": _offered([*results, _FAILED]),
        },
        "notifications": {
            "address": None,
            "description": "The queue that `notify` names.",
            "messages": _offered(["notification"]),
        },
        "webhooks": {
            "address": None,
            "description": "The webhook that `notify` names: EARWITNESS_WEBHOOKS__<NAME>__URL.",
            "messages": _offered(["webhook"]),
        },
        "alerts": {
            "address": None,
            "description": "EARWITNESS_ALERT_URL.",
            "messages": _offered(["alert"]),
        },
    }


def _offered(names: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"{_MESSAGES}{name}"} for name in names}


def _operations(tasks: Mapping[str, Kind]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in tasks:
        found[name] = {
            "action": "receive",
            "channel": {"$ref": "#/channels/tasks"},
            "messages": [{"$ref": f"#/channels/tasks/messages/{name}"}],
            "reply": {
                "channel": {"$ref": "#/channels/outcomes"},
                "messages": [
                    {"$ref": f"#/channels/outcomes/messages/{reply}"}
                    for reply in (f"{name}.result", _FAILED)
                ],
            },
        }
    for channel, message in (
        ("notifications", "notification"),
        ("webhooks", "webhook"),
        ("alerts", "alert"),
    ):
        found[message] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        }
    for name in ("webhook", "alert"):
        found[name]["bindings"] = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
    return found
