"""How costs grow: the same work at 1, 10 and 100 times the size, and the exponent of its cost.

An exponent of 0 is a cost that does not grow, one of 1 a cost in proportion. It is fitted to what
does not depend on a busy machine: steps of SQLite, blocks of PostgreSQL, CPU seconds, bytes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from ledger.ledger import Ledger
from tests.servers import Postgres, Valkey
from tests.simulators.remote import Remote

from . import filled
from .calls import POSTGRES, SQLITE
from .cost import Cost, Meter
from .growing_archive import archives
from .growing_days import days
from .measurement import Goal, Row, Samples
from .questions import questions
from .sizes import Sizes

_IN_PROPORTION = Goal("ours", 1.1)
#: A cost below this does not grow, whatever a few steps more or less make of its exponent.
_LITTLE = {SQLITE: 5_000, POSTGRES: 200}
_UNIT = {SQLITE: "steps", POSTGRES: "blocks"}


def growth(folder: Path, sizes: Sizes, valkey: Valkey, simulators: Remote) -> Iterator[Row]:
    """Questions to ledgers, an export's day, and commands over archives, each at three sizes."""
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres())
        for name in (SQLITE, POSTGRES):
            yield from _of_ledger(folder, sizes, name, postgres)
    for what, costs in days(folder, sizes, valkey, simulators):
        yield row(f"a day's export: {what}", costs)
    for what, costs in archives(folder, sizes):
        yield row(what, costs)


def row(what: str, costs: Mapping[int, float], unit: str = "", little: float = 0.0) -> Row:
    """Return the row of costs by size: their exponent, beside the costs themselves."""
    shown = ", ".join(f"{_short(cost)} at {_short(size)}" for size, cost in costs.items())
    fitted = Samples.of([exponent(costs, little)])
    than = f"{unit}: {shown}" if unit else shown
    return Row(
        "growth", what, "", fitted, than=than, goal=_IN_PROPORTION, counted={"sizes": len(costs)}
    )


def exponent(costs: Mapping[int, float], little: float = 0.0) -> float:
    """Return the exponent by which a cost grows with the size: the slope of the line through the
    logarithms. Costs below ``little`` count as that.
    """
    sizes = [math.log(size) for size in costs]
    logs = [math.log(max(cost, little, 1e-9)) for cost in costs.values()]
    return statistics.linear_regression(sizes, logs).slope


def _of_ledger(folder: Path, sizes: Sizes, name: str, postgres: Postgres) -> Iterator[Row]:
    """Ask every question of one ledger that grows."""
    seen: dict[str, dict[int, Cost]] = {}
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'growing.sqlite3'}"
        if name == POSTGRES:
            url = stack.enter_context(postgres.database())
        before = 0
        for many in sizes.grows_to:
            ledger = Ledger(url, lease_seconds=3_600)
            try:
                meter = Meter(ledger.database)
                ledger.identity.prepare()
                filled.fill(url, many, sizes.accounts, first=before)
                for question in questions(ledger, many):
                    question.ask()  # connections are opened and statements compiled
                    seen.setdefault(question.name, {})[many] = meter.cost(question.ask)
            finally:
                ledger.close()
            before = many
    yield from _rows(name, seen)


def _rows(name: str, seen: Mapping[str, Mapping[int, Cost]]) -> Iterator[Row]:
    for question, costs in seen.items():
        work = {size: float(cost.work) for size, cost in costs.items()}
        yield row(f"{question} ({name})", work, _UNIT[name], _LITTLE[name])
    for size in next(iter(seen.values())):
        slowest = max(seen, key=lambda question: seen[question][size].seconds)
        seconds = Samples.of([seen[slowest][size].seconds])
        what = f"slowest question at {_short(size)} jobs ({name}): {slowest}"
        yield Row("growth", what, "s", seconds, counted={"questions": len(seen)})


def _short(number: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"
