"""docs/producers with each release of Celery that the client supports, on the caller's side."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from .caller_environments import ENVIRONMENTS, Environment
from .canvas_house import CanvasHouse
from .deployment import Deployment
from .pages import Reader, need_environment, read_page, shape
from .producer_house import producer_house
from .simulators import Simulators
from .test_canvas import Idiom, idioms
from .waiting import eventually

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


#: Sends the idioms of a file with an environment's Celery, and waits for their ends.
CANVAS = """
import json, sys, time
from celery import Celery, chain, chord, group

url, path = sys.argv[1:]
app = Celery("caller", broker=url, backend=url)
app.conf.broker_connection_retry_on_startup = True
results = []
for given in json.load(open(path)):
    made = {name: app.signature(one) for name, one in given["signatures"].items()}

    def swap(job, then, made=made):
        noting = made["swap"].clone(kwargs={"ours": dict(job)})
        return chain(noting, then).apply_async()

    known = {**made, "swap": swap, "chain": chain, "chord": chord, "group": group}
    results.append((given["code"], eval(given["code"], known)))
until = time.monotonic() + 120
while late := [code for code, one in results if not one.ready()]:
    assert time.monotonic() < until, late
    time.sleep(0.1)
"""
NAMES = ("paid", "lost", "every", "first", "last", "swap")


def test_the_canvas_of_every_release(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path
) -> None:
    """What docs/producers/celery.md says of each idiom holds for callers with each release, for
    jobs that end at once and jobs that wait.
    """
    need_environment(ENVIRONMENTS[0])
    house = CanvasHouse(deploy, simulators, tmp_path)
    house.shop()
    house.deployment.worker()
    (tmp_path / "canvas.py").write_text(CANVAS)
    for caller in (one for one in ENVIRONMENTS if one.packages().fetched):
        sent = [
            (one, is_waiting) for is_waiting in (False, True) for one in _tagged(caller, is_waiting)
        ]
        file = tmp_path / f"{caller.name}.json"
        file.write_text(json.dumps([_signatures(house, *one) for one in sent]))
        subprocess.run(
            [caller.python, tmp_path / "canvas.py", house.deployment.valkey.url, file],
            timeout=240,
            check=True,
        )
        eventually(house.is_idle, what=f"something is left of {caller.name}")
        for one, _ in sent:
            ran = sorted(note["task"] for note in house.notes(one.tag))
            assert ran == one.runs, f"{one.tag}: {one.code}"


def _tagged(caller: Environment, is_waiting: bool) -> list[Idiom]:
    tagged = list(idioms())
    for one in tagged:
        one.tag += f" {caller.name} {is_waiting}"
    return tagged


def _signatures(house: CanvasHouse, idiom: Idiom, is_waiting: bool) -> dict[str, object]:
    """An idiom's code and its signatures, which a caller with another release may read."""
    app = Celery("signatures")
    made = {name: house.task(app, name, idiom.tag) for name in NAMES}
    made["job"] = (house.waiting if is_waiting else house.call)(app, idiom.account)
    made["other"] = house.call(app, idiom.account)
    return {"code": idiom.code, "signatures": {name: dict(one) for name, one in made.items()}}
