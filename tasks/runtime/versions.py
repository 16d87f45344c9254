"""The versions of client and worker: one may be older, and so not know an argument or a task.

The client library names its version in a header of each message. A worker names its own in each
answer (`worker/redis/results.py`).
"""

from __future__ import annotations

import re
from typing import Any

from celery import current_task

from config.version import VERSION

#: The header in which the client library names its version.
CLIENT_HEADER = "earwitness_client"

#: Numbers, perhaps the name of a candidate, perhaps that of a build.
_VERSION = re.compile(
    r"([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})(\.?[A-Za-z-][A-Za-z0-9.-]{0,20})?(?:\+[a-z0-9.]{1,20})?"
)


def difference(client: object, worker: str = VERSION) -> str:
    """Return a clause about a client that is newer or older than the worker, with what to do.

    The clause is empty if the versions are the same, or if ``client`` is no version.
    """
    theirs, ours = _parts(client), _parts(worker)
    if theirs is None or ours is None or theirs == ours:
        return ""
    if theirs > ours:
        return (
            f"; the client (earwitness-client {client}) is newer than this worker ({worker}): if "
            "the worker cannot know it yet, upgrade the worker"
        )
    return (
        f"; the client (earwitness-client {client}) is older than this worker ({worker}): if the "
        "worker has changed it since, upgrade earwitness-client"
    )


def difference_of_task() -> str:
    """Return the clause for the client that sent the current task; empty outside a task."""
    request = getattr(current_task, "request", None)
    return "" if request is None else difference(request.get(CLIENT_HEADER))


def _parts(version: Any) -> tuple[list[int], str] | None:
    """Return a version for comparison, None for what is no version.

    A release comes after its own candidates, which have a suffix.
    """
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        return None
    numbers = [int(one) for one in match[1].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return numbers, match[2] or "~"
