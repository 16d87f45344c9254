"""The ledger is lost in the middle of a night, and made anew from the archive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine, make_url

from archive.verify.verification import verify

from .deployment import Deployment
from .restored import Night, sums
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]


def delete_ledger(house: Deployment) -> None:
    """Everything of it is gone: SQLite's file and what is kept beside it, or all that stands in
    the database on PostgreSQL.
    """
    house.without_ledger()
    url = make_url(house.ledger_url)
    if url.database is not None and url.get_backend_name() == "sqlite":
        file = Path(url.database)
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink()
        return
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()


def test_the_ledger_rebuilt_in_the_middle_of_a_night(
    deploy: Deploy, simulators: Simulators, empty_database: str
) -> None:
    """Days are archived, transferred and waited for, calls were placed, and one is on its way, when
    every worker is killed and the ledger is deleted. Rebuilt from the archive: no call is placed
    twice, every day is complete in the end, and no file of the archive has changed.
    """
    night = Night(deploy, simulators, ledger_url=empty_database)
    house = night.house
    house.worker("first")
    house.worker("second")
    with house.producer() as app:
        night.begin(app)
        night.place(app)
        night.leave(app)
        night.die()
        identity = house.ledger.identity.identity()
        delete_ledger(house)
        before, placed = sums(house.archive), night.calls.placed()

        refused = house.worker("refused", ready=False)
        assert refused.popen.wait(90) != 0
        assert "earwitness rebuild" in refused.log()

        done = house.run("rebuild", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["ledger"] == house.ledger.identity.identity() == identity
        assert sums(house.archive) == before
        assert told["days"]["complete"] == 2
        status = house.run("status").stdout
        assert "IN QUARANTINE" in status
        assert "quarantine --lift" in status

        assert "the ledger is in quarantine" in house.worker("third").log()
        first = night.calls.platform.calls()[0]
        assert night.told(app, "placed")[1]["platform_phone"] == first["platform_phone"]
        assert night.told(app, "placed", max_seconds=60)[0] == "RequestConflict"
        assert night.told(app, "decided")[0] == "done"
        outcomes = {
            name: night.told(app, name)[0] for name in ("refused", "unknown", "in_flight", "new")
        }
        assert outcomes == {
            "refused": "Rejected",
            "unknown": "Uncertain",
            "in_flight": "Uncertain",
            "new": "Uncertain",
        }
        assert night.calls.placed() == placed
        night.end(app)

        lifted = house.run("quarantine", "--lift", "--by", "ana", "--note", "compared", "--json")
        assert json.loads(lifted.stdout)["quarantined"] is False, lifted.stderr
        assert night.told(app, "in_flight")[0] == "Uncertain"
        assert night.told(app, "another")[0] == "done"
        # Four of the five that may leave in a day are known from their receipts.
        assert night.told(app, "one more")[0] == "InvalidArgument"
        assert night.told(app, "one-more")[0] == "CapReached"
        assert night.calls.placed() == placed + 1
        eventually(lambda: not house.ledger.outbox.waiting(), what="something is owed")
    after = sums(house.archive)
    assert {path: after.get(path) for path in before} == before
    assert verify(house.store).problems == []
    early = [one for one in simulators.log.exports() if one["account"] == "early@vbc.prod"]
    assert len(early) == 2, simulators.log.exports()
