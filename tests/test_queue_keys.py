"""Keys of Redis that hold another type than they should: nobody else is held up by one."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.core.schema import waiters

from .certified_calls import call_house
from .deployment import Deployment, account_toml
from .ledgers import pass_time
from .redis_page import denied, make_users
from .servers import Valkey
from .simulators import Simulators
from .test_redis_prefix import address
from .test_tasks import DAY, ZONE, Deploy
from .waiting import eventually


def test_a_queue_of_another_type_is_moved_aside(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """A producer makes a set of the empty queue, an operator's slip writes over the inner ones:
    with the users of docs/redis.md the next job of each queue is done all the same, what stood
    there is kept, and an alert says so.
    """
    make_users(valkey)
    account = simulators.vonage.account()
    account.seed(DAY, ZONE, 1)
    told = {"REDIS_URL": address(valkey, "earwitness")}
    house = deploy(account_toml("india", account.configuration()), settings=told)
    house.worker()
    (recording,) = (str(one["id"]) for one in account.recordings())
    with valkey.client() as admin, house.producer() as app:

        def done(number: int) -> bool:
            asked = {"account": "india", "recording_id": recording, "request_id": f"r{number}"}
            return bool(house.send(app, "recording.download", **asked).get(timeout=60)["path"])

        assert done(0)
        admin.sadd("earwitness", "x")
        admin.set("earwitness.due", "x")
        admin.hset("earwitness.downloads", "a", "b")
        eventually(
            lambda: admin.exists("earwitness.misplaced.earwitness"), within=60, what="it stays"
        )
        assert done(1)
        queues = ("earwitness", "earwitness.due", "earwitness.downloads")
        causes = {f"contradiction:queue:{queue}" for queue in queues}
        # A worker opens the alert after it has moved the key.
        eventually(
            lambda: {one["cause"] for one in house.ledger.alerts.all_open()} == causes,
            what="not each has its alert",
        )
        for queue in queues:
            aside = f"earwitness.misplaced.{queue}"
            assert 0 < admin.ttl(aside) <= 7 * 86_400  # type: ignore[operator]
        assert denied(valkey) == set()


@pytest.mark.parametrize("key", ["holders", "unacked", "unacked_index", "set_aside"])
def test_keys_of_messages_in_hand_are_moved_aside(
    deploy: Deploy, simulators: Simulators, valkey: Valkey, key: str
) -> None:
    """A list lies where workers note the messages in hand, or those that were set aside: it is
    moved aside with the rights of docs/redis.md, a worker becomes ready, and serves.
    """
    make_users(valkey)
    told = {"REDIS_URL": address(valkey, "earwitness")}
    calling = call_house(deploy, simulators, settings=told)
    with valkey.client() as admin:
        admin.lpush(f"earwitness.{key}", "x")
        admin.lpush("earwitness", "no message")
        calling.house.worker()
        with calling.house.producer() as app:
            assert calling.ask(app, "r").get(timeout=60)["state"] == "done"
        eventually(lambda: admin.exists(f"earwitness.misplaced.earwitness.{key}"), what="it stays")
        eventually(lambda: admin.hlen("earwitness.set_aside") == 1, what="it was not set aside")
        # A worker opens the alert after it has moved the key.
        cause = f"contradiction:queue:earwitness.{key}"
        eventually(
            lambda: cause in {one["cause"] for one in calling.house.ledger.alerts.all_open()},
            what="there is no alert",
        )
    assert denied(valkey) == set()


def test_a_result_that_can_not_be_stored_holds_up_no_other(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """Forty callers whose results' keys hold another type and one honest one wait for the same job:
    the honest one is answered. After a day the others are not tried any more, and doctor says so.
    """
    account = simulators.vonage.account()
    account.seed(DAY, ZONE, 1)
    house = deploy(account_toml("india", account.configuration()))
    (recording,) = (str(one["id"]) for one in account.recordings())
    asked = {"account": "india", "recording_id": recording, "request_id": "r"}
    with valkey.client() as admin, house.producer() as app:
        for number in range(40):
            admin.hset(f"celery-task-meta-bad-{number}", "a", "b")
            app.send_task(
                "earwitness.recording.download",
                kwargs=asked,
                queue="earwitness",
                task_id=f"bad-{number}",
                ignore_result=False,
            )
        worker = house.worker()
        assert house.send(app, "recording.download", **asked).get(timeout=60)["path"]
        eventually(lambda: _answered(house) == 1, what="the answer was not noted")
        for _ in range(160):
            if _untold(house) == 0:
                break
            pass_time(house.ledger, 700, waiters.c.due_at)
            house.ledger.waiters.due(queue="earwitness.due", limit=100)
        assert _untold(house) == 0
        assert house.ledger.waiters.unanswerable() == 40
        assert "the results of 40 tasks could not be stored" in house.run("doctor").stdout
        assert worker.alive


def _answered(house: Deployment) -> int:
    """How many tasks are known to have their answer."""
    wanted = waiters.select().where(waiters.c.answered_at.is_not(None))
    return len(house.ledger.database.read(lambda c: list(c.execute(wanted).all())))


def _untold(house: Deployment) -> int:
    """How many tasks still await an answer."""
    wanted = waiters.select().where(waiters.c.answered_at.is_(None), waiters.c.attempts < 150)
    rows: list[Any] = house.ledger.database.read(lambda c: list(c.execute(wanted).all()))
    return len(rows)
