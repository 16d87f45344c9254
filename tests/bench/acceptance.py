"""The price of durability: jobs through our worker, and the same request through a bare Celery."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import psycopg
from celery import Celery
from sqlalchemy import Select, func, make_url, select

from ledger.core.schema import jobs, obligations
from tests.certified_calls import ASKED
from tests.deployment import Deployment, account_toml
from tests.servers import Postgres, Valkey
from tests.simulators.gsmblockchain_door import CallingAccountDoor
from tests.simulators.remote import Remote
from tests.waiting import eventually

from .house import address, bare_worker, deployment, until_ready
from .measurement import Row, in_turns
from .sizes import Sizes

_TASK = "earwitness.certified_call.request"
_TO_ACCEPTED = "a committed row for each, while all slots work; the peer keeps nothing"
_TO_RESULT = "row, cap, a commit before the first byte, one after it; own connection"


class Crowd:
    """Callers of one worker, each of whom waits for the result of a message of its own."""

    def __init__(self, redis_url: str, count: int) -> None:
        self.app = Celery("caller", broker=redis_url, backend=redis_url)
        self.count = count
        self.results = 0

    def send(self) -> Any:
        """Ask for one more call; its AsyncResult."""
        raise NotImplementedError

    def accepted(self) -> None:
        """Wait until everything that was asked is written down."""

    def turn(self) -> float:
        """Send all messages and wait for all results; the seconds."""
        began = time.perf_counter()
        asked = [self.send() for _ in range(self.count)]
        self.accepted()
        for one in asked:
            one.get(timeout=120)
            self.results += 1
        return time.perf_counter() - began


class Bare(Crowd):
    """Callers of the bare worker, which asks the provider as ours does."""

    def __init__(self, redis_url: str, count: int, url: str) -> None:
        super().__init__(redis_url, count)
        self._url = url

    def send(self) -> Any:
        """Ask for one more call."""
        return self.app.send_task("bare.ask", args=[self._url], queue="bare")


class Ours(Crowd):
    """Callers of our worker on one kind of ledger."""

    def __init__(self, redis_url: str, count: int, house: Deployment) -> None:
        super().__init__(redis_url, count)
        self.house = house
        self.accepted_after: list[float] = []
        self._began = 0.0
        self._numbers = itertools.count(1)

    def send(self) -> Any:
        """Ask for one more call."""
        asked = {**ASKED, "request_id": f"call-{next(self._numbers)}"}
        return self.app.send_task(_TASK, kwargs=asked, queue="earwitness")

    def accepted(self) -> None:
        """Look at the ledger until every row is there."""
        wanted = self.count * (len(self.accepted_after) + 1)
        while self.rows() < wanted:
            time.sleep(0.01)
        self.accepted_after.append(time.perf_counter() - self._began)

    def turn(self) -> float:
        """The same; what is still owed then is not counted, and nothing of it meets the peer."""
        self._began = time.perf_counter()
        taken = super().turn()
        eventually(lambda: not self._owed(), within=120, what="receipts were not written")
        return taken

    def rows(self) -> int:
        """How many jobs the ledger has."""
        return self._number(select(func.count()).select_from(jobs))

    def receipts(self) -> int:
        """How many receipts lie in the archive."""
        folder = self.house.archive / str(ASKED["account"]) / "certified-calls"
        return sum(1 for _ in folder.rglob("*.json"))

    def _owed(self) -> int:
        left = obligations.c.discharged_at.is_(None)
        return self._number(select(func.count()).select_from(obligations).where(left))

    def _number(self, statement: Select[Any]) -> int:
        return self.house.ledger.database.read(lambda c: int(c.execute(statement).scalar_one()))


def acceptance(folder: Path, sizes: Sizes, valkey: Valkey, simulators: Remote) -> Iterator[Row]:
    """Certified calls to accepted and to their result, on SQLite and on PostgreSQL."""
    platform = simulators.gsmblockchain.account(username="bench")
    told = {**platform.configuration(), "max_calls_per_day": 1_000_000}
    accounts = account_toml(str(ASKED["account"]), told)
    urls = [address(valkey, number) for number in range(3)]
    with ExitStack() as stack:
        ledger_url = stack.enter_context(_durable_postgres())
        ours = {}
        for number, (name, url) in enumerate([("SQLite", None), ("PostgreSQL", ledger_url)]):
            house = deployment(folder / name, valkey, accounts, database=number, ledger_url=url)
            stack.callback(house.close)
            house.ledger  # noqa: B018 - is prepared before the worker opens it
            ours[name] = Ours(urls[number], sizes.calls, house)
            until_ready(house.worker(ready=False))
        worker = bare_worker(folder, urls[2])
        stack.callback(worker.close)
        until_ready(worker)
        bare = Bare(urls[2], sizes.calls, _address(platform))
        crowds: dict[str, Crowd] = {**ours, "bare": bare}
        for crowd in crowds.values():
            stack.callback(crowd.app.close)
            crowd.turn()
        seconds = in_turns(sizes.times, **{name: one.turn for name, one in crowds.items()})
        for name, one in ours.items():
            yield from _rows(name, one, bare, seconds)
        asked = sum(one.results for one in crowds.values())
        assert len(platform.calls()) == asked, "the platform counts other calls than were asked"


def _rows(name: str, ours: Ours, bare: Bare, seconds: dict[str, float]) -> Iterator[Row]:
    counted = {
        "rows": ours.rows(),
        "results": ours.results,
        "receipts": ours.receipts(),
        "peer_results": bare.results,
    }
    assert set(counted.values()) == {ours.results}, counted
    peer = seconds["bare"] / bare.count
    than = "bare Celery, to result"
    accepted = median(ours.accepted_after[1:]) / ours.count
    yield Row(f"a job to accepted ({name})", accepted, peer, than, _TO_ACCEPTED, counted)
    result = seconds[name] / ours.count
    yield Row(f"a job to its result ({name})", result, peer, than, _TO_RESULT, counted)


def _address(platform: CallingAccountDoor) -> str:
    """The request that our client makes for a call."""
    query = {
        "user": platform.username,
        "pass": platform.password,
        "countryID": ASKED["country"],
        "phone": ASKED["phone"],
        "time": ASKED["max_seconds"],
        "companyName": ASKED["company_name"],
        "companyID": ASKED["company_id"],
    }
    return f"{platform.configuration()['base_url']}/services/sendCertifiedCallRecorder.php?" + (
        urlencode(query)
    )


@contextmanager
def _durable_postgres() -> Iterator[str]:
    """A ledger's database on a PostgreSQL that waits for the disk, which those of tests do not."""
    with Postgres() as server, server.database() as url:
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf()")
        yield url
