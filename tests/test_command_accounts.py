"""``accounts check``: credentials are tried, samples are kept, and nothing else is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .simulators.doors import AccountDoor

ZONE = "Asia/Kolkata"
YESTERDAY = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=1)
PBX = {
    "provider": "voipnow",
    "base_url": "https://pbx.example.com",
    "client_id": "x",
    "client_secret": "y",
}


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """An account at the simulated provider, with a few recordings."""
    account = simulators.vonage.account()
    account.seed(YESTERDAY, ZONE, 2)
    account.add({"start": f"{YESTERDAY}T12:00:00Z", "cnam": "María Gil"})
    return account


def test_each_account_is_ok_or_says_why(
    deploy: Callable[..., Deployment], simulators: Simulators, account: AccountDoor
) -> None:
    """One that works, one with a wrong password, one that this version has no client for; the
    status is 1, and neither ledger nor archive was made.
    """
    wrong = {**simulators.vonage.account().configuration(), "password": "sesame-wrong"}
    sections = {"india": account.configuration(), "branch": wrong, "pbx": PBX}
    house = deploy("\n".join(account_toml(alias, table) for alias, table in sections.items()))
    done = house.run("accounts", "check", "--json")
    assert done.returncode == 1
    outcomes = {one["account"]: one for one in json.loads(done.stdout)}
    assert [outcomes[alias]["outcome"] for alias in sections] == ["ok", "failed", "not tried"]
    assert outcomes["india"]["about"] == "3 recordings are listed"
    assert "login" in outcomes["branch"]["about"]
    assert "sesame" not in done.stdout + done.stderr
    assert {path.name for path in house.folder.iterdir()} == {"accounts.toml"}
    assert house.run("accounts", "check", "india").returncode == 0
    unknown = house.run("accounts", "check", "nobody")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)


def texts(value: Any) -> list[str]:
    """Every text and number in a sample."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [str(value)]


def test_samples_hold_every_exchange_and_nobodys_data(
    deploy: Callable[..., Deployment],
    simulators: Simulators,
    account: AccountDoor,
    tmp_path: Path,
) -> None:
    """A small export is run once; each request and answer becomes a file, in the order in which the
    provider saw them, without any secret, token, number, name or voice.
    """
    house = deploy(account_toml("india", account.configuration(), {}))
    done = house.run("accounts", "check", "india", "--record", str(tmp_path / "samples"))
    assert done.returncode == 0, done.stderr
    assert "1 of 1 parts" in done.stdout
    (export,) = simulators.log.exports()
    assert export["window"][0].startswith(str(YESTERDAY - timedelta(days=1)))
    files = sorted((tmp_path / "samples" / "india").iterdir())
    samples = [json.loads(path.read_text()) for path in files]
    seen = [entry for entry in simulators.log if entry.get("method")]
    assert [sample["request"]["method"] for sample in samples] == [e["method"] for e in seen]
    assert [sample["answer"]["status"] for sample in samples] == [e["status"] for e in seen]
    assert samples[0]["answer"]["json"]["access_token"] == "***"
    assert samples[1]["answer"]["json"]["_embedded"]["recordings"]
    assert samples[-1]["answer"]["zip_start"]["name"].endswith(".mp3")
    assert samples[-1]["answer"]["zip_start"].keys() == {"header", "name", "extra"}
    everything = "".join(path.read_text() for path in files)
    for secret in simulators.vonage.secrets():
        assert secret not in everything
        assert json.dumps(secret)[1:-1] not in everything
    for recording in account.recordings():
        for name in ("caller_id", "dnis", "cnam"):
            assert not recording[name] or str(recording[name]) not in everything
    bodies = [text for sample in samples for text in texts(sample["answer"].get("json", {}))]
    numbers = [text for text in bodies if re.fullmatch(r"\+?\d{7,}", text)]
    assert all(re.fullmatch(r"10+\d{3}", text) for text in numbers)


def test_a_failure_keeps_its_samples_too(
    deploy: Callable[..., Deployment], account: AccountDoor, tmp_path: Path
) -> None:
    """A provider that answers an error: the account failed, and the answer is kept to be read."""
    account.fault("list", "answer", times=None, status=500)
    house = deploy(account_toml("india", account.configuration()))
    done = house.run("accounts", "check", "--record", str(tmp_path / "samples"))
    assert done.returncode == 1
    assert str(tmp_path / "samples" / "india") in done.stdout
    last = max((tmp_path / "samples" / "india").iterdir())
    assert json.loads(last.read_text())["answer"]["status"] == 500
