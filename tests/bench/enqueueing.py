"""``python -m tests.bench.enqueueing URL TURNS COUNT``: the seconds that each request takes to be
sent, by our client and by Celery's ``send_task``, as JSON. Nobody consumes the queues.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from celery import Celery

from earwitness_client import Earwitness
from tests.certified_calls import ASKED

_TASK = "earwitness.certified_call.request"
#: Requests in a row before the other's turn.
_BLOCK = 50


def _taken(send: Callable[[int], object], numbers: range) -> list[float]:
    seconds = []
    for number in numbers:
        began = time.perf_counter()
        send(number)
        seconds.append(time.perf_counter() - began)
    return seconds


def _asked(number: int) -> dict[str, Any]:
    return {**ASKED, "request_id": f"call-{number}"}


def measured(url: str, turns: int, count: int) -> dict[str, list[list[float]]]:
    """Send ``count`` requests by each in every turn; return the seconds of each, turn by turn."""
    app = Celery("caller", broker=url, backend=url)
    seconds: dict[str, list[list[float]]] = {"client": [], "send_task": []}
    with Earwitness(url, queue="client") as earwitness:
        sends: dict[str, Callable[[int], object]] = {
            "client": lambda n: earwitness.certified_call.request(**_asked(n)),
            "send_task": lambda n: app.send_task(_TASK, kwargs=_asked(n), queue="send_task"),
        }
        for send in sends.values():
            _taken(send, range(_BLOCK))
        for _ in range(turns):
            turn: dict[str, list[float]] = {name: [] for name in sends}
            for first in range(0, count, _BLOCK):
                for name, send in sends.items():
                    turn[name] += _taken(send, range(first, min(first + _BLOCK, count)))
            for name, taken in turn.items():
                seconds[name].append(taken)
    app.close()
    return seconds


if __name__ == "__main__":
    address, turns, count = sys.argv[1:]
    sys.stdout.write(json.dumps(measured(address, int(turns), int(count))))
