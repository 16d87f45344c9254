"""``python -m tests.bench.enqueueing URL TURNS COUNT``: the seconds that each request takes to be
sent, by our client, by Celery's ``send_task`` and by a bare LPUSH of the same message, and how
many messages each has sent, as JSON. Nobody consumes the queues.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from redis import Redis

from earwitness_client import Earwitness
from tests.certified_calls import ASKED

_TASK = "earwitness.certified_call.request"
#: Requests in a row before another's turn.
_BLOCK = 50
#: The first requests of a block find the processor's caches full of the other's code and data. Only
#: the first is counted, and separately: they are one in fifty, so p99 would show nothing else.
_COLD = 5

#: The seconds of the first requests of the blocks, and of all that were not cold.
_Turn = dict[str, list[float]]


def _taken(send: Callable[[int], object], numbers: range) -> list[float]:
    seconds = []
    for number in numbers:
        began = time.perf_counter()
        send(number)
        seconds.append(time.perf_counter() - began)
    return seconds


def _asked(number: int) -> dict[str, Any]:
    return {**ASKED, "request_id": f"call-{number}"}


def measured(url: str, turns: int, count: int) -> dict[str, list[_Turn]]:
    """Send ``count`` requests by each in every turn; return the seconds of each, turn by turn."""
    app = Celery("caller", broker=url, backend=url)
    with Earwitness(url, queue="client") as earwitness, _connected(url) as redis:
        sends: dict[str, Callable[[int], object]] = {
            "client": lambda n: earwitness.certified_call.request(**_asked(n)),
            "send_task": lambda n: app.send_task(_TASK, kwargs=_asked(n), queue="send_task"),
        }
        for send in sends.values():
            _taken(send, range(_BLOCK))
        message = str(redis.lindex("client", 0))
        sends["LPUSH"] = lambda _: redis.lpush("LPUSH", message)
        _taken(sends["LPUSH"], range(_BLOCK))
        seconds: dict[str, list[_Turn]] = {name: [] for name in sends}
        for _ in range(turns):
            for name, turn in _turn(sends, count).items():
                seconds[name].append(turn)
    app.close()
    return seconds


def _turn(sends: Mapping[str, Callable[[int], object]], count: int) -> dict[str, _Turn]:
    turn: dict[str, _Turn] = {name: {"first": [], "warm": []} for name in sends}
    for begin in range(0, count, _BLOCK):
        for name, send in sends.items():
            first, *_ = _taken(send, range(-_COLD, 0))
            turn[name]["first"].append(first)
            turn[name]["warm"] += _taken(send, range(begin, min(begin + _BLOCK, count)))
    return turn


def _connected(url: str) -> Redis:
    """Return a client that keeps one connection, as little as Python can do."""
    return Redis.from_url(url, single_connection_client=True, decode_responses=True)


def _sent(turns: int, count: int) -> int:
    """Return how many messages each sends in so many turns of ``count`` requests."""
    blocks = -(-count // _BLOCK)
    return _BLOCK + turns * (count + blocks * _COLD)


if __name__ == "__main__":
    address, *numbers = sys.argv[1:]
    turns, count = map(int, numbers)
    found = {"sent": _sent(turns, count), "seconds": measured(address, turns, count)}
    sys.stdout.write(json.dumps(found))
