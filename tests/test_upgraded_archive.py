"""A ledger and an archive of the release before the ledger knew how long its chains are."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable

import pytest

from archive import chain
from archive.verify.verification import verify
from ledger.core import states

from .deployment import Deployment
from .simulators import Simulators
from .vouched_house import FIRST, SECOND, VouchedHouse, copied

Deploy = Callable[..., Deployment]


def downgraded(vouched: VouchedHouse) -> None:
    """Take out of an SQLite ledger what schema 0006 added."""
    vouched.house.without_ledger()
    with sqlite3.connect(vouched.house.folder / "ledger.sqlite3") as connection:
        connection.execute("DROP TABLE chain_heads")
        connection.execute("ALTER TABLE days DROP COLUMN lost")
        connection.execute("ALTER TABLE ledger DROP COLUMN archive_checked_at")
        connection.execute("UPDATE alembic_version SET version_num = '0005'")


@pytest.fixture
def vouched(deploy: Deploy, simulators: Simulators) -> VouchedHouse:
    """A house whose archive has two days; beside it lies a copy from before the second."""
    house = VouchedHouse(deploy, simulators)
    with house.house.producer() as app:
        worker = house.begin(app)
        copied(house.root, "copy")
        house.export(app, SECOND)
        house.owes_nothing()
        assert worker.stop() == 0
    downgraded(house)
    return house


def test_it_is_upgraded_in_its_place(vouched: VouchedHouse) -> None:
    """The first worker notes how long the chains are, and goes on as before."""
    house = vouched.house
    assert house.run("migrate").returncode == 0
    worker = house.worker("upgraded")
    newest = chain.head(house.store, "india")
    assert newest is not None
    known = house.ledger.archive_record.heads()["india"]
    assert (known.n, known.sha256) == (newest.n, newest.sha256)
    assert vouched.coverage()[0] == 0
    assert vouched.day(SECOND).state == states.DAY_COMPLETE
    assert vouched.doctor() == []
    assert vouched.open_causes() == []
    assert house.run("archive").returncode == 0
    worker.stop()
    assert verify(house.store).problems == []


@pytest.mark.parametrize("lost", ["all", "newer"])
def test_an_archive_that_lacks_days_is_not_adopted(vouched: VouchedHouse, lost: str) -> None:
    """Gone, or an older copy, before the upgrade: no worker starts."""
    shutil.rmtree(vouched.root)
    if lost == "newer":
        vouched.root.with_name("copy").rename(vouched.root)
    assert vouched.house.run("migrate").returncode == 0
    said = vouched.refused("refused")
    assert ("does not cover" if lost == "newer" else "is not there") in said
    assert vouched.house.ledger.archive_record.heads().keys() <= {"legal"}
    assert vouched.doctor()


def test_a_file_that_was_lost_before_is_found(vouched: VouchedHouse) -> None:
    """By the first comparison, from what jobs of the older release have left in the ledger."""
    (path,) = vouched.root.glob(f"india/exports/{FIRST:%Y/%m/%d}/*/*.zip")
    path.unlink()
    assert vouched.house.run("migrate").returncode == 0
    done = vouched.house.run("archive")
    assert (done.returncode, str(FIRST) in done.stdout) == (1, True)
    assert vouched.day().state == states.DAY_DAMAGED
