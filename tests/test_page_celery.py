"""docs/producers/celery.md, as it is written: plain Celery."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .deployment import Deployment
from .pages import Reader, read_page
from .producer_house import ProducerHouse, producer_house
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

#: A process that goes on while Redis is frozen and thawed by whoever reads what it prints.
LONG_LIVED = """
import sys, time
from shop import NotConfirmed, send

def ask():
    began = time.monotonic()
    try:
        send("earwitness.job.status", job_id="none")
        print("sent", flush=True)
    except NotConfirmed:
        print(f"{time.monotonic() - began:.1f}", flush=True)

ask()
for line in sys.stdin:
    ask()
"""


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> ProducerHouse:
    """The house that the page speaks of."""
    return producer_house(deploy, simulators)


def test_the_page_as_written(house: ProducerHouse, tmp_path: Path) -> None:
    """Each command prints what the page says; one call was placed, one export made; the job's id
    was known ahead.
    """
    reader = Reader(read_page("producers/celery"), tmp_path / "shop", house.environment)
    reader.write_files()
    calls = reader.follow(5)
    assert len({line for line in "".join(calls).splitlines() if line.startswith("job ")}) == 1
    assert re.findall(r"[0-9a-f-]{36}", calls[0])[0] == re.findall(r"[0-9a-f-]{36}", calls[0])[1]
    assert house.placed() == 1
    house.takes_long(reader, "python night.py 2026-11-10 0.1")
    assert house.states("export.run") == ["done"]


def test_a_process_that_lives_on(valkey: Valkey, tmp_path: Path) -> None:
    """With the page's settings a frozen Redis costs a process that has sent before one second, not
    the four that Celery tries for by itself; when it is back, requests are sent again. What
    disturbs the machine meanwhile does not count: the quickest of a few does.
    """
    reader = Reader(read_page("producers/celery"), tmp_path / "shop", {"REDIS_URL": valkey.url})
    reader.write_files()
    valkey.freeze()
    with subprocess.Popen(
        [sys.executable, "-c", LONG_LIVED],
        cwd=reader.folder,
        env=reader.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        first = _said(process)
        valkey.thaw()
        eventually(lambda: _asked(process) == "sent", what="it does not send")
        valkey.freeze()
        took = [_asked(process) for _ in range(4)]
        valkey.thaw()
        eventually(lambda: _asked(process) == "sent", what="it does not send again")
        assert process.stdin
        process.stdin.close()
    assert "sent" not in {first, *took}
    assert min(map(float, took)) < 3.5, took


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _asked(process: subprocess.Popen[str]) -> str:
    assert process.stdin
    process.stdin.write("again\n")
    process.stdin.flush()
    return _said(process)
