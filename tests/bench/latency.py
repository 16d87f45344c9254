"""What a caller waits for: sending a request, and the provider's first byte of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from operator import truediv
from pathlib import Path

from tests.deployment import ROOT, machine
from tests.servers import Valkey

from . import counting
from .calls import PLAIN, POSTGRES, SQLITE, Place, opened
from .crowds import Crowd
from .measurement import Goal, Row, Samples, in_turns, percentile
from .sizes import Sizes

_SENDING = Goal("ratio", 1.1)
_EVEN = Goal("ours", 2.0)
_SOON = Goal("difference", 10.0)
#: The provider of first bytes answers soon, and a worker is idle for this long before a request.
_ANSWER_SECONDS, _IDLE_SECONDS = 0.01, 0.1


def enqueue(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """Requests of our client beside ``send_task`` of the same task, in milliseconds each."""
    del folder
    paths = os.pathsep.join([str(ROOT), str(ROOT / "client" / "src")])
    command = [sys.executable, "-m", "tests.bench.enqueueing", valkey.url]
    done = subprocess.run(
        [*command, str(sizes.times), str(sizes.enqueued)],
        cwd=ROOT,
        env={**machine(), "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        check=True,
    )
    measured = json.loads(done.stdout)
    turns = measured["seconds"]
    with valkey.client() as client:
        found = {name: int(client.llen(name)) for name in turns}
    wanted = dict.fromkeys(turns, int(measured["sent"]))
    counted = counting.compare("messages in the queue of", found, wanted)
    p50, p99 = (_percentiles(turns, "warm", share) for share in (0.5, 0.99))
    first = _percentiles(turns, "first", 0.5)
    for what, figures, goal in (
        ("p50", p50, _SENDING),
        ("p99", p99, _SENDING),
        ("the first after the other's turn, p50", first, None),
    ):
        ours, peer = figures["client"], figures["send_task"]
        yield Row(
            "enqueue",
            f"enqueue by the client, {what}",
            "ms",
            ours,
            peer,
            "send_task",
            goal,
            counted,
        )
    even = {name: Samples.of(map(truediv, p99[name].values, p50[name].values)) for name in turns}
    what = "enqueue by the client, p99 as a multiple of p50"
    for than in ("send_task", "LPUSH"):
        yield Row("enqueue", what, "", even["client"], even[than], than, _EVEN, counted)


def _percentiles(
    turns: Mapping[str, Sequence[Mapping[str, Sequence[float]]]], which: str, share: float
) -> dict[str, Samples]:
    """Return a percentile of every turn, in milliseconds, by who sent."""
    return {
        name: Samples.of(percentile(turn[which], share) * 1000 for turn in each)
        for name, each in turns.items()
    }


def first_byte(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """From sending a message to the first byte of its request at the provider, worker idle."""
    with ExitStack() as stack:
        place = opened(folder, replace(sizes, answer_seconds=_ANSWER_SECONDS), valkey, stack)
        ours = {name: place.ours(name, slots=sizes.slots) for name in (SQLITE, POSTGRES)}
        crowds: dict[str, Crowd] = {**ours, PLAIN: place.plain()}
        for crowd in crowds.values():
            crowd.turn(1)
        turns: dict[str, Callable[[], float]] = {
            name: partial(_first_bytes, place, one) for name, one in crowds.items()
        }
        seen = in_turns(sizes.times, turns)
        counted = {name: one.counted(f"first-byte ({name})") for name, one in ours.items()}
        asked = sum(crowd.asked for crowd in crowds.values())
        placed = {"calls": place.provider.calls()}
        counting.compare("calls at the provider", placed, {"calls": asked})
    late = {name: Samples.of(medians) for name, medians in seen.items()}
    for name in ours:
        what = f"enqueue to the provider's first byte ({name})"
        yield Row("first-byte", what, "ms", late[name], late[PLAIN], PLAIN, _SOON, counted[name])


def _first_bytes(place: Place, crowd: Crowd) -> float:
    """Return the median milliseconds of several requests, one after the other."""
    taken = []
    for _ in range(place.sizes.first_bytes):
        time.sleep(_IDLE_SECONDS)
        began = time.monotonic()
        crowd.turn(1)
        taken.append((place.provider.arrivals()[-1] - began) * 1000)
    return percentile(taken, 0.5)
