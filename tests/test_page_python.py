"""docs/producers/python.md, as it is written: the client, installed from this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from . import page_packages
from .deployment import ROOT, Deployment
from .pages import Reader, need, read_page
from .producer_house import ProducerHouse, producer_house
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


PAGE = read_page("producers/python")
#: A process that has a connection when Redis stops answering.
INTERRUPTED = """
import sys
from calls import call_customer
from earwitness_client import NotSent

call_customer("4711")
print("ready", flush=True)
for order in sys.stdin:
    try:
        print("job", call_customer(order.strip()).id, flush=True)
    except NotSent as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> ProducerHouse:
    """The house that the page speaks of."""
    return producer_house(deploy, simulators)


@pytest.fixture
def reader(house: ProducerHouse, tmp_path: Path) -> Reader:
    """Somebody with a virtual environment of their own, in which the client's dependencies are
    already there.
    """
    need(page_packages.wheels())
    own = tmp_path / "venv"
    venv.create(own, with_pip=False)
    (site,) = own.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    path = os.pathsep.join([str(own / "bin"), os.environ["PATH"]])
    made = Reader(
        PAGE,
        tmp_path / "shop",
        {**house.environment, "PATH": path, "PYTHONPATH": ""},
        {"./client": str(ROOT / "client")},
    )
    made.write_files()
    return made


def test_the_page_as_written(house: ProducerHouse, reader: Reader) -> None:
    """Installed, asked, accepted, answered, looked at; with Redis gone and frozen the errors that
    the page shows; sent again under the same id, one call for each.
    """
    reader.follow(1)
    calls = reader.follow(4)
    assert len(set(re.findall(r"[0-9a-f-]{36}", calls[0] + calls[1]))) == 1
    assert house.placed() == 2
    _is_interrupted(house, reader)
    house.takes_long(reader, "python night.py 2026-11-10 0.1")
    assert house.states("export.run") == ["done"]


def _is_interrupted(house: ProducerHouse, reader: Reader) -> None:
    (promised,) = [text for text in PAGE.texts if text.startswith("MaybeQueued")]
    with subprocess.Popen(
        [shutil.which("python", path=reader.environment["PATH"]), "-c", INTERRUPTED],
        cwd=reader.folder,
        env=reader.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        house.deployment.valkey.freeze()
        process.stdin.write("4713\n")
        process.stdin.flush()
        said = process.stdout.readline()
        house.deployment.valkey.thaw()
        assert said == promised
        process.stdin.write("4713\n")
        process.stdin.close()
        assert process.stdout.readline().startswith("job ")
    eventually(lambda: house.placed() == 3, what="the call was not placed")
    assert "'state': 'done'" in reader.run("python order.py 4713").stdout
    assert house.placed() == 3
