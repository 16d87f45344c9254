"""docs/producers with each release of Celery that the client supports, on the caller's side."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .caller_environments import ENVIRONMENTS, Environment
from .deployment import Deployment
from .pages import Reader, need_environment, read_page, shape
from .producer_house import producer_house
from .simulators import Simulators

pytestmark = pytest.mark.soak

#: Other tests have these: an export that is not ready yet, and the installation.
ELSEWHERE = ("python night.py 2026-11-10 5", "python -m pip install --quiet ./client")
#: Prints the releases that the pages' programs import.
RELEASES = "python -c 'import celery, kombu, redis; print(celery.VERSION[:2], celery.__file__)'"


def pages_as_written(caller: Environment, folder: Path, settings: dict[str, str]) -> None:
    """Follow the pages on plain Celery and on the client with the programs of an environment."""
    path = os.pathsep.join([str(caller.python.parent), os.environ["PATH"]])
    for name in ("producers/celery", "producers/python"):
        page = read_page(name)
        page.commands = [one for one in page.commands if one.line not in ELSEWHERE]
        reader = Reader(page, folder / name, {**settings, "PATH": path})
        reader.write_files()
        said = reader.run(RELEASES).stdout
        assert shape(said).startswith(release_of(caller)), said
        assert str(caller.python.parent.parent) in said
        reader.follow()


def release_of(caller: Environment) -> str:
    """Return Celery's version in an environment, as a pair."""
    major, minor = caller.name.split("-")[1].split(".")
    return f"({major}, {minor})"


def test_every_release_of_celery(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path
) -> None:
    """Each command of the pages prints what it says, with every release, against one worker: the
    callers' requests have the same ids, so that two calls are placed in all.
    """
    oldest, *others = ENVIRONMENTS
    need_environment(oldest)
    house = producer_house(deploy, simulators)
    for caller in (oldest, *(one for one in others if one.packages().fetched)):
        pages_as_written(caller, tmp_path / caller.name, house.environment)
    assert house.placed() == 2
