"""A night in which one entry of the provider's list is odd: the other recordings are archived."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY as DAY
from .recent_days import ZONE
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

_NOON = datetime.combine(DAY, time(12), ZoneInfo(ZONE))
NOON = _NOON.isoformat()
Deploy = Callable[..., Deployment]


def archived_night(
    deploy: Deploy, account: Any, **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """The manifest of a night's run, its lines, and what the caller of the run was told."""
    nightly = {"catchup_days": 1, "timezone": ZONE}
    house = deploy(account_toml("india", account.configuration(), nightly), **options)
    house.worker()
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        ended = asked.get(timeout=60, propagate=False)
    folder = eventually(
        lambda: list(house.archive.glob("india/exports/*/*/*/*/manifest.json")),
        what=f"no manifest came: {ended}",
    )[0].parent
    lines = (folder / "recordings.jsonl").read_bytes().decode("utf-8").splitlines()
    manifest = json.loads(Path(folder / "manifest.json").read_text("utf-8"))
    return manifest, [json.loads(line) for line in lines], str(ended)


def test_optional_fields_cost_nothing(
    deploy: Deploy, simulators: Simulators, postgres: Postgres
) -> None:
    """Names that are no UTF-8 or end in half a letter, zero dates, empty sizes, fields of another
    type: the day is complete, and each is kept as it was sent, whatever PostgreSQL can store.
    """
    account = simulators.vonage.account(ready_after_polls=0, text_encoding="utf-8")
    account.seed(DAY, ZONE, 2)
    odd: list[dict[str, Any]] = [
        {"cnam": "half a lette\udcc3"},
        {"cnam": "MU\udcd1OZ"},
        {"cnam": "a\u0000b"},
        {"cnam": {"first": "ASHA"}},
        {"end": "0000-00-00T00:00:00+0000"},
        {"end": 1794306600000},
        {"file_size_in_bytes": 0},
        {"file_size_in_bytes": "abc"},
        {"file_size_in_bytes": -1},
        {"duration": "PT60S"},
        {"extensions": {"a": 1}},
    ]
    made = [account.add({"start": NOON, "listed": listed})["id"] for listed in odd]
    with postgres.database() as url:
        manifest, lines, told = archived_night(deploy, account, ledger_url=url)

    assert (manifest["complete"], manifest["missing"]) == (True, 0), told
    found = {line["id"]: line for line in lines}
    shown = [found[str(number)] for number in made]
    assert [one["cnam"] for one in shown[:4]] == [
        "half a lette\ufffd",
        "MUÑOZ",
        "a\u0000b",
        {"first": "ASHA"},
    ]
    assert [one["end"] for one in shown[4:6]] == ["0000-00-00T00:00:00+0000", 1794306600000]
    assert [one["file_size_in_bytes"] for one in shown[6:9]] == [0, None, None]
    assert shown[7]["unreadable"] == {"file_size_in_bytes": "abc"}
    assert shown[9]["unreadable"] == {"duration": "PT60S"}


def test_an_entry_without_id_or_start_is_missing_by_name(
    deploy: Deploy, simulators: Simulators
) -> None:
    """It is set aside and named; every other recording is archived, and the day is incomplete."""
    account = simulators.vonage.account(ready_after_polls=0)
    account.seed(DAY, ZONE, 3)
    late = account.add({"start": NOON, "listed": {"start": "20261110103000Z"}})
    account.add({"start": NOON, "listed": {"id": None}})
    manifest, lines, told = archived_night(deploy, account)

    assert (manifest["listed"], manifest["archived"], manifest["missing"]) == (5, 3, 2)
    assert not manifest["complete"]
    aside = {line["id"]: line for line in lines if line.get("missing")}
    assert aside[str(late["id"])]["unreadable"]["start"] == "20261110103000Z"
    (nameless,) = (name for name in aside if name.startswith("unreadable-"))
    assert f"{late['id']} (its start cannot be read" in told
    noon = f"{_NOON.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert f"{nameless} (it has no id that can be read; start {noon}" in told


def test_a_list_in_another_encoding(deploy: Deploy, simulators: Simulators) -> None:
    """An answer that is Latin-1 as a whole costs no name and no day."""
    account = simulators.vonage.account(ready_after_polls=0, text_encoding="latin-1")
    account.add({"start": NOON, "cnam": "Peña & Núñez"})
    manifest, lines, told = archived_night(deploy, account)

    assert manifest["complete"], told
    assert [line["cnam"] for line in lines] == ["Peña & Núñez"]


def _store(simulators: Simulators, *, named: bool) -> str:
    """The same machine under another name; over TLS where it is not to be reached anyway."""
    place = simulators.url.replace("127.0.0.1", "localhost")
    return place if named else place.replace("http:", "https:")


@pytest.mark.parametrize("hosts", [["localhost"], []])
def test_files_that_lie_in_a_store(
    deploy: Deploy, simulators: Simulators, hosts: list[str]
) -> None:
    """A redirect to a host that the account names is followed, without our token; one to a private
    address that nobody named fails at once and says so.
    """
    account = simulators.vonage.account(
        ready_after_polls=0, store=_store(simulators, named=bool(hosts))
    )
    account.seed(DAY, ZONE, 2)
    fields = {**account.configuration(), "download_hosts": hosts}
    house = deploy(account_toml("india", fields, {"catchup_days": 1, "timezone": ZONE}))
    house.worker()
    with house.producer() as app:
        asked = house.send(app, "export.run", account="india", day=DAY.isoformat())
        ended = asked.get(timeout=60, propagate=False)
    if hosts:
        assert ended["archived"] == 2, ended
    else:
        assert "2 of 2 recordings missing" in str(ended)
        assert "not a public address" in str(ended)
    log = "".join(path.read_text() for path in house.folder.glob("*.log"))
    assert "signature-" not in log + str(ended)
