"""Certified calls at a provider that takes 200 ms: how many a second, and the CPU of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import psycopg

from tests.certified_calls import ASKED
from tests.deployment import account_toml
from tests.servers import Postgres, Valkey

from . import counting, peers
from .crowds import Ours, Plain
from .house import (
    STARTED_ANEW,
    address,
    deployment,
    durable_postgres,
    plain_address,
    start_plain,
    start_worker,
    until_ready,
)
from .measurement import Goal, Row, Samples, in_turns
from .peers import Turn
from .provider import Provider, answering_after
from .sizes import Sizes

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
PLAIN = "plain Celery"
_NAMES = {"rq": "RQ", "dramatiq": "dramatiq", "procrastinate": "procrastinate", "dbos": "DBOS"}
#: What calls a second are to reach, as a share of each peer's.
_RATES = {
    SQLITE: {PLAIN: 0.85},
    POSTGRES: {PLAIN: 0.75, "procrastinate": 0.95, "DBOS": 1.0},
}
_MOST_CPU = Goal("ours", 7.0)


class HasTurns(Protocol):
    """What a crowd and a peer have in common."""

    def turn(self, count: int) -> Turn:
        """Have so many calls placed."""


@dataclass
class Place:
    """Where the calls of one benchmark are placed, and what is started for them."""

    folder: Path
    sizes: Sizes
    valkey: Valkey
    provider: Provider
    stack: ExitStack
    databases: int = 0

    def redis_url(self) -> str:
        """Return the address of a Redis database that nobody else uses."""
        number, self.databases = self.databases, self.databases + 1
        return address(self.valkey, number)

    def database(self) -> str:
        """Return SQLAlchemy's URL of an empty database on PostgreSQL."""
        return self.stack.enter_context(self._postgres.database())

    @cached_property
    def _postgres(self) -> Postgres:
        return self.stack.enter_context(durable_postgres())

    @property
    def surroundings(self) -> dict[str, str]:
        """What workers find in their environment beside their settings."""
        return STARTED_ANEW if self.sizes.anew else {}

    def ours(self, ledger: str, *, slots: int, workers: int = 1) -> Ours:
        """Start workers of ours on a ledger of their own."""
        number = self.databases
        redis_url = self.redis_url()
        house = deployment(
            self.folder / f"ours-{number}",
            self.valkey,
            account_toml(str(ASKED["account"]), self.provider.account()),
            database=number,
            ledger_url=self.database() if ledger == POSTGRES else None,
            surroundings=self.surroundings,
        )
        self.stack.callback(house.close)
        names = [f"worker-{one}" for one in range(workers)]
        started = [start_worker(house, slots=slots, name=name) for name in names]
        crowd = Ours(redis_url, started, house)
        self.stack.callback(crowd.close)
        return crowd

    def plain(self) -> Plain:
        """Start a plain Celery worker."""
        redis_url = self.redis_url()
        worker = start_plain(
            self.folder, redis_url, slots=self.sizes.slots, surroundings=self.surroundings
        )
        self.stack.callback(worker.close)
        until_ready(worker)
        crowd = Plain(redis_url, [worker], self.provider.call_url)
        self.stack.callback(crowd.close)
        return crowd

    def peer(self, name: str, made: peers.Environment) -> peers.Peer:
        """Start another peer."""
        redis_url, database_url = self.redis_url(), plain_address(self.database())
        tables = {"procrastinate": "procrastinate_jobs", "dbos": "dbos.queues"}
        is_ready: Callable[[], bool] = lambda: True  # noqa: E731
        if name in tables:
            is_ready = partial(_has_table, database_url, tables[name])
        return self.stack.enter_context(
            peers.running(
                name,
                made,
                self.folder,
                call_url=self.provider.call_url,
                slots=self.sizes.slots,
                redis_url=redis_url,
                database_url=database_url,
                is_ready=is_ready,
            )
        )


