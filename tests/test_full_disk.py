"""A disk that fills up while a transfer runs: it waits in words, and continues with room again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from .deployment import Deployment, account_toml, zip_is_whole
from .disks import small_disk
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
MB = 1_000_000


def test_a_transfer_waits_for_room_and_goes_on(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path
) -> None:
    """The spool's disk has too little room: the reserve stays free, the reason is shown, nothing
    is archived; with room again the transfer is resumed by itself.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    account.seed(DAY, "Asia/Kolkata", 4, size_bytes=2 * MB)
    with small_disk(tmp_path, mebibytes=16) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(8 * MB))
        settings = {"SPOOL_DIR": str(disk / "spool"), "SPOOL_RESERVE_BYTES": str(2 * MB)}
        house = deploy(account_toml("india", account.configuration(), {}), settings=settings)
        house.worker()
        with house.producer() as app:
            run = house.send(app, "export.run", account="india", day=DAY.isoformat())
            eventually(
                lambda: any(
                    "the disk is full" in (part.reason or "")
                    for part in house.ledger.jobs.jobs(kind="export.retrieve")
                ),
                what="the full disk is not shown",
            )
            assert list(house.archive.rglob("*.zip")) == []
            ballast.unlink()
            assert run.get(timeout=60)["archived"] == 4
        (path,) = house.archive.rglob("*.zip")
        assert zip_is_whole(path)
        (export,) = simulators.log.exports()
        last = simulators.log.transfers(export["job_ids"][0])[-1]
        assert last["range"], "what had come was fetched again"
        house.close()
