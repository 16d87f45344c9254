"""One measurement: the same work done by us and by a peer, in turns, and the median of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

#: Does its work once and returns the seconds that count; what it prepares does not.
Turn = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """A line of the table: seconds of ours and of the peer's, for one of ``per`` if told.

    ``counted`` says what was really done, by name; it is looked at before the row is made.
    """

    what: str
    ours: float
    peer: float
    than: str
    pays_for: str
    counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours by the peer's."""
        return self.ours / self.peer

    def facts(self) -> dict[str, Any]:
        """The row as JSON can carry it."""
        return {**asdict(self), "ratio": self.ratio}


def timed(work: Callable[[], object]) -> float:
    """The seconds that the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(times: int, **turns: Turn) -> dict[str, float]:
    """The median seconds of each, all of them done ``times`` times, one after the other, every
    other time in the opposite order: what disturbs the machine meets all of them.
    """
    seen: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(times):
        names = list(turns) if number % 2 == 0 else list(reversed(turns))
        for name in names:
            seen[name].append(turns[name]())
    return {name: median(seconds) for name, seconds in seen.items()}
