"""The tests depend on nothing in their caller's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import page_packages
from .conftest import KEPT
from .deployment import ROOT

pytestmark = pytest.mark.long


#: What a developer's shell, a CI runner or a colleague's dotfiles may set.
HOSTILE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_PROFILE": "somebody",
    "CELERY_BROKER_URL": "amqp://127.0.0.1:1",
    "COLUMNS": "20",
    "EARWITNESS_REDIS_URL": "redis://127.0.0.1:1",
    "FLOWER_PORT": "1",
    "FORCE_COLOR": "1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "LC_ALL": "tr_TR.UTF-8",
    "NPM_CONFIG_REGISTRY": "http://127.0.0.1:1",
    "PGHOST": "127.0.0.1",
    "PGPORT": "1",
    "PIP_INDEX_URL": "http://127.0.0.1:1",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "TZ": "Pacific/Auckland",
    "http_proxy": "http://127.0.0.1:1",
}


def test_only_what_is_kept_reaches_a_test() -> None:
    """A test sees the path, the home, the folder for temporary files and pytest's own variables."""
    look = "import os, tests.conftest; print(*os.environ)"
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT,
        env={**os.environ, **HOSTILE, "PYTEST_OF_OURS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = {name for name in done.stdout.split() if not name.startswith("PYTEST_")}
    assert seen <= KEPT
    assert "PYTEST_OF_OURS" in done.stdout


def test_tests_pass_in_a_hostile_environment() -> None:
    """Settings, proxies, a locale, a time zone and package indexes of the caller change nothing."""
    chosen = ["tests/test_settings.py", "tests/test_logging.py", "tests/test_windows.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not soak", *chosen],
        cwd=ROOT,
        env={**os.environ, **HOSTILE},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_a_registry_that_is_away_is_named_in_a_sentence(tmp_path: Path) -> None:
    """Where no registry answers, the set-up says what could not be fetched, and ends well."""
    nowhere = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_RETRIES": "0",
        "npm_config_fetch_retries": "0",
        "npm_config_registry": "http://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.page_packages", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("wheels", "npm", "asyncapi", "pyright"):
        assert f"({name}) could not be fetched: " in done.stderr
    assert "are skipped" in done.stderr
    assert not page_packages.wheels(tmp_path).fetched
    assert not page_packages.npm_cache(tmp_path).fetched
    assert not page_packages.asyncapi_parser(tmp_path).fetched
    assert not page_packages.pyright(tmp_path).fetched
