"""The versions of client and worker, which each names to the other.

The client names its own in a header of every message, and the worker in every answer.
"""

from __future__ import annotations

import re

import earwitness_client

#: The header of a message that names this client's version.
HEADER = "earwitness_client"

_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)*")
#: What workers say of an argument that they do not know.
_UNKNOWN = ("is not an argument of this task", "has no field")


def own() -> str:
    """Return this library's version."""
    return earwitness_client.__version__


def difference(worker: str | None) -> str:
    """Return a clause that says whether the worker is newer or older, and what to do.

    A worker that names no version (None) is older than those that do.
    """
    if worker is None or _numbers(worker) < _numbers(own()):
        named = f" ({worker})" if worker else ", which names no version,"
        return (
            f"; the worker{named} is older than this client (earwitness-client {own()}): if the "
            "worker cannot know it yet, upgrade the worker"
        )
    if _numbers(worker) > _numbers(own()):
        return (
            f"; the worker ({worker}) is newer than this client (earwitness-client {own()}): "
            "upgrade earwitness-client"
        )
    return ""


def unknown_argument(message: str, worker: str | None) -> str:
    """Return the clause for a refused argument.

    A worker that names its version has said it in its message already.
    """
    is_unknown = any(sentence in message for sentence in _UNKNOWN)
    return difference(None) if worker is None and is_unknown else ""


def _numbers(version: str) -> list[int]:
    match = _NUMBERS.match(version)
    numbers = [int(one) for one in match[0].split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
