"""Canvas: what Celery sends once a task has ended, as the task's message asks for.

These are the callbacks, the rest of a chain and a chord's body. A task whose job waits ends long
after its message is gone, so the waiter's row in the ledger keeps them, with the headers that the
answer must have. Celery fires them when the answer's outcome is stored.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from celery import Task
from kombu import compression

from config.masking import mask_message
from config.queues import FRONT_DOOR, is_own
from ledger.core.carried import NOTHING, Carried
from tasks.errors import InvalidArgument

#: The parts of a message's canvas, and what Celery's users call them.
NAMES = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}
#: The limit of what a waiter's row keeps of one message, in bytes of JSON.
MOST_BYTES = 256 * 1024
#: Headers that the answer has as the task's own message had them.
_KEPT_HEADERS = ("parent_id", "group", "group_index", "shadow", "replaced_task_nesting")
#: Before the names of our own headers, which the answer sets again.
_OURS = "earwitness"
#: Tasks that our own workers run. Celery itself adds ``celery.accumulate`` to what it replaces.
_RUN_HERE = ("earwitness.", "celery.")
_COMPOSITE = ("chain", "group", "chord")
#: Options of a signature that are objects of a process, or name one: no message can carry them.
_OBJECTS = (
    "app",
    "connection",
    "declare",
    "event_dispatcher",
    "producer",
    "publisher",
    "result_cls",
    "router",
    "task_type",
)
_PLACES = ("queue", "exchange", "routing_key")
_HIGHEST_PRIORITY = 9
_MOST_LETTERS = 100


def with_ids(task_id: str, embedded: dict[str, Any]) -> dict[str, Any]:
    """Give an id to each signature that a worker sends at the end of this task, and return all.

    The id follows from the task's id. A signature that is sent again, because a worker was killed
    meanwhile, has the id that it had (worker/redis/publish_once.py).
    """
    for place, signature in _sent_from_here(embedded):
        options = signature.get("options")
        if isinstance(options, dict) and not options.get("task_id"):
            name = f"earwitness:{task_id}:{place}"
            options["task_id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    return embedded


def carried(task: Task) -> Carried:
    """Return what the answer of this task must have of its message.

    Raises InvalidArgument if a worker could not send what the message asks for, or if it is too
    large to be kept. Then Celery sends only those errbacks that can be sent.
    """
    request = task.request
    canvas = {name: value for name in NAMES if (value := getattr(request, name, None))}
    envelope = _envelope(task)
    if not canvas and not envelope:
        return NOTHING
    try:
        for name, signature in _published_here(canvas):
            _check(NAMES[name], signature)
        _check_size(canvas, envelope)
    except InvalidArgument:
        request.errbacks = [one for one in request.errbacks or () if _can_be_sent(one)]
        raise
    return Carried(envelope or None, canvas or None)


def restore(task: Task, canvas: Mapping[str, Any] | None) -> None:
    """Let Celery fire what the task's own message asked for."""
    if canvas:
        task.request.update({name: canvas[name] for name in NAMES if name in canvas})


def is_present(request: Any) -> bool:
    """Return whether Celery has anything to fire at the end of this request."""
    return any(getattr(request, name, None) for name in NAMES)


def _envelope(task: Task) -> dict[str, Any]:
    request = task.request
    headers = {name: value for name in _KEPT_HEADERS if (value := getattr(request, name, None))}
    if request.group_index is not None:
        headers["group_index"] = request.group_index
    if request.root_id and request.root_id != request.id:
        headers["root_id"] = request.root_id
    if request.stamped_headers:
        headers["stamped_headers"] = request.stamped_headers
        headers["stamps"] = request.stamps or {}
    headers |= {
        name: value
        for name, value in (request.headers or {}).items()
        if value is not None and not name.startswith(_OURS)
    }
    found: dict[str, Any] = {"headers": headers} if headers else {}
    priority = (request.delivery_info or {}).get("priority")
    if isinstance(priority, int) and 0 < priority <= _HIGHEST_PRIORITY:
        found["priority"] = priority
    return found


