"""An archive that is not there, or is an older copy, is seen; none is begun in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date

import pytest

from archive.verify.verification import verify
from ledger.core import states

from .deployment import Deployment
from .simulators import Simulators
from .vouched_house import FIRST, SECOND, WHO, VouchedHouse, copied, moved
from .waiting import eventually

Deploy = Callable[..., Deployment]


def test_a_folder_moved_under_a_worker_is_not_made_anew(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A running worker waits and tells people; its calls go on, their receipts are owed. Nothing is
    begun in the empty place, by no process; workers do not start, commands say so. Given back,
    everything goes on by itself.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        vouched.begin(app)
        elsewhere = moved(vouched.root)

        asked = house.send(app, "export.run", account="india", day=SECOND.isoformat())
        eventually(
            lambda: any(
                job.state == states.WAITING and "is not there" in (job.reason or "")
                for job in house.ledger.jobs.jobs(kind="export.run")
            ),
            what="the export does not wait for the archive",
        )
        eventually(lambda: "archive:vanished" in vouched.open_causes(), what="nobody was told")
        assert vouched.calls.ask(app, "meanwhile").get(timeout=60)["state"] == "done"
        said = vouched.refused("refused")
        for way_out in ("mount", "EARWITNESS_ARCHIVE_URL", "archive --begin"):
            assert way_out in said
        status, _ = vouched.coverage()
        assert status == 1
        assert "is not there" in house.run("coverage").stderr
        assert any("is not there" in meaning for meaning in vouched.doctor())
        assert house.run("verify").returncode == 1
        assert house.run("archive").returncode == 1
        assert not vouched.root.exists()

        # A mount point without its disk.
        vouched.root.mkdir()
        assert "is not there" in vouched.refused("mount-point")
        assert vouched.doctor()
        assert house.run("verify").returncode == house.run("archive").returncode == 1
        assert list(vouched.root.iterdir()) == []
        vouched.root.rmdir()

        elsewhere.rename(vouched.root)
        told = asked.get(timeout=60)
        assert (told["archived"], told["listed"]) == (3, 3)
        vouched.owes_nothing()
        eventually(lambda: vouched.open_causes() == [], what="it is not over")
    assert verify(house.store).problems == []
    assert vouched.coverage() == (
        0,
        {str(FIRST): "complete", _between(): "not due", str(SECOND): "complete"},
    )
    assert vouched.doctor() == []
    house.worker("second")


def _between() -> str:
    return str(date.fromordinal(FIRST.toordinal() + 1))


def test_an_older_copy_is_refused_until_somebody_accepts_it(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Its chains are shorter than the ledger knows. Accepted, what it lacks is damaged and exported
    once more, receipts are written once more, and the chain goes on without a fault.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        worker = vouched.begin(app)
        copy = copied(vouched.root, "copy")
        vouched.export(app, SECOND)
        vouched.calls.ask(app, "later").get(timeout=60)
        vouched.owes_nothing()
        assert worker.stop() == 0
        shutil.rmtree(vouched.root)
        copy.rename(vouched.root)

        said = vouched.refused("refused")
        assert "lacks entry" in said
        assert "archive --accept" in said
        assert any("lacks entry" in meaning for meaning in vouched.doctor())
        assert vouched.coverage()[0] == 1
        assert "lacks" in house.run("verify").stdout
        assert house.run("archive", "--accept").returncode == 2
        done = house.run("archive", "--accept", *WHO)
        assert (done.returncode, f"{SECOND}" in done.stdout) == (0, True), done.stderr
        assert vouched.day(SECOND).state == states.DAY_DAMAGED
        assert vouched.day(FIRST).state == states.DAY_COMPLETE

        house.worker("again")
        again = vouched.export(app, SECOND)
        assert (again["archived"], (vouched.root / again["manifest"]).exists()) == (3, True)
        vouched.owes_nothing()
        assert vouched.calls.placed() == 2
        assert vouched.calls.ask(app, "later").get(timeout=60)["state"] == "done"
        assert len(vouched.calls.receipts()) == 2
    assert verify(house.store).problems == []
    assert house.run("archive").returncode == 0
    history = house.ledger.jobs.history(house.ledger.identity.identity())
    assert (history[-1]["by"], "the disk was lost" in history[-1]["why"]) == ("ana", True)


def test_a_new_archive_is_begun_on_an_explicit_command_alone(
    deploy: Deploy, simulators: Simulators
) -> None:
    """In an empty place alone. Then every day is damaged and exported anew; receipts are written
    once more from the ledger.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        worker = vouched.begin(app)
        refused = house.run("archive", "--begin", *WHO)
        assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)
        assert worker.stop() == 0
        shutil.rmtree(vouched.root)
        accepted = house.run("archive", "--accept", *WHO)
        assert (accepted.returncode, "not an archive of this ledger" in accepted.stderr) == (
            1,
            True,
        )
        done = house.run("archive", "--begin", *WHO)
        assert done.returncode == 0, done.stderr
        assert vouched.day().state == states.DAY_DAMAGED

        house.worker("second")
        assert vouched.export(app, FIRST)["archived"] == 3
        eventually(lambda: len(vouched.calls.receipts()) == 1, what="no receipt was written")
        vouched.owes_nothing()
        assert vouched.calls.placed() == 1
    assert verify(house.store).problems == []


@pytest.mark.parametrize("mistake", ["emptied", "prefix", "bucket"])
def test_a_bucket_that_is_not_the_archive_is_refused(
    deploy: Deploy, simulators: Simulators, buckets: object, mistake: str
) -> None:
    """Emptied, under another prefix, or not there: no worker starts, and nothing is begun."""
    from .buckets import Buckets, emptied  # noqa: PLC0415

    assert isinstance(buckets, Buckets)
    bucket = buckets.bucket()
    url = f"s3://{bucket}/archive"
    vouched = VouchedHouse(
        deploy, simulators, settings={"ARCHIVE_URL": url}, surroundings=buckets.environment
    )
    house = vouched.house
    with house.producer() as app:
        worker = vouched.begin(app)
        if mistake == "emptied":
            emptied(bucket)
            eventually(lambda: "archive:vanished" in vouched.open_causes(), what="nobody was told")
            assert vouched.calls.ask(app, "meanwhile").get(timeout=60)["state"] == "done"
        assert worker.stop() == 0
    wrong = {"emptied": url, "prefix": f"s3://{bucket}/archiv", "bucket": "s3://no-such/archive"}
    house.settings["ARCHIVE_URL"] = wrong[mistake]
    said = vouched.refused("refused")
    assert ("does not exist" if mistake == "bucket" else "is not there") in said
    assert vouched.coverage()[0] == 1
    assert vouched.doctor()
    if mistake != "bucket":
        assert list(house.store.paths()) == []
