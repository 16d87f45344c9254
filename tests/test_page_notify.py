"""docs/producers/notify.md, as it is written: a caller's own Celery application is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .deployment import ROOT, Deployment
from .pages import Reader, read_page
from .producer_house import ProducerHouse, producer_house
from .simulators import Simulators
from .waiting import eventually


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> ProducerHouse:
    """The house that the page speaks of."""
    return producer_house(deploy, simulators)


@pytest.fixture
def reader(house: ProducerHouse, tmp_path: Path) -> Reader:
    """Somebody with the page's files, and a recording of their own."""
    names = {
        ".venv/bin/earwitness": f"{sys.executable} -m worker",
        "/srv/earwitness": str(ROOT),
        "1000000001": str(house.office.recordings()[0]["id"]),
    }
    settings = {**house.settings, **house.environment}
    made = Reader(read_page("producers/notify"), tmp_path / "shop", settings, names)
    made.write_files()
    return made


def letters(reader: Reader, many: int) -> str:
    """What the application has written, once it is so many lines."""

    def look() -> str | None:
        printed = reader.run("python letters.py").stdout
        return printed if printed.count("\n") == many else None

    return eventually(look, what=f"not {many} letters")


def test_the_page_as_written(house: ProducerHouse, reader: Reader) -> None:
    """Each end is told once, also that of a call that was asked for twice; a decision that is
    needed and its outcome are two; one call was placed for each request id.
    """
    with reader.running(says="ready.") as worker:
        reader.follow(4)
        letters(reader, 3)
        eventually(lambda: "'seen before'" in worker.log(), what="no notification came twice")
        reader.follow(1)
        house.platform.fault("call", "answer", status=500, body="empty", when="after")
        reader.follow(1)
        letters(reader, 4)
        reader.follow(2)
        letters(reader, 5)
        reader.follow()
    assert house.placed() == 2
