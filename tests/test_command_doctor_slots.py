"""``doctor`` on slots: how many are in use, and for how long work has waited where none is free."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from redis import Redis

from config.queues import OLDEST
from ledger.errors import LedgerAway
from worker.commands.doctor import configuration, slots
from worker.redis.queue_depths import Depth

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .test_command_doctor import examined
from .waiting import eventually


def test_a_full_worker_is_named_with_what_waits(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A free worker: so many of so many. One whose only slot a hanging provider keeps: the queue,
    its messages and the age of the oldest; after two minutes that is an error.
    """
    account = simulators.vonage.account()
    # The hanging request keeps the slot for longer than two visits of the doctor take.
    house = deploy(account_toml("india", {**account.configuration(), "timeout_seconds": 300}))
    worker = house.celery(
        "worker", "-n", "one@%h", "-c", "1", "--loglevel", "INFO", "--without-mingle", name="one"
    )
    eventually(lambda: " ready." in worker.log(), what="it was not ready")
    assert "0 of 1 slot is in use" in examined(house)[1]["ok", "workers"]
    account.fault("list", "hang", seconds=3600)
    with house.producer() as app, Redis.from_url(house.valkey.url) as client:
        for _ in range(4):
            house.send(app, "recording.list", account="india", page_size=1)
        eventually(lambda: client.llen("earwitness") == 3, what="the slot was not taken")
        found = examined(house)[1]["warning", "workers"]
        assert "every slot of one@" in found
        assert "(1 of 1): earwitness has 3 messages, the oldest for" in found
        name, _, since = client.hget(OLDEST, "earwitness").decode().partition(" ")
        client.hset(OLDEST, "earwitness", f"{name} {float(since) - 200}")
        status, late = examined(house)
        assert status == 1
        assert "the oldest for 2" in late["error", "workers"]


ALL = [{"name": "earwitness"}, {"name": "earwitness.due"}, {"name": "earwitness.downloads"}]


@pytest.mark.parametrize(
    ("states", "meanings"),
    [
        ({"a": (4, 4), "b": (4, 1)}, ["5 of 8 slots are in use"]),
        ({"a": (4, 4), "b": None}, ["4 of 4 slots are in use"]),
        ({"a": None}, []),
        ({}, []),
    ],
)
def test_a_free_worker_or_one_that_names_no_slots_is_no_complaint(
    states: dict[str, tuple[int, int] | None], meanings: list[str]
) -> None:
    """One free worker of a queue is enough. A worker of an earlier release names no slots: whether
    it has a free one is unknown, and nothing is said of its queues.
    """
    shown = {
        name: {"phase": "working"}
        | ({"slots": one[0], "slots_in_use": one[1]} if one is not None else {})
        for name, one in states.items()
    }
    found = list(slots.examined(dict.fromkeys(states, ALL), shown, has_ledger=False))
    assert [(one.level, one.meaning) for one in found] == [("ok", one) for one in meanings]


def test_a_ledger_that_is_slow_costs_only_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slot is busy and the ledger does not answer: the messages are told, and that the due
    jobs are unknown.
    """

    def stats(**_: object) -> None:
        raise LedgerAway("the ledger did not answer within 2 s")

    away = SimpleNamespace(stats=stats)
    for module in (slots, configuration):
        monkeypatch.setattr(module, "ledger", lambda: away)
    depths = {"earwitness": Depth(3, 10.0)}
    for waiting, told in ((depths, "earwitness has 3 messages"), ({}, "no message waits")):
        look = SimpleNamespace(look=lambda waiting=waiting: SimpleNamespace(depths=waiting))
        monkeypatch.setattr(slots, "queue_depths", look)
        full = {"a": {"phase": "working", "slots": 2, "slots_in_use": 2}}
        (found,) = slots.examined({"a": ALL}, full, has_ledger=True)
        assert found.level == "warning"
        assert told in found.meaning
        unknown = "how many jobs are due is unknown: the ledger did not answer within 2 s"
        assert unknown in found.meaning
    (orphans,) = configuration._orphans(set())
    assert orphans.level == "warning"
    assert "did not answer" in orphans.meaning
