"""docs/producers/cron.md, as it is written: its crontab's lines run by ``sh`` as cron would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .deployment import ROOT, Deployment
from .pages import Reader, read_page, shape
from .producer_house import ProducerHouse, producer_house
from .recent_days import POSIX_ZONE, YESTERDAY, ZONE
from .simulators import Simulators

PAGE = read_page("producers/cron")


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> ProducerHouse:
    """The house that the page speaks of; the recordings are yesterday's."""
    return producer_house(deploy, simulators, day=YESTERDAY, zone=ZONE)


@pytest.fixture
def reader(house: ProducerHouse, tmp_path: Path) -> Reader:
    """Somebody with the page's programs, executable, and a worker that is configured."""
    names = {
        ".venv/bin/earwitness": f"{sys.executable} -m worker",
        "/srv/earwitness": str(ROOT),
        "2026-11-20": str(YESTERDAY),
        "IST-5:30": POSIX_ZONE,
    }
    made = Reader(PAGE, tmp_path / "home", {**house.settings, **house.environment}, names)
    made.write_files()
    made.follow(1)
    return made


def cron(house: ProducerHouse, reader: Reader) -> list[tuple[int, str]]:
    """What cron does with the crontab, whatever the time: each line's status and output."""
    lines = [line for line in PAGE.files["crontab"].splitlines() if line[:1].isdigit()]
    surroundings = {"HOME": str(reader.folder), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    ended = []
    for line in lines:
        command = reader.here(line.split(maxsplit=5)[5])
        assert "%" not in command, "cron takes it for the end of the line"
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=reader.folder,
            env={**surroundings, **house.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        ended.append((done.returncode, done.stdout))
    return ended


def test_the_page_as_written(house: ProducerHouse, reader: Reader) -> None:
    """A recording is missing: both lines fail and say so. It is there: both are silent, and the
    day is complete. Celery's own command sends a day and shows its result.
    """
    missing = house.office.recordings()[0]["id"]
    house.office.withhold(missing, from_="everywhere")
    for (status, letter), promised in zip(cron(house, reader), PAGE.texts, strict=True):
        assert status == 1
        for line in promised.splitlines():
            assert shape(line) in shape(letter), letter
    house.office.release(missing)
    assert cron(house, reader) == [(0, ""), (0, "")]
    reader.follow(1)
    (task_id,) = reader.follow(1)
    reader.names["929f747e-38da-487b-80c8-011d7be6ede8"] = task_id.strip()
    reader.follow()
    # Three days and one that Celery sent; yesterday failed first.
    assert sorted(house.states("export.run")) == [*4 * ["done"], "failed"]
