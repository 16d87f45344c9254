"""Notifications that Redis refuses, met by a real worker with the user of docs/redis.md."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import update

from ledger.core.outbox import NOTIFY
from ledger.core.schema import obligations

from .deployment import Deployment, account_toml
from .ledgers import pass_time
from .redis_page import make_users
from .servers import Valkey
from .simulators import Simulators
from .test_redis_prefix import address
from .test_tasks import DAY, ZONE, Deploy
from .waiting import eventually

_BAD = 200


def _owed(house: Deployment, queue: str) -> None:
    kwargs = {"job_id": "j", "state": "failed", "result": None}
    payload = {"task": "shop.told", "queue": queue, "kwargs": kwargs}
    house.ledger.outbox.owe("j", "india", NOTIFY, payload)


def test_two_hundred_refused_notifications_hold_up_no_honest_one(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """Keys of another type and queues that the ACL forbids, in thousands of tries: six callers are
    notified at once. After a day `show`, `status`, `doctor` and an alert say what was given up and
    why, the jobs are as they were, and a person closes the alert.
    """
    account = simulators.vonage.account()
    account.seed(DAY, ZONE, 6)
    make_users(valkey)
    told = {"REDIS_URL": address(valkey, "earwitness")}
    house = deploy(account_toml("india", account.configuration()), settings=told)
    with valkey.client() as admin, house.producer() as app:
        for number in range(_BAD):
            if number % 2:
                admin.hset(f"earwitness.bad-{number}", "a", "b")
            _owed(house, f"{'earwitness.bad' if number % 2 else 'forbidden'}-{number}")
        house.worker()
        ids = [str(one["id"]) for one in account.recordings()]
        asked = [
            house.send(
                app,
                "recording.download",
                account="india",
                recording_id=recording,
                request_id=f"keep-{recording}",
                notify={"task": "shop.told", "queue": f"earwitness.shop-{recording}"},
            )
            for recording in ids
        ]
        for one in asked:
            one.get(timeout=60)
        for recording in ids:
            queue = f"earwitness.shop-{recording}"
            eventually(lambda queue=queue: admin.llen(queue) == 1, within=60, what=queue)
        bad = {"task": "shop.told", "queue": "forbidden"}
        last = {"account": "india", "recording_id": ids[0], "request_id": f"keep-{ids[0]}"}
        result = house.send(app, "recording.download", **last, notify=bad).get(timeout=60)
        job_id = result["job_id"]
        state = house.ledger.jobs.job(job_id).state
        eventually(lambda: _refused(house) == _BAD + 1, what="not each was refused")
        _a_day_later(house)
        eventually(house.ledger.notifications.given_up, what="none was given up")
        eventually(lambda: not _waiting(house), what="some are still tried")
        assert house.ledger.jobs.job(job_id).state == state
        _is_seen(house, job_id)


def _is_seen(house: Deployment, job_id: str) -> None:
    shown = json.loads(house.run("show", job_id, "--json").stdout)
    given_up = [one for one in shown["notifications"] if one["state"] == "given up"]
    assert [one["queue"] for one in given_up] == ["forbidden"]
    assert "ermission" in given_up[0]["reason"]
    assert "given up" in house.run("show", job_id).stdout
    assert f"given up: {_BAD + 1} notify" in house.run("status").stdout
    found = json.loads(house.run("doctor", "--json").stdout)
    (one,) = [one for one in found if one["subject"] == "notifications"]
    assert one["level"] == "warning"
    assert f"{_BAD + 1} were given up" in one["meaning"]
    closing = ("alerts", "--close", "notification:forbidden", "--by", "ana", "--note", "typo")
    assert house.run(*closing).returncode == 0
    causes = {one["cause"] for one in house.ledger.alerts.all_open()}
    assert "notification:forbidden" not in causes
    assert "notification:earwitness.bad-1" in causes


def _waiting(house: Deployment) -> list[dict[str, Any]]:
    return [one for one in house.ledger.outbox.waiting() if one["kind"] == NOTIFY]


def _rows(house: Deployment) -> list[Any]:
    wanted = obligations.select().where(obligations.c.kind == NOTIFY)
    return list(house.ledger.database.read(lambda c: c.execute(wanted).all()))


def _refused(house: Deployment) -> int:
    return sum("refused_since" in row.payload for row in _rows(house))


def _a_day_later(house: Deployment) -> None:
    def work(connection: Any) -> None:
        for row in _rows(house):
            if "refused_since" in row.payload:
                earlier = {**row.payload, "refused_since": row.payload["refused_since"] - 90_000}
                mine = obligations.c.id == row.id
                connection.execute(update(obligations).where(mine).values(payload=earlier))

    house.ledger.database.write(work)
    pass_time(house.ledger, 700, obligations.c.due_at)
