"""Many calls at once: whether each is placed, and how soon its caller knows that it is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.servers import Valkey

from . import counting
from .calls import POSTGRES, SQLITE, opened
from .measurement import Goal, Row, Samples, percentile
from .sizes import Sizes

_SOON = Goal("ours", 5.0)


def bursts(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """All calls of a burst are sent before the first is awaited; each burst finds an idle worker.
    A call that fails ends the benchmark with an error.
    """
    for ledger in (SQLITE, POSTGRES):
        with ExitStack() as stack:
            place = opened(folder, sizes, valkey, stack)
            place.databases = 0 if ledger == SQLITE else 1
            crowd = place.ours(ledger, slots=sizes.slots)
            crowd.turn(sizes.slots)
            seconds = [crowd.accepted_after(sizes.burst) for _ in range(sizes.times)]
            counted = crowd.counted(f"bursts ({ledger})")
            placed = {"calls": place.provider.calls()}
            counting.compare("calls at the provider", placed, {"calls": crowd.asked})
        what = f"{sizes.burst} calls at once: p99 of accepted ({ledger})"
        late = Samples.of(percentile(turn, 0.99) for turn in seconds)
        yield Row("bursts", what, "s", late, goal=_SOON, counted=counted)
