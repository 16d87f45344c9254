"""The table of `make bench`: how it is made, never how fast anything was."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import pytest

from .bench import pages, peers, plots, profile, table
from .bench.counting import Missing, compare
from .bench.measurement import Goal, Row, Samples, in_turns, percentile
from .bench.run import BENCHMARKS
from .bench.sizes import FULL, SHORT

RATE = Row(
    "calls",
    "calls a second (SQLite)",
    "/s",
    Samples((150.0, 160.0, 170.0)),
    Samples((200.0, 160.0, 170.0)),
    "plain Celery",
    Goal("ratio", 0.85, at_least=True),
    {"jobs": 3},
)
MEMORY = Row("idle", "memory", "MB", Samples((70.0,)), goal=Goal("ours", 64.0))
ABSENT = Row(
    "verify",
    "verify",
    than="unzip -t",
    goal=Goal("ratio", 1.2),
    not_measured="not installed: unzip",
)
ROWS = [RATE, MEMORY, ABSENT]


def test_a_row_shows_medians_with_their_spread_and_the_ratio_turn_by_turn() -> None:
    """A disturbed turn of either side moves neither the medians nor the ratio."""
    assert table.cells(RATE) == (
        "calls a second (SQLite)",
        "160 /s (150 /s to 170 /s)",
        "170 /s (160 /s to 200 /s)",
        "plain Celery",
        "1.00 (0.75 to 1.00)",
        "ratio >= 0.85",
        "yes",
    )


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal("ours", 64.0), False),
        (Goal("ours", 70.0), True),
        (Goal("ours", 70.0, at_least=True), True),
        (Goal("ratio", 1.3), False),
        (Goal("ratio", 1.4), True),
        (Goal("difference", 19.0), False),
        (Goal("difference", 20.0), True),
        (None, None),
    ],
)
def test_a_goal_bounds_the_value_the_ratio_or_the_difference(
    goal: Goal | None, reached: bool | None
) -> None:
    """Whether a row is reached is computed from what was measured, on the bound itself too."""
    row = Row("idle", "memory", "MB", Samples((70.0,)), Samples((50.0,)), goal=goal)

    assert row.reached is reached


def test_a_row_that_could_not_be_measured_says_why() -> None:
    """A missing program never looks like a time of zero, nor like a goal that was reached."""
    shown = table.cells(ABSENT)

    assert shown[1:3] == ("not measured", "not installed: unzip")
    assert (ABSENT.reached, ABSENT.ratio, shown[-1]) == (None, None, "")


def test_nothing_is_divided_by_a_peer_that_used_nothing() -> None:
    """A figure of zero beside ours gives no ratio, and so reaches no goal."""
    row = Row(
        "idle", "CPU", "%", Samples((0.5,)), Samples((0.0,)), "plain Celery", Goal("ratio", 1.3)
    )

    assert (row.ratio, row.reached) == (None, None)


def test_turns_are_taken_in_both_orders() -> None:
    """What disturbs the machine for a while meets us and the peer."""
    order: list[str] = []
    taken = {"ours": iter([9.0, 1.0, 2.0]), "peer": iter([5.0, 50.0, 7.0])}

    def turn(name: str) -> float:
        order.append(name)
        return next(taken[name])

    seen = in_turns(3, {"ours": lambda: turn("ours"), "peer": lambda: turn("peer")})

    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert seen == {"ours": [9.0, 1.0, 2.0], "peer": [5.0, 50.0, 7.0]}


def test_a_percentile_is_one_of_the_values() -> None:
    """Of a hundred values the 99th is p99; of few it is the largest."""
    hundred = [float(value) for value in range(100, 0, -1)]

    assert percentile(hundred, 0.99) == 99.0
    assert percentile(hundred, 0.5) == 50.0
    assert percentile([3.0, 1.0], 0.99) == 3.0


def test_a_missing_record_ends_the_run_with_an_error_that_names_it() -> None:
    """Figures of work that was not done whole are not printed as if it were."""
    with pytest.raises(Missing) as caught:
        compare("calls (SQLite)", {"jobs": 640, "receipts": 639}, {"jobs": 640, "receipts": 640})

    assert isinstance(caught.value, click.ClickException)
    assert caught.value.exit_code == 1
    assert "calls (SQLite): 639 receipts, expected 640" in caught.value.format_message()


def test_a_record_too_many_or_of_an_unknown_name_is_an_error_too() -> None:
    """A call that was placed twice is no better than one that was not placed."""
    with pytest.raises(Missing, match="641 calls, expected 640"):
        compare("provider", {"calls": 641}, {"calls": 640})
    with pytest.raises(Missing, match="0 audit lines, expected 1"):
        compare("provider", {}, {"audit lines": 1})


def test_what_was_measured_can_be_read_again(tmp_path: Path) -> None:
    """A long run can be done in parts, and its page written from all of them."""
    file = tmp_path / "kept" / "speed.json"

    table.write(file, "the machine", ROWS)

    assert table.read(file) == ("the machine", ROWS)
    first = json.loads(file.read_text())["rows"][0]
    assert (first["ratio"]["median"], first["reached"]) == (1.0, True)


def test_the_head_line_says_what_was_measured_with() -> None:
    """Numbers of another machine, version or size are not taken for these."""
    names = (" cores, ", "Python 3.", "celery 5.", "redis ", "Valkey ", "full run, medians of 5")

    assert all(name in table.machine(FULL) for name in names)
    assert "short run, once" in table.machine(SHORT)


def _texts(drawn: str) -> list[str | None]:
    root = ET.fromstring(drawn)
    return [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_plot_has_a_bar_for_each_ledger_and_one_for_each_peer() -> None:
    """A peer that stands beside both ledgers is drawn once, and the best comes first."""
    peer = Samples((4.0,))
    rows = [
        Row("calls", "calls (SQLite)", "/s", Samples((2.0,)), peer, "plain Celery"),
        Row("calls", "calls (PostgreSQL)", "/s", Samples((3.0,)), peer, "plain Celery"),
        Row("calls", "calls (PostgreSQL)", "/s", than="DBOS", not_measured="no peers"),
    ]

    texts = _texts(plots.svg("Calls", "/s", plots.shared_bars(rows)))

    names = ["plain Celery", "4 /s", "Earwitness (PostgreSQL)", "3 /s", "Earwitness (SQLite)"]
    assert texts == ["Calls", *names, "2 /s"]


def test_a_plot_of_several_sizes_has_two_bars_for_each() -> None:
    """The programs beside us take longer for more, and each of their bars stands by ours. The
    picture is XML that a browser draws, whatever the names contain.
    """
    rows = [
        Row("retrieve", f"{size} < & GB", "s", Samples((size,)), Samples((2 * size,)), "curl")
        for size in (1.0, 4.0)
    ]

    texts = _texts(plots.svg("Retrieve & keep", "s", plots.paired_bars(rows)))

    assert texts[1::2] == [
        "1.0 < & GB",
        "1.0 < & GB: the programs",
        "4.0 < & GB",
        "4.0 < & GB: the programs",
    ]
    assert texts[2::2] == ["1 s", "2 s", "4 s", "8 s"]


def test_the_page_keeps_its_prose_and_gets_table_and_plots(tmp_path: Path) -> None:
    """Only what stands between the two marks is replaced."""
    page = tmp_path / "speed.md"
    page.write_text(f"# Speed\n\n{pages.BEGIN}\nold\n{pages.END}\n\nProse.\n")

    written = pages.write("the machine", ROWS, page)

    text = page.read_text()
    assert text.startswith("# Speed\n\n")
    assert text.endswith(f"{pages.END}\n\nProse.\n")
    assert "old" not in text
    assert "| calls a second (SQLite) | 160 /s (150 /s to 170 /s) |" in text
    assert [path.name for path in written] == ["speed.md", "speed-calls.svg"]
    assert "(speed-calls.svg)" in text


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written into a page that has no place for it."""
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n")

    with pytest.raises(ValueError, match="has no line"):
        pages.write("the machine", ROWS, page)

    assert page.read_text() == "# Speed\n"


