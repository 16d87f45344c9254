"""The event loop of a service that asks for many calls at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.servers import Valkey
from tests.watched_service import FAULTS, Watched, ask_at_once, watched_service

from .counting import Missing
from .measurement import Goal, Row, Samples, in_turns
from .sizes import Sizes

_LAG = Goal("ours", 20.0)
_WORDS = {"none": "alive", "freeze": "frozen", "stop": "dead"}


def service(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """The page's FastAPI service with many requests at once: how long its loop lags."""
    with ExitStack() as stack:
        address = stack.enter_context(watched_service(folder / "service", valkey.url))
        turns = {
            fault: partial(ask_at_once, address, valkey, fault, sizes.requests) for fault in FAULTS
        }
        seen = in_turns(sizes.times, turns)
    for fault, each in seen.items():
        what = f"{sizes.requests} requests at once, Redis {_WORDS[fault]}: p99 of the loop's lag"
        lags = Samples.of(one.p99_seconds * 1000 for one in each)
        counted = {"answered": _answered(each, sizes)}
        yield Row("service", what, "ms", lags, goal=_LAG, counted=counted)


def _answered(each: list[Watched], sizes: Sizes) -> int:
    """Return how many requests were answered. Raises Missing unless all were."""
    answered = sum(one.statuses[202] + one.statuses[503] for one in each)
    if answered != sizes.requests * len(each):
        raise Missing(f"service: {answered} of {sizes.requests * len(each)} requests were answered")
    return answered