def placed(place: Place, crowds: Mapping[str, HasTurns]) -> dict[str, list[Turn]]:
    """Let the crowds take turns, after one that is not counted.

    Raises Missing if the provider counts other calls than were asked for.
    """
    sizes = place.sizes
    warm = min(sizes.calls, 2 * sizes.slots)
    for crowd in crowds.values():
        crowd.turn(warm)
    turns = in_turns(
        sizes.times, {name: partial(one.turn, sizes.calls) for name, one in crowds.items()}
    )
    asked = len(crowds) * (warm + sizes.times * sizes.calls)
    counting.compare("calls at the provider", {"calls": place.provider.calls()}, {"calls": asked})
    return turns


def opened(folder: Path, sizes: Sizes, valkey: Valkey, stack: ExitStack) -> Place:
    """Start what every benchmark of calls needs; it ends with the stack."""
    provider = stack.enter_context(answering_after(sizes.answer_seconds))
    return Place(folder, sizes, valkey, provider, stack)


def calls(
    folder: Path, sizes: Sizes, valkey: Valkey, made: peers.Environment | str
) -> Iterator[Row]:
    """Calls a second and CPU a call, on both ledgers, beside peers. ``made`` is the peers'
    environment, or why there is none.
    """
    with ExitStack() as stack:
        place = opened(folder, sizes, valkey, stack)
        ours = {name: place.ours(name, slots=sizes.slots) for name in (SQLITE, POSTGRES)}
        crowds: dict[str, HasTurns] = {**ours, PLAIN: place.plain()}
        if isinstance(made, peers.Environment):
            crowds |= {_NAMES[name]: place.peer(name, made) for name in _NAMES}
        turns = placed(place, crowds)
        counted = {name: one.counted(f"calls ({name})") for name, one in ours.items()}
    missing = made if isinstance(made, str) else ""
    for ledger, beside in ((SQLITE, peers.ON_REDIS), (POSTGRES, peers.ON_POSTGRES)):
        for than in (PLAIN, *(_NAMES[name] for name in beside)):
            yield from _rows(ledger, than, turns, sizes, counted[ledger], missing)


def _rows(
    ledger: str,
    than: str,
    turns: Mapping[str, list[Turn]],
    sizes: Sizes,
    counted: Mapping[str, int],
    missing: str,
) -> Iterator[Row]:
    bound = _RATES[ledger].get(than)
    goal = None if bound is None else Goal("ratio", bound, at_least=True)
    rate, cpu = f"calls a second ({ledger})", f"CPU a call ({ledger})"
    if than not in turns:
        yield Row("calls", rate, "/s", than=than, goal=goal, not_measured=missing)
        yield Row("calls", cpu, "ms", than=than, not_measured=missing)
        return
    both, count = (ledger, than), sizes.calls
    rates = {name: Samples.of(count / turn.seconds for turn in turns[name]) for name in both}
    costs = {name: Samples.of(turn.cpu * 1000 / count for turn in turns[name]) for name in both}
    yield Row("calls", rate, "/s", rates[ledger], rates[than], than, goal, counted)
    most = _MOST_CPU if than == PLAIN else None
    yield Row("calls", cpu, "ms", costs[ledger], costs[than], than, most, counted)


def slots(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """Calls a second with more slots and with two workers, beside those of one worker."""
    few = f"{sizes.slots} slots"
    for ledger in (SQLITE, POSTGRES):
        with ExitStack() as stack:
            own = folder / ledger
            own.mkdir()
            with valkey.client() as client:
                client.flushall()
            place = opened(own, sizes, valkey, stack)
            ours = {
                few: place.ours(ledger, slots=sizes.slots),
                f"{sizes.more_slots} slots": place.ours(ledger, slots=sizes.more_slots),
                "two workers": place.ours(ledger, slots=sizes.slots, workers=2),
            }
            turns = placed(place, ours)
            counted = {name: one.counted(f"slots ({ledger}, {name})") for name, one in ours.items()}
        rates = {
            name: Samples.of(sizes.calls / turn.seconds for turn in taken)
            for name, taken in turns.items()
        }
        for name in list(ours)[1:]:
            what = f"calls a second, {name} ({ledger})"
            goal = Goal("ratio", 1.0, at_least=True)
            than = f"ours with {few}"
            yield Row("slots", what, "/s", rates[name], rates[few], than, goal, counted[name])


def _has_table(url: str, name: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
    return found is not None and found[0] is not None
