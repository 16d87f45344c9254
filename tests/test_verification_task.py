"""``archive.verify`` on an archive in use: what is young is counted, what is left is an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from archive import paths as archive_paths
from archive.store.directory import DirectoryStore

from .archives import Builder, age, zipped
from .deployment import Deployment
from .simulators import Simulators
from .test_tasks import DAY, House, opened
from .waiting import eventually

Deploy = Callable[..., Deployment]


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators) -> Iterator[House]:
    """A house with a worker that is ready."""
    with opened(deploy, simulators) as made:
        yield made


def store_of(house: House) -> DirectoryStore:
    """The archive."""
    store = house.house.store
    assert isinstance(store, DirectoryStore)
    return store


def verified(house: House) -> Any:
    """What the task ends with."""
    return house.send("archive.verify").get(timeout=60, propagate=False)


def causes(house: House) -> list[str]:
    """The alerts that are open about a verification."""
    return [
        alert["cause"]
        for alert in house.house.ledger.alerts.all_open()
        if alert["cause"].startswith("verification:")
    ]


def test_young_files_are_counted_and_old_ones_are_an_alert(house: House) -> None:
    """A receipt, metadata, audio that nothing vouches for: pending, then problems, then, put away,
    nothing any more.
    """
    house.ask("recording.download", recording_id=house.ids[0])
    eventually(lambda: not house.house.ledger.outbox.waiting())
    store = store_of(house)
    paths = [
        archive_paths.receipt_path("india", DAY, "forgotten", 1),
        archive_paths.recording_path("india", DAY, "666", "mp3"),
    ]
    for path in paths:
        store.create(path, b"{}")
    whole = verified(house)
    assert (whole["pending"], whole["files"] >= len(paths)) == (2, True)
    assert causes(house) == []

    age(store)
    failed = verified(house)
    assert type(failed).__name__ == "Damaged"
    assert all(path in str(failed) for path in paths)
    assert len(causes(house)) == 1
    for path in paths:
        (store.root / path).unlink()
    assert verified(house)["pending"] == 0
    eventually(lambda: causes(house) == [], what="the alert stayed open")


def test_the_zips_of_a_run_that_goes_on_are_no_problem(house: House) -> None:
    """However long its other parts take; those of a run that nobody knows are one. The manifest
    that a run ends with names the time zone of its day.
    """
    house.account.configure(ready_after_polls=10_000)
    sent = house.send("export.run", account="india", day=DAY.isoformat())
    job = eventually(lambda: next(iter(house.house.ledger.jobs.jobs(kind="export.run")), None))
    builder = Builder(house.house.folder)
    data = zipped([("a.mp3", b"a")])
    stored = builder.keep("x.zip", data)
    (builder.root / "x.zip").unlink()
    parts = [
        archive_paths.part_path(archive_paths.export_folder("india", DAY, name), "p", stored.sha256)
        for name in (job.job_id, "nobody")
    ]
    for path in parts:
        builder.keep(path, data)
    age(store_of(house))
    failed = str(verified(house))
    assert parts[1] in failed
    assert parts[0] not in failed

    house.account.configure(ready_after_polls=0)
    manifest = sent.get(timeout=60)["manifest"]
    assert b'"timezone": "Asia/Kolkata"' in store_of(house).read(manifest)
