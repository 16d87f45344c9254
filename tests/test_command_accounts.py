"""``accounts check``: credentials are tried, samples are kept, and nothing else is touched."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from .certificates import unknown
from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .servers import free_port
from .simulators import Simulators
from .simulators.doors import AccountDoor

CALLS = {
    "provider": "gsmblockchain",
    "username": "myuser",
    "password": "sesame-open",
    "timezone": "Europe/Madrid",
    "max_calls_per_day": 100,
    "max_seconds_per_call": 900,
    "countries": ["ES", "FR", "PT"],
}
PBX = {
    "provider": "voipnow",
    "base_url": "https://pbx.example.com",
    "client_id": "x",
    "client_secret": "y",
}


#: The other account needs a login of its own.
LAX = {"verify_tls": False, "username": "other"}


class Secure:
    """A server with a certificate of nobody known; what each client sent, None where it went
    away before TLS stood.
    """

    def __init__(self, folder: Path) -> None:
        self.read: list[bytes | None] = []
        self._context = unknown(folder, "localhost")
        self._listener = socket.create_server(("localhost", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            try:
                secured = self._context.wrap_socket(link, server_side=True)
            except OSError:
                self.read.append(None)
                continue
            with secured:
                try:
                    self.read.append(secured.recv(65536))
                except OSError:  # the client left before it had read what TLS sends it at the start
                    self.read.append(b"")

    def stop(self) -> None:
        """End it once every connection was served."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    """A server with TLS."""
    server = Secure(tmp_path)
    yield server
    with contextlib.suppress(OSError):
        server.stop()


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
    """One that works, one with a wrong password, one whose server nobody finds; the status
    is 1, and neither ledger nor archive was made.
    """
    wrong = {**simulators.vonage.account().configuration(), "password": "sesame-wrong"}
    sections = {"india": account.configuration(), "branch": wrong}
    sections["pbx"] = {**PBX, "base_url": "https://pbx.invalid"}
    house = deploy("\n".join(account_toml(alias, table) for alias, table in sections.items()))
    done = house.run("accounts", "check", "--json")
    assert done.returncode == 1
    outcomes = {one["account"]: one for one in json.loads(done.stdout)}
    assert [outcomes[alias]["outcome"] for alias in sections] == ["ok", "failed", "failed"]
    assert "could not be reached" in outcomes["pbx"]["about"]
    assert outcomes["india"]["about"] == "3 recordings are listed"
    assert "login" in outcomes["branch"]["about"]
    assert "sesame" not in done.stdout + done.stderr
    assert {path.name for path in house.folder.iterdir()} == {"accounts.toml"}
    assert house.run("accounts", "check", "india").returncode == 0
    unknown = house.run("accounts", "check", "nobody")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)


def test_an_account_for_calls_is_never_logged_in_to(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """The connection is tried and nothing else: no request reaches the platform, and it says that
    user and password are untried. A platform that nobody reaches has failed.
    """
    sections = {
        "legal": simulators.gsmblockchain.account().configuration(),
        "refused": {**CALLS, "base_url": f"http://127.0.0.1:{free_port()}"},
        "nowhere": {**CALLS, "base_url": "https://platform.invalid"},
    }
    house = deploy("\n".join(account_toml(alias, table) for alias, table in sections.items()))
    before = len(list(simulators.log))
    done = house.run("accounts", "check", "--json")
    assert done.returncode == 1
    found = {one["account"]: one for one in json.loads(done.stdout)}
    assert [found[alias]["outcome"] for alias in sections] == ["not tried", "failed", "failed"]
    assert all("every request is a paid call" in one["about"] for one in found.values())
    assert "a connection without TLS can be opened" in found["legal"]["about"]
    assert "refused" in found["refused"]["about"]
    assert "could not be looked up" in found["nowhere"]["about"]
    assert len(list(simulators.log)) == before
    assert house.run("accounts", "check", "legal").returncode == 0


def test_an_account_for_calls_needs_a_certificate_that_is_valid(
    deploy: Callable[..., Deployment], secure: Secure
) -> None:
    """TLS is part of the connection; with verify_tls = false any certificate will do. Neither time
    does the platform read a byte.
    """
    strict = {**CALLS, "base_url": f"https://localhost:{secure.port}"}
    house = deploy(account_toml("strict", strict) + account_toml("lax", {**strict, **LAX}))
    found = {
        one["account"]: one for one in json.loads(house.run("accounts", "check", "--json").stdout)
    }
    assert found["strict"]["outcome"] == "failed"
    assert "certificate verify failed" in found["strict"]["about"]
    assert found["lax"]["outcome"] == "not tried"
    assert found["lax"]["about"].startswith("a TLS connection can be opened")
    secure.stop()
    assert secure.read == [None, b""]


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
    house = deploy(account_toml("india", account.configuration(), {"timezone": ZONE}))
    done = house.run("accounts", "check", "india", "--record", str(tmp_path / "samples"))
    assert done.returncode == 0, done.stderr
    assert "1 of 1 part of an export" in done.stdout
    (export,) = simulators.log.exports()
    start = datetime.fromisoformat(export["window"][0])
    assert start == datetime.combine(YESTERDAY, time(), ZoneInfo(ZONE))
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