def test_the_page_of_the_project_has_a_place_for_the_table() -> None:
    """`--write-docs` finds its marks in docs/speed.md, and the page names every benchmark."""
    text = pages.PAGE.read_text()

    assert pages.BEGIN in text
    assert pages.END in text
    assert [name for name in BENCHMARKS if f"`{name}`" not in text] == []


def test_a_profile_counts_what_ran_and_what_it_was_called_by() -> None:
    """A function that calls another shares its samples, once even where it calls itself."""
    recorded = (
        "MainThread;work (/x/site-packages/celery/app.py:10);run (tasks/runner.py:7) 30\n"
        "MainThread;work (/x/site-packages/celery/app.py:10);"
        "work (/x/site-packages/celery/app.py:99) 10\n"
    )

    lines = [" ".join(line.split()) for line in profile.summary(recorded)]

    assert lines[0].startswith("40 samples")
    assert "75.0% tasks" in lines
    assert "25.0% celery" in lines
    assert "75.0% tasks/runner.py run" in lines
    assert "100.0% celery/app.py work" in lines


def test_every_peer_is_pinned_with_its_hashes_and_no_index() -> None:
    """The peers' environment is the same everywhere, from whichever index pip is configured for."""
    wanted = (peers.LOCK.with_name("requirements.in")).read_text().splitlines()
    names = [re.split(r"[\[=<>]", line)[0] for line in wanted if line and line[0] != "#"]
    lock = "\n".join(line for line in peers.LOCK.read_text().splitlines() if line[:1] != "#")

    pinned = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n {4}--hash=sha256:", lock, re.MULTILINE)
    assert set(names) <= set(pinned)
    assert len(pinned) == len(re.findall(r"==", lock))
    assert "://" not in lock
