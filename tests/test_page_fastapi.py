"""docs/producers/fastapi.md, as it is written: FastAPI on uvicorn."""

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
    """Somebody with the page's file, and a recording of their own."""
    port = str(free_port())
    names = {
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "--port 8000": f"--port {port}",
        "1000000001": str(house.office.recordings()[0]["id"]),
    }
    made = Reader(read_page("producers/fastapi"), tmp_path / "shop", house.environment, names)
    made.write_files()
    return made


def test_the_page_as_written(house: ProducerHouse, reader: Reader) -> None:
    """Every request is answered as the page says, two of them with one call; a recording is kept
    from an asynchronous endpoint; with Redis down the status is 503.
    """
    with reader.running(address="127.0.0.1:8000"):
        reader.follow(2)
        eventually(lambda: house.states("certified_call.request") == ["done"], what="no call")
        assert house.placed() == 1
        reader.follow(4)
        eventually(lambda: house.states("recording.download") == ["done"], what="not kept")
        house.deployment.valkey.stop()
        reader.follow()
    assert house.placed() == 1
