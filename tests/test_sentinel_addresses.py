"""Addresses of Redis behind Sentinel: read alike by the worker and by the client library."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import sentinels
from config.addresses import celery_address
from config.exported import exported_settings, secrets_left_out
from config.settings import Settings
from earwitness_client import Earwitness, InvalidArgument
from earwitness_client.addresses import read_address

ROOT = Path("/srv")
_OPTIONS = "?master_name=my&sentinel_username=s&sentinel_password=a%2Bb"
OURS = f"sentinel://u:p%2Fw@h1:26379,h2:26380,[::1]:26379/3{_OPTIONS}"
#: The same as others write it.
SAME = [
    OURS,
    f"sentinel://u:p%2Fw@h1,h2:26380,[::1]/3{_OPTIONS}",
    f"sentinel://u:p%2Fw@h1:26379/3;sentinel://u:p%2Fw@h2:26380/3;sentinel://[::1]:26379{_OPTIONS}",
]


@pytest.mark.parametrize("url", SAME)
def test_the_worker_reads_kombus_list_and_ours(url: str) -> None:
    """Every sentinel with its port, the master's name, the database and both passwords."""
    complete = sentinels.complete_address(url, ROOT)
    assert complete == OURS
    named = sentinels.read(complete)
    assert named.hosts == (("h1", 26379), ("h2", 26380), ("::1", 26379))
    assert (named.master_name, named.database) == ("my", 3)
    assert (named.username, named.password) == ("u", "p/w")
    assert (named.sentinel_username, named.sentinel_password) == ("s", "a+b")
    assert not {"p/w", "a+b"} & set(repr(named).split("'"))


@pytest.mark.parametrize("url", SAME)
def test_the_client_library_reads_the_same(url: str) -> None:
    """And names the place without a user or a password."""
    address = read_address(url, "")
    assert address.sentinels is not None
    assert address.sentinels.hosts == (("h1", 26379), ("h2", 26380), ("::1", 26379))
    assert address.sentinels.options == {"username": "s", "password": "a+b"}
    assert (address.options["username"], address.options["password"]) == ("u", "p/w")
    assert address.place("q") == "my at h1:26379,h2:26380,::1:26379, database 3, queue q"


def test_celery_is_told_one_sentinel() -> None:
    """A list would reach Flower with its passwords; our channel knows the others."""
    assert celery_address(OURS) == "sentinel://u:p%2Fw@h1:26379/3"


def test_tls_checks_certificates() -> None:
    """Unless the address says otherwise, of the server and of the sentinels."""
    url = "sentinels://h1,h2?master_name=my"
    complete = sentinels.complete_address(url, ROOT)
    assert complete == "sentinels://h1:26379,h2:26379/0?master_name=my&ssl_cert_reqs=required"
    options = sentinels.read(complete).connection_options
    assert (options["ssl"], options["ssl_cert_reqs"].name) == (True, "CERT_REQUIRED")
    client = read_address(f"{url}&ssl_check_hostname=false", "")
    assert client.sentinels is not None
    assert client.sentinels.options["ssl"] is True
    assert client.sentinels.options["ssl_check_hostname"] is False


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://h1",
        "sentinel://h1,,h2?master_name=my",
        "sentinel://h1:99999?master_name=my",
        "sentinel://h1/x?master_name=my",
        "sentinel://h1;redis://h2?master_name=my",
        "sentinel://:a@h1;sentinel://:b@h2?master_name=my",
        "sentinel://h1?master_name=my&other=1",
        "sentinel://h1?master_name=my&ssl_cert_reqs=none",
    ],
)
def test_the_client_library_refuses_what_is_wrong(url: str) -> None:
    """At once, with the field's name and without the address."""
    with pytest.raises(InvalidArgument, match="not done: url: ") as caught:
        Earwitness(url)
    assert url not in str(caught.value)


def test_both_passwords_are_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No log may show them, and a backup of the settings leaves them out."""
    accounts = tmp_path / "accounts.toml"
    accounts.touch()
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(accounts))
    monkeypatch.setenv("EARWITNESS_REDIS_URL", OURS)
    made = Settings(_env_file=None)
    assert {"p/w", "a+b", OURS} <= set(made.secret_values())
    exported = exported_settings(made)
    assert "master_name=my" in exported
    assert not [one for one in ("p%2Fw", "p/w", "a%2Bb", "a+b") if one in exported]
    assert "the password in EARWITNESS_REDIS_URL" in secrets_left_out(made)
