"""How much work each measurement does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of things, and sizes in bytes."""

    times: int
    calls: int
    transfer_bytes: int
    kept_bytes: int
    singles: int
    zips: int
    zip_bytes: int
    days: int
    recordings_a_day: int


#: What `make bench` measures.
FULL = Sizes(
    times=3,
    calls=120,
    transfer_bytes=200_000_000,
    kept_bytes=200_000_000,
    singles=3_000,
    zips=3,
    zip_bytes=60_000_000,
    days=40,
    recordings_a_day=500,
)
#: Enough to prove that everything is counted.
TINY = Sizes(
    times=1,
    calls=5,
    transfer_bytes=300_000,
    kept_bytes=300_000,
    singles=12,
    zips=2,
    zip_bytes=100_000,
    days=2,
    recordings_a_day=10,
)
