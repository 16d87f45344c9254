"""compose.yaml, the Dockerfile and the lock of production: what they promise, read from them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import ROOT, Settings
from worker.commands.cli import COMMANDS

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("worker", "downloads", "beat", "hooks", "flower")
PINNED = re.compile(r"\$\{\w+:-([\w./-]+:\d+\.\d+(\.\d+)?[\w.-]*)\}")
A_LOCKED = re.compile(r"^(\S+)==(\S+)([^\n]*(?:\n    --hash=\S+(?: \\)?)+)", re.MULTILINE)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_little(name: str) -> None:
    """No service runs as root, writes to its own file system, gains rights, or takes all of the
    host; each is looked at, started again, and its logs end somewhere.
    """
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["init"] is True
    assert "stop_grace_period" in service
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert "privileged" not in service
    assert "depends_on" not in service  # each waits for Redis and the ledger itself


@pytest.mark.parametrize("name", OURS)
def test_each_of_ours_is_judged_by_its_own_health_command(name: str) -> None:
    """The health check is ``python -m worker health`` of this very service, and one that waits for
    its timeouts is still in time: whoever stops doing its work is found within a minute and a half.
    """
    check = SERVICES[name]["healthcheck"]
    assert "health" in COMMANDS
    assert check["test"] == ["CMD", "python", "-m", "worker", "health", name]


def test_what_is_published() -> None:
    """Only hooks and Flower are reached from outside, Flower from this host alone; Redis and
    PostgreSQL stand in a network that leads nowhere.
    """
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"hooks", "flower"}
    assert all(":-127.0.0.1:" in port for port in published["flower"])
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("redis", "postgres"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_every_queue_has_its_worker() -> None:
    """Short actions and transfers are apart, and together they consume every queue."""
    taken = {
        name: set(SERVICES[name]["command"][SERVICES[name]["command"].index("-Q") + 1].split(","))
        for name in ("worker", "downloads")
    }
    assert taken == {"worker": {FRONT_DOOR, DUE}, "downloads": {DOWNLOADS}}


def test_settings_are_settings_and_no_secret_is_among_them() -> None:
    """Every EARWITNESS_ name is one that the program knows; passwords are files."""
    known = {f"EARWITNESS_{field}".upper() for field in Settings.model_fields}
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            assert not name.startswith("EARWITNESS_") or name in known
            assert "PASSWORD" not in name or name.endswith("_FILE")
            assert "AUTH" not in name or name.endswith("_FILE")
            assert "@" not in str(value)


def test_images_are_pinned() -> None:
    """Each image that is not ours is named with its version, the same in both files."""
    for name in ("redis", "postgres"):
        assert PINNED.fullmatch(SERVICES[name]["image"])
    python = PINNED.fullmatch(SERVICES["worker"]["build"]["args"]["PYTHON"])
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert python
    assert f"ARG PYTHON={python[1]}\n" in dockerfile
    assert "--require-hashes" in dockerfile
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)


def test_only_the_demo_has_simulators() -> None:
    """The simulated providers, and anything else of tests/, come with the profile `demo` alone."""
    assert {name for name, one in SERVICES.items() if "profiles" in one} == {"simulators"}
    assert SERVICES["simulators"]["profiles"] == ["demo"]
    production, _, demo = (ROOT / "Dockerfile").read_text().partition("FROM earwitness AS demo")
    assert "tests/" not in production
    assert "tests/simulators/" in demo


def test_the_build_is_given_all_that_it_copies() -> None:
    """.dockerignore lets through what the Dockerfile copies, and the image has `earwitness`."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    given = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {Path(one).parts[0] for one in copied} == given
    assert "install -m 755 worker/earwitness /app/.venv/bin/" in dockerfile
    assert "ENV PATH=/app/.venv/bin:" in dockerfile


def _locked(name: str) -> dict[str, tuple[str, str]]:
    text = (ROOT / name).read_text()
    return {found[1]: (found[2], found[3]) for found in A_LOCKED.finditer(text)}


def test_production_has_what_it_needs_and_no_more() -> None:
    """requirements.runtime.lock holds the packages that pyproject.toml asks for and what these need
    in turn, each as requirements.lock has it, and none of the tests' packages.
    """
    everything, production = _locked("requirements.lock"), _locked("requirements.runtime.lock")
    assert production.items() <= everything.items()
    missing, surplus = _needed() - set(production), set(production) - _needed()
    assert not missing
    # What only other systems or older Pythons need is not installed here, so nothing asks for it.
    assert all(not _installed(name) for name in surplus)


def _needed() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed
    waiting = [Requirement(one) for one in re.findall(r'"([^"]+)"', listed[1])]
    seen: set[str] = set()
    asked: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) in asked or not _installed(name):
                continue
            asked.add((name, extra))
            seen.add(name)
            for line in requires(name) or ():
                below = Requirement(line)
                if below.marker is None or below.marker.evaluate({"extra": extra}):
                    waiting.append(below)
    return seen


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def test_secrets_are_made_once_and_fit_each_other(tmp_path: Path) -> None:
    """The script makes different passwords, which stand in the servers' files and in the addresses
    alike, lets nobody else into the folder, and leaves alone what is there.
    """
    folder = tmp_path / "containers"
    folder.mkdir()
    for name in ("secrets.sh", "accounts.demo.toml"):
        (folder / name).write_bytes((ROOT / "containers" / name).read_bytes())
    run = ["sh", str(folder / "secrets.sh"), "--demo"]
    subprocess.run(run, check=True, capture_output=True)
    made = tmp_path / "secrets"
    contents = {path: path.read_text().strip() for path in made.rglob("*") if path.is_file()}
    redis = contents[made / "redis.conf"].removeprefix("requirepass ")
    postgres = contents[made / "postgres_password"]
    flower = contents[made / "flower_basic_auth"].partition(":")[2]
    ours = made / "earwitness"
    assert contents[ours / "earwitness_redis_url"] == f"redis://:{redis}@redis:6379/0"
    ledger = f"postgresql://earwitness:{postgres}@postgres/earwitness"
    assert contents[ours / "earwitness_ledger_url"] == ledger
    assert len({redis, postgres, flower}) == 3
    assert min(map(len, (redis, postgres, flower))) >= 48
    assert made.stat().st_mode & 0o777 == 0o700

    again = subprocess.run(run, check=True, capture_output=True)
    assert again.stdout == b""
    assert {path: path.read_text().strip() for path in contents} == contents


def test_the_bill_of_materials_names_what_runs(tmp_path: Path) -> None:
    """`make sbom` writes every package of what runs, with its version, as CycloneDX."""
    target = tmp_path / "sbom.cdx.json"
    recipe = subprocess.run(
        ["make", "-n", "sbom"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = [
        one for one in recipe.stdout.replace("\\\n", " ").splitlines() if "cyclonedx-py" in one
    ]
    program, *words = line.replace("sbom.cdx.json", str(target)).split()
    command = [str(Path(sys.executable).with_name(Path(program).name)), *words]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    content = json.loads(target.read_text())
    assert content["bomFormat"] == "CycloneDX"
    named = {one["name"]: one["version"] for one in content["components"]}
    locked = _locked("requirements.runtime.lock")
    assert {canonicalize_name(name): one for name, one in named.items()} == {
        canonicalize_name(name.partition("[")[0]): found[0] for name, found in locked.items()
    }
