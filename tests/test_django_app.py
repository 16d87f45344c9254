"""``earwitness_client.django`` with each release of Django that is supported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from .caller_environments import ENVIRONMENTS, NEWEST, Environment
from .deployment import ROOT, Deployment, machine
from .pages import need_environment
from .producer_house import producer_house
from .servers import Postgres, Valkey
from .simulators import Simulators

PROJECT = ROOT / "tests" / "django_project"
#: `make test` has the newest release beside our own, `make soak` the others.
RELEASES = [
    one if one is NEWEST else pytest.param(one, marks=pytest.mark.soak)
    for one in ENVIRONMENTS
    if "django" in one.name
]


def run_promises(python: Path | str, pattern: str, folder: Path, **environment: str) -> None:
    """Run the tests in files of the project, and fail with what they print."""
    folder.mkdir()
    surroundings = {
        **machine(),
        "PYTHONPATH": str(ROOT / "client" / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PROJECT_FOLDER": str(folder),
        **environment,
    }
    done = subprocess.run(
        [python, "-W", "error", "manage.py", "test", "--pattern", pattern],
        cwd=PROJECT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nOK" in done.stderr, done.stderr


def test_our_release(valkey: Valkey, tmp_path: Path) -> None:
    """What the application promises holds with the Django and Celery of our own environment."""
    run_promises(sys.executable, "*promises.py", tmp_path / "site", REDIS_URL=valkey.url)


@pytest.mark.soak
def test_on_postgresql(valkey: Valkey, postgres: Postgres, tmp_path: Path) -> None:
    """The same holds on PostgreSQL, which orders what happens at the same time differently."""
    address = make_url(postgres.url("postgres"))
    environment = {
        "POSTGRES_USER": str(address.username),
        "POSTGRES_HOST": str(address.query["host"]),
        "POSTGRES_NAME": f"django_{tmp_path.parent.name}_{os.getpid()}".replace("-", "_"),
    }
    run_promises(
        sys.executable, "*promises.py", tmp_path / "site", REDIS_URL=valkey.url, **environment
    )


@pytest.mark.parametrize("caller", RELEASES, ids=lambda one: one.name)
def test_other_releases(caller: Environment, valkey: Valkey, tmp_path: Path) -> None:
    """The same holds with the other supported releases, on the Python that they need."""
    need_environment(caller)
    run_promises(caller.python, "*promises.py", tmp_path / "site", REDIS_URL=valkey.url)


def test_with_a_worker(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path
) -> None:
    """What was not heard of is asked for: ends, failures, refusals, lost requests; a failed job is
    retried from the admin. A call is placed once for each request id.
    """
    house = producer_house(deploy, simulators)
    environment = {"REDIS_URL": house.deployment.valkey.url, "MISSING": "404404"}
    run_promises(sys.executable, "promises_with_a_worker.py", tmp_path / "site", **environment)
    assert house.placed() == 2
