"""One recording out of a large archive, as one hands it to a lawyer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from .deployment import Deployment, account_toml
from .simulators import Simulators

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
MB = 1_000_000


@pytest.mark.parametrize(
    "size",
    [pytest.param(8 * MB, id="8MB"), pytest.param(200 * MB, id="200MB", marks=pytest.mark.soak)],
)
def test_a_recording_comes_out_as_the_provider_serves_it(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path, size: int
) -> None:
    """Found by id, by number and by call; taken out byte for byte, with both numbers and times."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    account.seed(DAY, ZONE, 4, size_bytes=size // 4)
    wanted = account.recordings()[2]
    recording = str(wanted["id"])
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    house.worker()
    with house.producer() as app:
        house.send(app, "export.run", account="india", day=DAY.isoformat()).get(timeout=100)
    for option, value in (
        ("--recording", recording),
        ("--number", str(wanted["caller_id"])),
        ("--call-id", wanted["call_id"]),
    ):
        found = house.run("find", "--archive", str(house.archive), option, value, "--json")
        assert found.returncode == 0, found.stderr
        assert recording in found.stdout
    taken = house.run(
        "extract", recording, "--to", str(tmp_path / "taken"), "--archive", str(house.archive)
    )
    assert taken.returncode == 0, taken.stderr
    audio = (tmp_path / "taken" / f"{recording}.mp3").read_bytes()
    assert hashlib.sha256(audio).hexdigest() == account.sha256(recording)
    line = json.loads((tmp_path / "taken" / f"{recording}.json").read_text())
    assert line["caller_id"] == str(wanted["caller_id"])
    assert line["dnis"] == str(wanted["dnis"])
    assert line["start"].startswith("2026-11-10")
    assert line["end"].startswith("2026-11-10")
    assert (tmp_path / "taken" / "manifest.json").exists()