def _check_size(canvas: Mapping[str, Any], envelope: Mapping[str, Any]) -> None:
    parts = {NAMES[name]: value for name, value in canvas.items()}
    parts["headers"] = envelope
    lengths = {name: _length(name, value) for name, value in parts.items()}
    if sum(lengths.values()) > MOST_BYTES:
        longest = max(lengths, key=lambda name: lengths[name])
        raise InvalidArgument(
            f"not done: {longest}: it has {lengths[longest]} bytes; the callbacks, errbacks and "
            f"chain of a message may have {MOST_BYTES} bytes in all, headers included; no job "
            "was opened; send less, or have a task of your own send it"
        )


def _length(name: str, value: Any) -> int:
    try:
        return len(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        raise InvalidArgument(
            f"not done: {name}: it contains a value that JSON does not have, such as NaN or "
            "Infinity; no job was opened"
        ) from None


def _check(name: str, signature: Mapping[str, Any]) -> None:
    """Raise InvalidArgument if a worker cannot send a signature."""
    task = str(signature.get("task"))
    fault = _fault(task, signature.get("options") or {})
    if fault:
        shown = mask_message(task[:_MOST_LETTERS])
        raise InvalidArgument(f"not done: {name}: {shown!r} {fault}; no job was opened")


def _can_be_sent(signature: Mapping[str, Any]) -> bool:
    try:
        for one in _leaves("", signature):
            _check("", one[1])
    except InvalidArgument:
        return False
    return True


def _fault(task: str, options: Mapping[str, Any]) -> str | None:
    for name in _OBJECTS:
        if options.get(name) is not None:
            return f"has the option {name}, which no message can carry; remove it"
    if options.get("serializer") not in (None, "json"):
        return "has a serializer other than json, the only one that Earwitness writes"
    try:
        if options.get("compression") is not None:
            compression.get_encoder(options["compression"])
    except (KeyError, TypeError):
        return "has a compression that kombu does not know"
    places = [options[name] for name in _PLACES if options.get(name)]
    if task.startswith(_RUN_HERE):
        places = [place for place in places if place != FRONT_DOOR]
    elif not places:
        return (
            "names no queue, and Earwitness does not know where its workers are; add "
            '.set(queue="...")'
        )
    if any(is_own(place) for place in places if isinstance(place, str)):
        return "names a queue of Earwitness or Celery; name a queue of your own"
    return None


def _published_here(canvas: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the signatures that this worker sends, now or after a later task of ours in the chain.

    The sender of any other signature is a worker of the caller, which knows its own queues.
    """
    for place, signature in _sent_from_here(canvas):
        yield place.partition(".")[0], signature
    chain = canvas.get("chain") or []
    for number in range(len(chain) - 1, 0, -1):
        one = chain[number]
        if one.get("subtask_type") or not str(one.get("task")).startswith("earwitness."):
            return
        for _, signature in _leaves("", chain[number - 1]):
            yield "chain", signature


def _sent_from_here(canvas: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what Celery sends at the end of the task, each with its place in the canvas."""
    for name in ("callbacks", "errbacks"):
        for number, signature in enumerate(canvas.get(name) or ()):
            yield from _leaves(f"{name}.{number}", signature)
    if chain := canvas.get("chain"):
        yield from _leaves("chain", chain[-1])
    if chord := canvas.get("chord"):
        yield from _leaves("chord", chord)
        for number, signature in enumerate(_list(_dict(chord.get("options")).get("link_error"))):
            yield from _leaves(f"chord.link_error.{number}", signature)


def _leaves(place: str, signature: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the single tasks with which a signature begins, each with its place."""
    if not isinstance(signature, dict):
        return
    kind = signature.get("subtask_type")
    if kind not in _COMPOSITE:
        yield place, signature
        return
    given = _dict(signature.get("kwargs"))
    members = given.get("header") if kind == "chord" else given.get("tasks")
    if isinstance(members, dict):
        yield from _leaves(f"{place}.header", members)
        return
    for number, one in enumerate(_list(members)[: 1 if kind == "chain" else None]):
        yield from _leaves(f"{place}.{number}", one)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) else []
