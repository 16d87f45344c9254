"""Messages that are wrong in one place, for tests that put them before a worker."""

from __future__ import annotations

import base64
import bz2
import json
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

#: A person who must not stand in a log.
NAME = "Wilhelmina Quirrel"
#: One of each type of JSON, and what hides in them.
VALUES = (
    None, True, 5, -1, 1.5, "", "x", [], [1], ["a", ["b"]], {}, {"a": 1}, {"__type__": "x"},
    "\ud800", float("inf"), 10**400,
)  # fmt: skip
#: Another value in each of these is a mistake; of the types above, these are none.
HEADERS: dict[str, tuple[Any, ...]] = {
    "task": ("x",),
    "id": ("x",),
    "shadow": (None, "", "x"),
    "root_id": (None, "", "x"),
    "parent_id": (None, "", "x"),
    "group": (None, "", "x"),
    "group_index": (None, 5),
    "origin": (None, "", "x"),
    "retries": (None, 5),
    "timelimit": (None,),
    "ignore_result": (None, True),
    "stamped_headers": (None, []),
    "stamps": (None, {}, {"a": 1}, {"__type__": "x"}),
    "replaced_task_nesting": (None, 5),
    "compression": (None,),
}
PROPERTIES: dict[str, tuple[Any, ...]] = {
    "delivery_tag": ("x",),
    "delivery_info": ({}, {"a": 1}, {"__type__": "x"}),
    "body_encoding": (),
    "priority": (None, 5, -1, 10**400),
    "correlation_id": (None, "", "x"),
    "reply_to": (None, "", "x"),
}
ENVELOPE: dict[str, tuple[Any, ...]] = {
    "body": (),
    "content-type": (),
    "content-encoding": (None, "", "x"),
    "headers": (),
    "properties": (),
}
EMBEDDED = ("callbacks", "errbacks", "chain", "chord")


def arguments(request_id: str = "r") -> dict[str, Any]:
    """Arguments of a certified call, which none of these messages may place."""
    return {
        "account": "legal",
        "request_id": f"{request_id}-{uuid.uuid4()}",
        "country": "ES",
        "phone": "660111222",
        "max_seconds": 60,
        "company_name": NAME,
        "company_id": "A4562154",
    }


def message(body: Any = None, *, queue: str = "earwitness", **headers: Any) -> dict[str, Any]:
    """A message as it lies in Redis: without more, one that asks for a certified call."""
    given = [[], arguments(), {}] if body is None else body
    written = given if isinstance(given, bytes) else json.dumps(given).encode()
    return {
        "body": base64.b64encode(written).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": "earwitness.certified_call.request",
            "id": str(uuid.uuid4()),
            "kwargsrepr": NAME,
            **headers,
        },
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": str(uuid.uuid4()),
        },
    }


def every_type() -> Iterator[str]:
    """A message for each field of envelope, properties, headers and body, and each value that is
    wrong there.
    """
    for field, fine in ENVELOPE.items():
        for value in _wrong(fine):
            yield json.dumps({**message(), field: value})
    for field, fine in PROPERTIES.items():
        for value in _wrong(fine):
            made = message()
            made["properties"][field] = value
            yield json.dumps(made)
    for field, fine in HEADERS.items():
        yield from (json.dumps(message(**{field: value})) for value in _wrong(fine))
    for field in EMBEDDED:
        # Celery takes an empty list for nothing, as it should.
        fine = (None, []) if field != "chord" else (None,)
        for value in _wrong(fine):
            yield json.dumps(message([[], arguments(), {field: value}]))
            yield json.dumps(message([[], arguments(), {field: [value]}]))


def _wrong(fine: tuple[Any, ...]) -> Iterator[Any]:
    # True is 1 for Python, and is no number in JSON.
    yield from (
        value
        for value in VALUES
        if not any(value == one and type(value) is type(one) for one in fine)
    )


def hostile() -> Iterator[str | bytes]:
    """Messages that no list of types has: too deep, too long, half of something."""
    yield from (b"\xff\xfe", "", NAME, json.dumps(NAME), json.dumps([NAME]), "[" * 50_000)
    yield '{"a":' * 50_000
    yield "1" * 6_000
    yield json.dumps({"company_name": NAME})
    yield json.dumps(message()).replace('"lang"', '"n": ' + "9" * 6_000 + ', "lang"')
    yield json.dumps(message())[:-20]
    yield from map(json.dumps, _bodies())
    for field in ("body", "headers", "properties"):
        yield json.dumps({name: value for name, value in message().items() if name != field})
    for field in ("id", "task"):
        made = message()
        del made["headers"][field]
        yield json.dumps(made)


def _bodies() -> Iterator[dict[str, Any]]:
    for body in (b"\xff" + NAME.encode(), b"[" * 50_000, b"[[], {}, " + b"9" * 6_000 + b"]", b""):
        yield message(body)
    for body in ([NAME], {}, [[], {}], [{}, [], {}], [[], {"a": 1}, {}, 1], [[], {}, [1]], 5, NAME):
        yield message(body)
    yield {**message(), "body": "no base64 !"}
    yield {**message(), "body": "abc"}
    yield {**message(), "content-type": "application/x-python-serialize"}
    yield {**message(), "content-type": "application/x-yaml"}
    yield {**message(), "content-type": "text/plain"}
    packed = {"x-rot13": b"x", "application/x-bz2": b"BZh9", "gzip": b"\x1f\x8b"}
    for name, body in packed.items():
        yield message(body, compression=name)
    bomb = b"[[], {}, {}]" + b" " * 50_000_000
    yield message(zlib.compress(bomb), compression="gzip")
    yield message(bz2.compress(bomb), compression="application/x-bz2")
    yield message(timelimit=[1])
    yield message(timelimit=[-1, None])
    yield message(retries=-1)
    made = message()
    made["properties"]["delivery_tag"] = "\ud800"
    yield made
