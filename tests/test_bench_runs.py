"""Every benchmark of `make bench`, as small as it can be: what it counts, never how fast it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from ledger.core.schema import audit, waiters

from .bench import peers
from .bench.calls import SQLITE, Place
from .bench.counting import Missing
from .bench.crowds import Ours
from .bench.measurement import Row
from .bench.provider import answering_after
from .bench.run import BENCHMARKS, measured
from .bench.sizes import TINY
from .servers import Valkey

pytestmark = pytest.mark.long

#: The rows that each benchmark has, as far as the machine has the programs.
ROWS = {
    "calls": 12,
    "slots": 4,
    "bursts": 2,
    "enqueue": 5,
    "service": 3,
    "first-byte": 2,
    "retrieve": 6,
    "export": 2,
    "keeping": 1,
    "verify": 1,
    "find": 2,
    "sweep": 6,
    "growth": 68,
    "starting": 4,
    "idle": 8,
}
#: These start workers again and again: `make soak` runs them.
LONG = {"slots", "bursts", "first-byte", "growth"}
#: The programs that a row beside other programs needs, by benchmark.
PROGRAMS = {"retrieve": ("curl", "unzip"), "export": ("curl",), "verify": ("unzip",)}
#: Rows for which nothing is there to be measured.
UNKNOWN = "SQLite keeps no count of them"


def _rows(name: str, *, with_peers: bool = False) -> list[Row]:
    return [row for _, rows in measured(TINY, [name], with_peers=with_peers) for row in rows]


def test_every_benchmark_is_run_here() -> None:
    """A new benchmark is tested too."""
    assert list(ROWS) == list(BENCHMARKS)
    assert set(ROWS) > LONG


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak) if name in LONG else name for name in ROWS]
)
def test_a_benchmark_measures_all_of_its_rows_and_counts_its_work(name: str) -> None:
    """Every row is there, with figures or with the reason why it has none, and what a benchmark
    says that it did was counted.
    """
    rows = _rows(name)

    assert len(rows) == ROWS[name]
    has_programs = all(shutil.which(program) for program in PROGRAMS.get(name, ()))
    for row in rows:
        assert row.benchmark == name
        if row.not_measured:
            assert row.ours is None
            assert row.not_measured in {"peers were left out", UNKNOWN} or not has_programs
            continue
        assert row.ours is not None
        assert len(row.ours.values) == TINY.times
        assert row.counted or name == "idle"
        assert all(
            value > 0 for key, value in row.counted.items() if key not in {"owed", "unanswered"}
        )


@pytest.mark.soak
def test_the_peers_do_the_same_calls() -> None:
    """RQ, dramatiq, procrastinate and DBOS each finish every call that they are sent."""
    try:
        peers.environment()
    except peers.NoPeers as error:
        pytest.skip(str(error))

    rows = _rows("calls", with_peers=True)

    assert [row.than for row in rows if row.not_measured] == []
    named = {row.than for row in rows}
    assert named == {"plain Celery", "RQ", "dramatiq", "procrastinate", "DBOS"}


def test_without_an_environment_for_them_peers_are_not_measured(tmp_path: Path) -> None:
    """The reason is at hand for their rows."""
    place = tmp_path / "peers"
    place.write_text("a file where the environment should be")

    with pytest.raises(peers.NoPeers, match="venv"):
        peers.environment(place)


@pytest.mark.soak
def test_a_half_made_environment_does_not_stay(tmp_path: Path) -> None:
    """After an installation that failed, the next run tries again."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("this is no requirement\n")

    with pytest.raises(peers.NoPeers, match="pip install"):
        peers.environment(tmp_path / "peers", lock)

    assert not (tmp_path / "peers").exists()


@pytest.fixture
def crowd(tmp_path: Path, valkey: Valkey) -> Iterator[Ours]:
    """Three certified calls, placed by a worker."""
    with ExitStack() as stack:
        provider = stack.enter_context(answering_after(0.01))
        place = Place(tmp_path, TINY, valkey, provider, stack)
        crowd = place.ours(SQLITE, slots=TINY.slots)
        crowd.turn(3)
        yield crowd


def test_what_calls_leave_is_counted_and_a_loss_is_an_error(crowd: Ours) -> None:
    """A receipt, an audit line or a waiter that is missing afterwards voids the figures."""
    counted = crowd.counted("calls")
    assert (counted["receipts"], counted["receipts under the chain"]) == (3, 3)
    assert (counted["sent in the audit"], counted["waiters"]) == (3, 3)

    receipt = next((crowd.house.archive / "legal" / "certified-calls").rglob("*.json"))
    kept = receipt.read_bytes()
    receipt.unlink()
    with pytest.raises(Missing, match="2 receipts, expected 3; 2 receipts under the chain"):
        crowd.counted("calls")
    receipt.write_bytes(kept)
    crowd.counted("calls")

    for table, what in ((audit, "2 .* in the audit"), (waiters, "2 waiters")):
        key = next(iter(table.primary_key))
        one = select(key).limit(1).scalar_subquery()
        statement = delete(table).where(key == one)
        crowd.house.ledger.database.write(lambda c, statement=statement: c.execute(statement))  # type: ignore[misc]
        with pytest.raises(Missing, match=what):
            crowd.counted("calls")
