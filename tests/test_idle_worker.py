"""A worker with nothing to do asks Redis little, and still notices what changes there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from typing import Any

from .deployment import ROOT, Deployment, account_toml
from .servers import Valkey
from .simulators import Simulators
from .test_tasks import Deploy
from .waiting import LOADED_SECONDS, eventually

#: What Celery sends without a job: it waits for messages, reports that it lives, and pings.
_OF_CELERY = {"brpop", "publish", "ping"}
#: One of each round of the sweeper: any key with messages, and the ledger's identity.
_OF_THE_SWEEPER = {"exists", "get"}
#: One of each round of the presence, and its writes when they are due.
_OF_THE_PRESENCE = {"mget", "set"}
#: The oldest message in hand.
_OF_THE_CHANNEL = {"zrange"}

_OF_THE_TEST = {"info", "hello", "client|setinfo"}

#: What only buckets, sealed tokens and PostgreSQL need, and a migration.
HEAVY = ("obstore", "cryptography.fernet", "sqlalchemy.dialects.postgresql", "alembic")

QUEUES = ("earwitness", "earwitness.due", "earwitness.downloads")


def commands(admin: Any) -> Counter[str]:
    """How often each command was carried out since the server's start, but for this test's."""
    stats = admin.info("commandstats")
    sent = {name.removeprefix("cmdstat_"): int(one["calls"]) for name, one in stats.items()}
    return Counter({name: calls for name, calls in sent.items() if name not in _OF_THE_TEST})


def idle_house(deploy: Deploy, simulators: Simulators, valkey: Valkey) -> Deployment:
    """A deployment whose worker has announced itself."""
    house = deploy(account_toml("india", simulators.vonage.account().configuration()))
    house.worker()
    with valkey.client() as admin:
        eventually(lambda: is_announced(admin), within=60, what="the worker is not announced")
    return house


def is_announced(admin: Any) -> bool:
    """Whether Redis names the ledger, the worker and its queues."""
    there = ("earwitness.ledger", "earwitness.here", *(f"earwitness.listening.{q}" for q in QUEUES))
    return admin.exists(*there) == len(there) and bool(admin.keys("earwitness.node.*"))


def sent_in_rounds(admin: Any, rounds: int) -> Counter[str]:
    """What was sent while the sweeper and the presence each took so many rounds."""
    before = commands(admin)

    def are_over() -> bool:
        sent = commands(admin) - before
        return min(sent["exists"], sent["mget"]) >= rounds

    eventually(are_over, within=120, what="the worker does not look")
    return commands(admin) - before


def test_an_idle_round_sends_a_bounded_number_of_commands(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """In many rounds without a job, the sweeper sends two commands a round, the presence one, and
    nothing is written but what would run out.
    """
    allowed = _OF_CELERY | _OF_THE_SWEEPER | _OF_THE_PRESENCE | _OF_THE_CHANNEL
    idle_house(deploy, simulators, valkey)
    with valkey.client() as admin:
        for _ in range(3):
            sent = sent_in_rounds(admin, 30)
            if sent.keys() <= allowed:
                break  # before, the worker's start was not over
    assert sent.keys() <= allowed
    assert sent["get"] <= sent["exists"] + 1
    assert sent["set"] <= sent["mget"] / 2
    assert sent["zrange"] <= sent["exists"]


def test_a_flushed_redis_is_announced_to_again(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """The ledger's identity and the worker's presence, which are not due yet, are written again."""
    idle_house(deploy, simulators, valkey)
    with valkey.client() as admin:
        admin.flushdb()
        eventually(
            lambda: is_announced(admin), within=LOADED_SECONDS, what="it is not announced again"
        )


def test_a_worker_is_among_the_holders_while_a_message_is_in_hand(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """Another worker's message is in hand: this one says that it lives, and forgets a worker that
    died an hour ago. Without any message in hand nobody says so.
    """
    idle_house(deploy, simulators, valkey)
    with valkey.client() as admin:
        assert admin.exists("earwitness.holders") == 0
        now = float(admin.time()[0])
        admin.zadd("earwitness.holders", {"dead": now - 4000, "other": now})
        # It stays in hand: its time has only begun.
        admin.zadd("earwitness.unacked_index", {"other.1": time.time() + 3600})

        def holders() -> list[str]:
            return sorted(one.decode() for one in admin.zrange("earwitness.holders", 0, -1))

        eventually(lambda: "dead" not in holders(), within=60, what="the dead one stays")
        eventually(lambda: len(holders()) == 2, within=60, what="the living one is not there")


def test_a_worker_loads_no_library_that_its_deployment_does_not_need(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Its archive is a directory and its ledger SQLite: the libraries of buckets, of PostgreSQL, of
    migrations and of tokens that are not there are not in its memory.
    """
    house = deploy(account_toml("india", simulators.vonage.account().configuration()))
    house.ledger.identity.prepare()
    program = (
        "import sys; from worker.celery import app; from providers import registry; "
        "from tasks.runtime.context import ledger, store; "
        "app.loader.import_default_modules(); registry.load_clients(); "
        "store(); ledger().identity.prepare(); ledger().waiters.due(queue='q', limit=1); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=house.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"
