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
    """The view is requested twice, and the request sent once more by the command: one call. With
    Redis down the view answers all the same; the command sends the call later, once.
    """
    with reader.running(address="127.0.0.1:8000"):
        reader.follow(3)
        eventually(lambda: house.placed() == 1, what="the call was not placed")
        house.deployment.valkey.stop()
        reader.follow(2)
        house.deployment.valkey.start()
        reader.follow()
    eventually(lambda: house.placed() == 2, what="the second call was not placed")
    assert reader.run("python manage.py resend_calls").stdout == ""
    assert house.placed() == 2
