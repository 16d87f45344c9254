"""How much work each benchmark does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of things, seconds, and sizes in bytes.

    ``name`` says which of the three sizes this is. ``anew`` says whether worker processes are new
    interpreters, as in production, or forked ones, which start sooner.
    """

    name: str
    times: int
    anew: bool
    slots: int
    more_slots: int
    calls: int
    burst: int
    enqueued: int
    requests: int
    first_bytes: int
    answer_seconds: float
    transfers: tuple[int, ...]
    at_once_bytes: int
    export_bytes: int
    kept_bytes: int
    singles: int
    zips: int
    zip_bytes: int
    days: int
    recordings_a_day: int
    waiting: int
    due: int
    accounts: int
    grows_to: tuple[int, ...]
    days_grow_to: tuple[int, ...]
    archives_grow_to: tuple[int, ...]
    idle_seconds: float


GB = 1_000_000_000
#: What `make bench` measures.
SHORT = Sizes(
    name="short",
    times=1,
    anew=True,
    slots=64,
    more_slots=200,
    calls=320,
    burst=300,
    enqueued=500,
    requests=500,
    first_bytes=10,
    answer_seconds=0.2,
    transfers=(GB // 5,),
    at_once_bytes=GB // 10,
    export_bytes=GB // 10,
    kept_bytes=GB // 5,
    singles=1_000,
    zips=2,
    zip_bytes=60_000_000,
    days=20,
    recordings_a_day=200,
    waiting=20_000,
    due=2_000,
    accounts=20,
    grows_to=(1_000, 10_000, 100_000),
    days_grow_to=(100, 1_000, 10_000),
    archives_grow_to=(1_000, 10_000),
    idle_seconds=8,
)
#: What `make bench T=--full` measures, and docs/speed.md shows.
FULL = Sizes(
    name="full",
    times=5,
    anew=True,
    slots=64,
    more_slots=200,
    calls=960,
    burst=900,
    enqueued=2_000,
    requests=500,
    first_bytes=20,
    answer_seconds=0.2,
    transfers=(GB, 4 * GB),
    at_once_bytes=GB,
    export_bytes=GB // 5,
    kept_bytes=GB // 5,
    singles=3_000,
    zips=3,
    zip_bytes=60_000_000,
    days=40,
    recordings_a_day=500,
    waiting=100_000,
    due=10_000,
    accounts=100,
    grows_to=(10_000, 100_000, 1_000_000),
    days_grow_to=(1_000, 10_000, 100_000),
    archives_grow_to=(10_000, 100_000, 1_000_000),
    idle_seconds=60,
)
#: Enough to prove that everything is counted.
TINY = Sizes(
    name="tiny",
    times=1,
    anew=False,
    slots=4,
    more_slots=6,
    calls=5,
    burst=8,
    enqueued=20,
    requests=20,
    first_bytes=2,
    answer_seconds=0.01,
    transfers=(300_000,),
    at_once_bytes=200_000,
    export_bytes=300_000,
    kept_bytes=300_000,
    singles=12,
    zips=2,
    zip_bytes=100_000,
    days=2,
    recordings_a_day=10,
    waiting=200,
    due=50,
    accounts=10,
    grows_to=(200, 400),
    days_grow_to=(5, 10),
    archives_grow_to=(10, 20),
    idle_seconds=1,
)
