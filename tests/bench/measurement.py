"""One measurement: the same work done by us and by a peer, in turns, with the median of each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Samples:
    """What several turns took, in the order of the turns; at least one."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Samples:
        """Take the values in their order."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest value."""
        return max(self.values)


@dataclass(frozen=True)
class Goal:
    """The bound that a row is to reach: on our value, on its ratio to the peer's, or on the
    difference of both.
    """

    of: Literal["ours", "ratio", "difference"]
    bound: float
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Return whether a value keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``benchmark`` is the name that selects it. ``unit`` is what the samples are: ``s``, ``ms``,
    ``/s``, ``MB`` or ``%``. ``counted`` says what was really done, by name; a benchmark compares
    these numbers before it makes the row. ``not_measured`` says why there are no samples.
    """

    benchmark: str
    what: str
    unit: str = "s"
    ours: Samples | None = None
    peer: Samples | None = None
    than: str = ""
    goal: Goal | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    not_measured: str = ""

    @property
    def ratio(self) -> Samples | None:
        """Ours by the peer's, turn by turn where both took as many turns; None without a peer, or
        beside one that used nothing.
        """
        if self.ours is None or self.peer is None or not all(self.peer.values):
            return None
        if len(self.ours.values) != len(self.peer.values):
            return Samples((self.ours.median / self.peer.median,))
        pairs = zip(self.ours.values, self.peer.values, strict=True)
        return Samples.of(ours / peer for ours, peer in pairs)

    @property
    def reached(self) -> bool | None:
        """Whether the row keeps its goal; None without a goal or without what the goal compares."""
        if self.goal is None or self.ours is None:
            return None
        if self.goal.of == "ours":
            return self.goal.met_by(self.ours.median)
        if self.peer is None or self.ratio is None:
            return None
        if self.goal.of == "ratio":
            return self.goal.met_by(self.ratio.median)
        return self.goal.met_by(self.ours.median - self.peer.median)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(times: int, turns: dict[str, Callable[[], Value]]) -> dict[str, list[Value]]:
    """Do every piece of work ``times`` times, one after the other, and return what each returned.

    Every other time the order is reversed, so that what disturbs the machine meets all of them.
    """
    seen: dict[str, list[Value]] = {name: [] for name in turns}
    for number in range(times):
        names = list(turns) if number % 2 == 0 else list(reversed(turns))
        for name in names:
            seen[name].append(turns[name]())
    return seen


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that a share (0 to 1) of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
