"""The ledger on PostgreSQL: a server that restarts or crashes costs time, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .days import FIRST, ZONE, Days
from .deployment import Deployment
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


Deploy = Callable[..., Deployment]

#: Asked for while there is no ledger.
LATER = FIRST.replace(day=FIRST.day + 5)


@pytest.fixture
def days(deploy: Deploy, simulators: Simulators, postgres: Postgres) -> Iterator[Days]:
    """Two workers on a ledger on PostgreSQL."""
    with postgres.database() as url:
        made = Days(deploy, simulators, ledger_url=url)
        made.house.worker("first")
        made.house.worker("second")
        yield made
        made.house.close()


def end_well(days: Days) -> None:
    """The provider has everything ready; every day is archived, by the same two workers."""
    days.release()
    days.archived()
    assert all(process.alive for process in days.house.processes)


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_postgresql_goes_away_while_jobs_wait_and_one_transfers(
    days: Days, postgres: Postgres, how: str
) -> None:
    """Restarted, or ended without a word, twice: everything ends archived, by one export for each
    day, and every caller is answered.
    """
    with days.house.producer() as app:
        results = days.ask(app)
        for share in (0.06, 0.09):
            days.until_held(share)
            away(postgres, how)
            postgres.start()
        end_well(days)
        assert [one.get(timeout=60)["archived"] for one in results] == [4, 3, 3, 3]


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_postgresql_is_away_while_a_message_arrives(
    days: Days, postgres: Postgres, how: str
) -> None:
    """A caller asks for a day while there is no ledger to write it to: the message is kept, and the
    day is archived, once, when the ledger is back.
    """
    days.waiting.seed(LATER, ZONE, 3)
    with days.house.producer() as app:
        days.ask(app)
        away(postgres, how)
        days.asked.append(("waiting", LATER))
        asked = days.house.send(app, "export.run", account="waiting", day=LATER.isoformat())
        eventually(lambda: kept(days), within=60, what="nobody kept the message")
        postgres.start()
        end_well(days)
        assert asked.get(timeout=60)["archived"] == 3


def kept(days: Days) -> bool:
    """Whether a worker said that a message waits for the ledger."""
    return any("the message is kept" in process.log() for process in days.house.processes)


def away(postgres: Postgres, how: str) -> Any:
    """End the server, in order or not."""
    return postgres.crash() if how == "crash" else postgres.stop()
