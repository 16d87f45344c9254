"""``export --wait``: what a person sees of an export, from its creation to its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .simulators.doors import AccountDoor

SPAN = ["--account", "india", "--from", str(YESTERDAY), "--to", str(YESTERDAY)]


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """An account at the simulated provider."""
    return simulators.vonage.account()


@pytest.fixture
def house(deploy: Callable[..., Deployment], account: AccountDoor) -> Deployment:
    """A deployment with a worker and without beat."""
    house = deploy(account_toml("india", account.configuration(), {"timezone": ZONE}))
    house.worker()
    return house


def test_an_export_is_followed_to_its_manifest(house: Deployment, account: AccountDoor) -> None:
    """The polls with their reason, the transfer's bytes, rate and time left, then how many were
    archived and where the manifest lies; asked again, the same day is not exported again.
    """
    account.seed(YESTERDAY, ZONE, 6, size_bytes=200_000)
    # The command looks at the jobs every now and then, so each state has to last for a while.
    account.configure(bytes_per_second=120_000, ready_after_polls=5)
    done = house.run("export", *SPAN, "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert "not ready" in done.stdout
    transfers = [line for line in done.stdout.splitlines() if "transfer: " in line]
    assert any("kB/s" in line and "s left" in line for line in transfers)
    assert "archived 6 of 6 recordings" in done.stdout
    (path,) = [line.rpartition("manifest: ")[2] for line in done.stdout.splitlines()[-1:]]
    assert json.loads(Path(path).read_text())["complete"] is True
    assert house.run("verify").returncode == 0, "it was told as done before it was sealed"
    again = house.run("export", *SPAN, "--wait", "--json")
    assert again.returncode == 0
    (job,) = json.loads(again.stdout)
    assert (job["state"], job["result"]["archived"]) == ("done", 6)
    assert len(account.jobs()) == 1
    covered = house.run("coverage", *SPAN)
    assert (covered.returncode, covered.stdout.count("complete, 6 of 6")) == (0, 1)


def test_what_is_missing_is_named(house: Deployment, account: AccountDoor) -> None:
    """A recording that the provider keeps back ends the command with status 1 and its name; once
    it is there, the next export of the day completes it.
    """
    listed = account.seed(YESTERDAY, ZONE, 4)
    account.withhold(listed[2]["id"], from_="everywhere")
    done = house.run("export", *SPAN, "--wait")
    assert done.returncode == 1
    assert "archived 3 of 4 recordings" in done.stdout
    assert str(listed[2]["id"]) in done.stdout
    covered = house.run("coverage", *SPAN)
    assert covered.returncode == 1
    assert "incomplete 3 of 4" in covered.stdout
    account.release(listed[2]["id"])
    assert house.run("export", *SPAN, "--wait").returncode == 0
    assert "complete, 4 of 4" in house.run("coverage", *SPAN).stdout


def test_a_failed_day_is_retried_by_hand(house: Deployment, account: AccountDoor) -> None:
    """``retry`` of an incomplete day opens the day's next generation."""
    listed = account.seed(YESTERDAY, ZONE, 2)
    account.withhold(listed[0]["id"], from_="everywhere")
    assert house.run("export", *SPAN, "--wait").returncode == 1
    account.release(listed[0]["id"])
    again = json.loads(house.run("retry", f"day:{YESTERDAY}#1", "--json").stdout)
    assert again["request_id"] == f"day:{YESTERDAY}#2"
    assert house.run("export", *SPAN, "--wait").returncode == 0
    assert json.loads(house.run("show", again["job_id"], "--json").stdout)["state"] == "done"


def test_the_archive_is_searched_and_verified_where_it_is_configured(
    house: Deployment, account: AccountDoor, tmp_path: Path
) -> None:
    """``verify``, ``find`` and ``extract`` without a folder mean the configured archive; what comes
    out of it is what the provider serves, byte for byte.
    """
    listed = account.seed(YESTERDAY, ZONE, 3)
    assert house.run("export", *SPAN, "--wait").returncode == 0
    assert house.run("verify").stdout.splitlines()[-1].startswith("verify: ok")
    found = json.loads(house.run("find", "--account", "india", "--json").stdout)
    assert {hit["line"]["id"] for hit in found} == {str(one["id"]) for one in listed}
    wanted = str(listed[1]["id"])
    done = house.run("extract", wanted, "--to", str(tmp_path / "out"), "--json")
    audio = next(path for path in json.loads(done.stdout) if path.endswith(".mp3"))
    assert hashed(Path(audio)) == account.sha256(wanted)


def hashed(path: Path) -> str:
    """A file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
