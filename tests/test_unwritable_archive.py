"""An archive that cannot be written to: a plain reason and an alert, and everything waits."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from archive.verify.verification import verify
from ledger.core import states

from .buckets import Buckets
from .deployment import Deployment
from .disks import small_disk
from .simulators import Simulators
from .vouched_house import FIRST, SECOND, VouchedHouse
from .waiting import eventually

Deploy = Callable[..., Deployment]
#: A day whose folder is not there yet.
ANOTHER_MONTH = FIRST - timedelta(days=40)


@contextmanager
def a_file_in_place_of_a_folder(folder: Path) -> Iterator[None]:
    """Somebody wrote a file where an account's folder should be."""
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")
    yield
    folder.unlink()
    aside.rename(folder)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Nobody may write into a folder, not even root; skips where that cannot be had."""
    if (
        shutil.which("chattr") is None
        or subprocess.run(
            ["chattr", "-R", "+i", folder], capture_output=True, check=False
        ).returncode
    ):
        if os.geteuid() == 0:
            pytest.skip("the filesystem knows no immutable folders")
        folder.chmod(0o555)
    try:
        yield
    finally:
        if shutil.which("chattr"):
            subprocess.run(["chattr", "-R", "-i", folder], capture_output=True, check=False)
        folder.chmod(0o755)


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """The disk takes nothing."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def waits(vouched: VouchedHouse, *reasons: str) -> None:
    """The export waits with a plain reason, and people are told of one cause."""

    def reason() -> str:
        kinds = ("export.retrieve", "export.run")
        found = [job for kind in kinds for job in vouched.house.ledger.jobs.jobs(kind=kind)]
        said = [job.reason or "" for job in found if job.state == states.WAITING]
        return next((one for one in said if any(words in one for words in reasons)), "")

    said = eventually(reason, what="the export does not say why it waits")
    assert "unexpected" not in said
    eventually(
        lambda: any(cause.startswith("archive:") for cause in vouched.open_causes()),
        what="nobody was told",
    )
    assert len(vouched.open_causes()) == 1, vouched.open_causes()


def goes_on(vouched: VouchedHouse, asked: object) -> None:
    """With the fault mended, the export ends, and people are told that it is over."""
    assert asked.get(timeout=60)["archived"] == 3  # type: ignore[attr-defined]
    vouched.owes_nothing()
    eventually(lambda: vouched.open_causes() == [], what="it is not over")
    assert verify(vouched.house.store).problems == []


@pytest.mark.parametrize("kind", ["file", "immutable"])
def test_a_part_that_refuses_files_is_a_plain_reason(
    deploy: Deploy, simulators: Simulators, kind: str
) -> None:
    """A file in place of a folder, and a folder that nobody may write into."""
    vouched = VouchedHouse(deploy, simulators)
    with vouched.house.producer() as app:
        vouched.begin(app)
        folder = vouched.root / "india/exports"
        fault = a_file_in_place_of_a_folder(folder) if kind == "file" else immutable(folder)
        with fault:
            asked = vouched.house.send(
                app, "export.run", account="india", day=ANOTHER_MONTH.isoformat()
            )
            waits(vouched, "refuses")
        asked.get(timeout=60)
        vouched.owes_nothing()
        eventually(lambda: vouched.open_causes() == [], what="it is not over")
    assert verify(vouched.house.store).problems == []


@pytest.mark.parametrize("fault", ["full", "read only"])
def test_a_worker_starts_while_the_disk_takes_nothing(
    deploy: Deploy, simulators: Simulators, tmp_path: Path, fault: str
) -> None:
    """It places certified calls, whose receipts stay owed, and exports wait, as with a worker that
    runs already; then everything goes on by itself.
    """
    with small_disk(tmp_path, mebibytes=16) as disk:
        vouched = VouchedHouse(deploy, simulators, settings={"ARCHIVE_URL": str(disk / "archive")})
        house = vouched.house
        with house.producer() as app:
            assert vouched.begin(app).stop() == 0
            ballast = disk / "ballast"
            with read_only(disk) if fault == "read only" else _full(ballast):
                worker = house.worker("second")
                assert "Traceback" not in worker.log()
                assert vouched.calls.ask(app, "meanwhile").get(timeout=60)["state"] == "done"
                asked = house.send(app, "export.run", account="india", day=SECOND.isoformat())
                waits(vouched, "full", "Read-only")
                assert worker.alive
            goes_on(vouched, asked)
        house.close()


@contextmanager
def _full(ballast: Path) -> Iterator[None]:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    ballast.unlink()


def test_the_very_first_worker_starts_on_a_full_disk(
    deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> None:
    """The archive is begun as soon as there is room, with the first file."""
    with small_disk(tmp_path) as disk:
        vouched = VouchedHouse(deploy, simulators, settings={"ARCHIVE_URL": str(disk / "archive")})
        house = vouched.house
        with house.producer() as app:
            with _full(disk / "ballast"):
                house.worker("first")
                assert vouched.calls.ask(app, "placed").get(timeout=60)["state"] == "done"
            eventually(lambda: len(vouched.calls.receipts()) == 1, what="no receipt was written")
            vouched.owes_nothing()
            eventually(lambda: vouched.open_causes() == [], what="it is not over")
        assert verify(house.store).problems == []
        house.close()


def test_a_bucket_that_lets_nobody_in_is_a_plain_reason(
    deploy: Deploy, simulators: Simulators, buckets: Buckets
) -> None:
    """403 to a running worker: what needs the archive waits, calls go on, people are told."""
    url = f"s3://{buckets.bucket()}/archive"
    vouched = VouchedHouse(
        deploy, simulators, settings={"ARCHIVE_URL": url}, surroundings=buckets.environment
    )
    with vouched.house.producer() as app:
        vouched.begin(app)
        buckets.front.misbehave("403", "PUT", times=1_000_000)
        asked = vouched.house.send(app, "export.run", account="india", day=SECOND.isoformat())
        waits(vouched, "denies access")
        assert vouched.calls.ask(app, "meanwhile").get(timeout=60)["state"] == "done"
        buckets.front.behave()
        goes_on(vouched, asked)


def test_a_worker_starts_while_the_bucket_is_away(
    deploy: Deploy, simulators: Simulators, buckets: Buckets
) -> None:
    """With a ledger that knows its calls it places new ones; receipts and exports wait."""
    url = f"s3://{buckets.bucket()}/archive"
    vouched = VouchedHouse(
        deploy, simulators, settings={"ARCHIVE_URL": url}, surroundings=buckets.environment
    )
    with vouched.house.producer() as app:
        assert vouched.begin(app).stop() == 0
        buckets.front.misbehave("403", "PUT", times=0)
        buckets.front.away = True
        worker = vouched.house.celery("worker", "-n", "second@%h", "-l", "INFO", name="second")
        eventually(lambda: " ready." in worker.log(), within=120, what="the worker did not start")
        assert vouched.calls.ask(app, "meanwhile").get(timeout=60)["state"] == "done"
        buckets.front.behave()
        vouched.export(app, SECOND)
        vouched.owes_nothing()
    assert verify(vouched.house.store).problems == []
