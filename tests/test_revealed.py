"""Whole numbers are shown only with ``--reveal``, and the ledger notes it first; short secrets are
warned of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .archives import Builder, recording
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

SHORT = "callto7"
CALLER, PBX_CALLER = "17325550101", "15551234567"


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Deployment:
    """A deployment with a call that continues and a short password."""
    app = simulators.voipnow.account()
    app.begin_call(other=PBX_CALLER)
    vonage = simulators.vonage.account(username="india@vbc.prod", password=SHORT)
    return deploy(
        account_toml("pbx", app.configuration()) + account_toml("india", vonage.configuration())
    )


@pytest.fixture
def kept(house: Deployment) -> Deployment:
    """The same, with a recording in its archive."""
    house.ledger.identity.prepare()
    Builder(house.folder, house.store).single("india", recording(101))
    return house


def revealed(house: Deployment) -> list[tuple[str, str]]:
    """Who was shown people's data, and which."""
    with closing(sqlite3.connect(house.folder / "ledger.sqlite3")) as connection:
        rows = connection.execute("SELECT by, why FROM audit WHERE to_state = 'revealed'")
        return rows.fetchall()


def test_numbers_are_shown_once_it_is_noted(kept: Deployment, tmp_path: Path) -> None:
    """``find`` and ``calls`` mask, and with ``--reveal`` show what they have noted in the ledger,
    also where the configured archive is named; another archive has no ledger.
    """
    archive = str(kept.archive)
    asked = {
        CALLER: [["find"], ["find", "--json"], ["find", "--archive", archive]],
        PBX_CALLER: [["calls", "--account", "pbx"], ["calls", "--account", "pbx", "--json"]],
    }
    for number, commands in asked.items():
        for command in commands:
            before = len(revealed(kept))
            masked = kept.run(*command)
            assert (masked.returncode, masked.stderr) == (0, ""), command
            assert f"***{number[-3:]}" in masked.stdout
            assert number not in masked.stdout
            assert len(revealed(kept)) == before
            whole = kept.run(*command, "--reveal")
            assert (whole.returncode, whole.stderr) == (0, ""), command
            assert number in whole.stdout
            assert len(revealed(kept)) == before + 1, command
    assert all("@" in by for by, _ in revealed(kept))
    assert {why for _, why in revealed(kept)} == {
        "find showed 1 recording in clear",
        "1 call of account pbx was shown in clear",
    }
    before = len(revealed(kept))
    other = Builder(tmp_path / "other")
    other.single("india", recording(101))
    shown = kept.run("find", "--archive", str(other.root), "--reveal")
    assert CALLER in shown.stdout
    assert "no ledger" in shown.stderr
    assert len(revealed(kept)) == before


def test_nothing_is_shown_where_it_cannot_be_noted(kept: Deployment) -> None:
    """Without a ledger ``--reveal`` is one error."""
    kept.run("find")
    ledger = kept.folder / "ledger.sqlite3"
    ledger.unlink(missing_ok=True)
    ledger.mkdir()
    for command in (["find"], ["calls", "--account", "pbx"]):
        refused = kept.run(*command, "--reveal")
        assert (refused.returncode, refused.stdout) == (1, ""), command
        assert refused.stderr.startswith("earwitness: ")


def test_short_secrets_are_warned_of_by_name(house: Deployment) -> None:
    """At a worker's start and by ``doctor``, once, and never by what they are."""
    named = "accounts.india.password is shorter than 8 characters"
    worker = house.worker()
    eventually(lambda: named in worker.log(), what="the worker did not warn")
    assert worker.log().count(named) == 1
    assert SHORT not in worker.log()
    examined = house.run("doctor", "--json")
    found = [one for one in json.loads(examined.stdout) if one["subject"] == "secrets"]
    assert [one["level"] for one in found] == ["warning"]
    assert found[0]["meaning"].startswith(named)
    assert SHORT not in examined.stdout + examined.stderr
