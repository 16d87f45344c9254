"""The table of `make bench`: how it is made, never how fast anything was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .bench import table
from .bench.measurement import Row, in_turns
from .bench.run import measured
from .bench.sizes import TINY

pytestmark = pytest.mark.long


def test_a_tiny_run_makes_the_whole_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every measurement does all of the work that it claims to have timed, and is one of the lines
    that people see and programs read.
    """
    rows = list(measured(TINY))

    counted = {row.what: row.counted for row in rows}
    calls = 2 * TINY.calls  # once to warm up
    done = {"rows": calls, "results": calls, "receipts": calls, "peer_results": calls}
    for ledger in ("SQLite", "PostgreSQL"):
        assert counted[f"a job to accepted ({ledger})"] == done
        assert counted[f"a job to its result ({ledger})"] == done
    for task in ("retrieve", "run"):
        assert counted[f"export.{task} of 0.3 MB"]["zips"] == 2
    kept = counted["keeping a ZIP of 0.3 MB"]
    assert (kept["files"], kept["members"]) == (1, 1)
    assert kept["bytes"] > TINY.kept_bytes
    verified = counted["verify: 12 recordings, 2 ZIPs of 0.1 MB"]
    # Audio and metadata; for each export a manifest, its list and its chain; the ledger's name.
    assert verified["files"] == verified["peer_files"] == 2 * TINY.singles + TINY.zips + 6 + 1
    assert counted["find by number among 20 recordings"] == {"lines": 20, "hits": 2}
    assert counted["find by id among 20 recordings"] == {"lines": 20, "hits": 2}
    started = {"starts": TINY.times, "ready": TINY.times}
    assert counted["python -m worker status"] == started
    assert counted["celery -A worker worker to ready"] == started
    peers = 2 if shutil.which("curl") else 1
    assert len(rows) == 4 + 2 * peers + 1 + 1 + 2 + 2

    table.show("the machine", rows)
    table.write(str(tmp_path / "table.json"), "the machine", rows)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "the machine"
    assert shown[1].split("  ")[0] == "what"
    assert [line.split("  ")[0] for line in shown[2:]] == [row.what for row in rows]
    written = json.loads((tmp_path / "table.json").read_text())
    assert written["machine"] == "the machine"
    assert [one["what"] for one in written["rows"]] == [row.what for row in rows]
    assert all(one["ratio"] == one["ours"] / one["peer"] for one in written["rows"])


def test_a_row_says_both_times_and_their_ratio() -> None:
    """A ratio is ours by the peer's, and stands beside both."""
    row = Row("keeping", 3.0, 0.0015, "cp", "a sum")

    assert table.cells(row) == ("keeping", "3.00 s", "1.5 ms", "2000.0", "cp", "a sum")


def test_turns_are_taken_in_both_orders_and_the_middle_one_counts() -> None:
    """What disturbs the machine for a while meets us and the peer, and the worst turn of either
    does not count.
    """
    order: list[str] = []
    taken = {"ours": iter([9.0, 1.0, 2.0]), "peer": iter([5.0, 50.0, 7.0])}

    def turn(name: str) -> float:
        order.append(name)
        return next(taken[name])

    seen = in_turns(3, ours=lambda: turn("ours"), peer=lambda: turn("peer"))

    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert seen == {"ours": 2.0, "peer": 7.0}


def test_the_head_line_says_what_was_measured_with() -> None:
    """Numbers of another machine or version are not taken for these."""
    head = table.machine()

    assert all(name in head for name in (" cores, ", "Python 3.", "celery 5.", "redis ", "Valkey "))
