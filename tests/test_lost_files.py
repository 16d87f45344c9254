"""A file of the archive is lost, the ledger is not: it is seen; one command fetches it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.verify.verification import verify
from ledger.core import states

from .deployment import Deployment
from .simulators import Simulators
from .vouched_house import FIRST, SECOND, WHO, VouchedHouse
from .waiting import eventually

Deploy = Callable[..., Deployment]
SPAN = ("--account", "india", "--from", str(FIRST), "--to", str(FIRST))
DAY = f"india/exports/{FIRST:%Y/%m/%d}/*"


def is_seen(vouched: VouchedHouse, path: Path) -> None:
    """Every command that speaks of the archive says that a file of the first day is gone."""
    name = str(path.relative_to(vouched.root))
    status, days = vouched.coverage()
    assert (status, days[str(FIRST)]) == (1, "damaged")
    assert any(name in meaning for meaning in vouched.doctor())
    checked = vouched.house.run("verify")
    assert (checked.returncode, name in checked.stdout) == (1, True)
    compared = vouched.house.run("archive", "--json")
    assert compared.returncode == 1
    assert vouched.day().state == states.DAY_DAMAGED
    assert vouched.open_causes() == [f"day:india:{FIRST}"]


@pytest.mark.parametrize(
    "lost", [f"{DAY}/*.zip", f"{DAY}/manifest.json", f"{DAY}/recordings.jsonl"]
)
def test_a_day_that_lost_a_file_is_damaged_and_exported_again(
    deploy: Deploy, simulators: Simulators, lost: str
) -> None:
    """Given back, the day is complete again. Not given back, ``export`` opens it though it is done,
    and so does a caller's ``export.run``; afterwards it does without the lost file.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        vouched.begin(app)
        path = next(iter(vouched.root.glob(lost)))
        content = path.read_bytes()
        path = vouched.lose(lost)
        is_seen(vouched, path)

        path.write_bytes(content)
        assert house.run("archive").returncode == 0
        assert (vouched.day().state, vouched.open_causes()) == (states.DAY_COMPLETE, [])

        path.unlink()
        done = house.run("export", *SPAN, "--wait")
        assert (done.returncode, "archived 3 of 3" in done.stdout) == (0, True), done.stdout
        told = vouched.export(app, FIRST)
        assert (vouched.root / told["manifest"]).exists()
        vouched.owes_nothing()
        assert vouched.coverage()[1][str(FIRST)] == "complete"
        assert house.run("archive").returncode == 0
        assert vouched.doctor() == []
        assert vouched.open_causes() == []

        # What it does without is not forgiven a second time.
        (again,) = vouched.root.glob(
            f"{DAY.removesuffix('/*')}/{vouched.day().job_id}/manifest.json"
        )
        again.unlink()
        assert vouched.export(app, FIRST)["archived"] == 3
        assert vouched.day().generation == 3


def test_a_zip_that_was_cut_short_is_as_bad_as_a_lost_one(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A size that is not the one that was archived shows without reading the file."""
    vouched = VouchedHouse(deploy, simulators)
    with vouched.house.producer() as app:
        vouched.begin(app)
        (path,) = vouched.root.glob(f"{DAY}/*.zip")
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1])
        is_seen(vouched, path)
        assert vouched.export(app, FIRST)["archived"] == 3
        assert vouched.coverage()[1][str(FIRST)] == "complete"


def test_a_recording_that_was_fetched_singly_is_fetched_again(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Its audio takes its old place, since the bytes are the same; an alert is open until then."""
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        vouched.begin(app)
        path = vouched.lose("india/recordings/*/*/*/*.mp3")
        name = str(path.relative_to(vouched.root))
        assert any(name in meaning for meaning in vouched.doctor())
        done = house.run("archive", "--json")
        assert (done.returncode, json.loads(done.stdout)["gone"]) == (1, {"india": [name]})
        assert vouched.open_causes() == ["archive:lost:india"]
        (lost,) = house.ledger.alerts.all_open()
        missing = f"1 file of account india is missing from the archive ({name}); restore it from"
        assert lost["message"].startswith(missing)

        again = house.run("retry", "single", "--json")
        assert again.returncode == 0, again.stderr
        eventually(path.exists, what="it was not fetched again")
        vouched.owes_nothing()
        assert house.run("archive").returncode == 0
        assert vouched.open_causes() == []
        refused = house.run("retry", json.loads(again.stdout)["job_id"])
        assert (refused.returncode, "not failed" in refused.stderr) == (1, True)
    assert verify(house.store).problems == []


def test_a_receipt_is_written_once_more(deploy: Deploy, simulators: Simulators) -> None:
    """The ledger knows what it said: the same bytes come back, and no call is placed."""
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        vouched.begin(app)
        (path,) = vouched.root.glob("legal/certified-calls/*/*/*.json")
        content = path.read_bytes()
        path.unlink()
        done = house.run("archive")
        assert done.returncode == 1
        assert "legal: 1 other file is missing:\n" in done.stdout
        assert "\n1 receipt will be written again by a worker\n" in done.stdout
        eventually(path.exists, what="it was not written")
        vouched.owes_nothing()
        assert path.read_bytes() == content
        assert house.run("archive").returncode == 0
        assert vouched.open_causes() == []
    assert vouched.calls.placed() == 1
    assert verify(house.store).problems == []


@pytest.mark.parametrize("lost", ["newest entry", "name"])
def test_what_vouches_for_the_rest_is_missed(
    deploy: Deploy, simulators: Simulators, lost: str
) -> None:
    """Without the newest entry of a chain, or the file that says whose the archive is, no worker
    starts; accepted, the archive continues.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        worker = vouched.begin(app)
        if lost == "name":
            path = vouched.lose("ledger.json")
        else:
            path = max(vouched.root.glob("india/chain/*.json"))
            path.unlink()
        eventually(lambda: "archive:vanished" in vouched.open_causes(), what="nobody was told")
        assert worker.stop() == 0
        assert vouched.coverage()[0] == 1
        assert house.run("archive").returncode == 1
        said = vouched.refused("refused")
        assert ("ledger.json" if lost == "name" else "lacks entry") in said
        done = house.run("archive", "--accept", *WHO)
        assert done.returncode == 0, done.stderr
        house.worker("again")
        vouched.export(app, SECOND)
        vouched.owes_nothing()
        eventually(lambda: vouched.open_causes() == [], what="it is not over")
    assert verify(house.store).problems == []


def test_a_worker_s_start_finds_what_was_lost(deploy: Deploy, simulators: Simulators) -> None:
    """Nobody has to ask: people are alerted of the day by the first worker that starts, and no more
    once the file is back.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        assert vouched.begin(app).stop() == 0
    (path,) = vouched.root.glob(f"{DAY}/*.zip")
    content = path.read_bytes()
    path.unlink()
    worker = house.worker("second")
    eventually(lambda: vouched.open_causes() == [f"day:india:{FIRST}"], what="nobody was told")
    assert "missing from the archive" in eventually(
        lambda: worker.log() if "damaged" in worker.log() else "", what="no line in the log"
    )
    worker.stop()
    path.write_bytes(content)
    house.worker("third")
    eventually(lambda: vouched.open_causes() == [], what="it is not over")
    assert vouched.day().state == states.DAY_COMPLETE
