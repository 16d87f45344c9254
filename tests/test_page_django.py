"""docs/producers/django.md, as it is written: a Django project made from the page alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .deployment import Deployment
from .pages import Reader, read_page
from .producer_house import ProducerHouse, producer_house
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> ProducerHouse:
    """The house that the page speaks of."""
    return producer_house(deploy, simulators)


@pytest.fixture
def reader(house: ProducerHouse, tmp_path: Path) -> Reader:
    """Somebody who makes the project, up to its database."""
    address = {"127.0.0.1:8000": f"127.0.0.1:{free_port()}"}
    made = Reader(read_page("producers/django"), tmp_path / "site", house.environment, address)
    made.follow(2)
    made.write_files()
    made.follow(3)
    return made


def test_the_page_as_written(house: ProducerHouse, reader: Reader) -> None:
    """The view is requested twice: one call, whose end the project is notified of. With Redis down
    the view answers all the same; the command sends the call later, once, and learns its end.
    """
    with reader.running(address="127.0.0.1:8000", program=0):
        with reader.running(says="ready.", program=1):
            reader.follow(2)
            eventually(lambda: shows_done(reader, 4711), what="the project was not notified")
            reader.follow(2)
        house.deployment.valkey.stop()
        reader.follow(3)
        house.deployment.valkey.start()
        reader.follow(1)
        eventually(
            lambda: house.states("certified_call.request") == ["done", "done"],
            what="the second call was not placed",
        )
        reader.follow()
    assert house.placed() == 2
    assert reader.run("python manage.py earwitness_follow").stdout == ""


def shows_done(reader: Reader, order: int) -> bool:
    """Whether the project shows a call as done."""
    return "done" in reader.run(f"curl --silent http://127.0.0.1:8000/orders/{order}").stdout
