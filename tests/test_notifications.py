"""A notification that its queue refuses holds up no other, and is given up after a day."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, current_app
from redis import exceptions
from sqlalchemy import update

from ledger.alerts import NOTIFICATION
from ledger.core.outbox import NOTIFY
from ledger.core.schema import obligations
from ledger.ledger import Ledger
from tasks.runtime.outbox import discharge_due
from tasks.runtime.redis_errors import is_away

from .callers import close_connections
from .ledgers import pass_time
from .servers import Valkey
from .test_outbox import here  # noqa: F401 - a fixture

DAY_SECONDS = 86_400


@pytest.fixture
def broker(valkey: Valkey) -> Iterator[Valkey]:
    """A Redis to which this process sends notifications."""
    before = current_app._get_current_object()
    app = Celery(broker=valkey.url, set_as_current=True)
    app.conf.broker_transport_options = {"socket_timeout": 25, "max_retries": 0}
    yield valkey
    close_connections(app)
    app.close()
    before.set_current()


def owe(ledger: Ledger, queue: str, job_id: str = "job", **more: Any) -> None:
    """That somebody is to be notified in a queue."""
    payload = {"task": "t", "queue": queue, "kwargs": {"job_id": job_id, "result": None}, **more}
    ledger.outbox.owe(job_id, "india", NOTIFY, payload)


def due_again(ledger: Ledger) -> None:
    """Everything that is pending is due at once, as it would be after its wait."""
    pass_time(ledger, 700, obligations.c.due_at)


def length(valkey: Valkey, queue: str) -> int:
    """How many messages lie in a queue."""
    with valkey.client() as client:
        return int(client.llen(queue))  # type: ignore[arg-type]


def refused_since(ledger: Ledger, seconds: float, kind: str = NOTIFY) -> None:
    """Let what is refused be refused for so many seconds longer."""

    def work(connection: Any) -> None:
        rows = connection.execute(obligations.select().where(obligations.c.kind == kind)).all()
        for row in rows:
            if "refused_since" in row.payload:
                since = row.payload["refused_since"] - seconds
                connection.execute(
                    update(obligations)
                    .where(obligations.c.id == row.id)
                    .values(payload={**row.payload, "refused_since": since})
                )

    ledger.database.write(work)


def test_a_success_comes_without_a_head_where_there_is_no_chain(
    here: Ledger,  # noqa: F811
    broker: Valkey,
) -> None:
    """The account has no entry of the chain yet: the result is there, ``chain_head`` is not."""
    owe(here, "shop", kwargs={"job_id": "job", "result": {"path": "p"}})
    discharge_due()
    with broker.client() as client:
        message = json.loads(client.lpop("shop"))  # type: ignore[arg-type]
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert kwargs == {"job_id": "job", "result": {"path": "p"}}


def test_queues_of_another_type_hold_up_no_other(here: Ledger, broker: Valkey) -> None:  # noqa: F811
    """Behind two hundred notifications for as many keys of another type, older than they are, six
    honest ones are sent before any is tried again; a malformed binding of their queue, or one of
    another type, keeps none.
    """
    with broker.client() as client:
        for number in range(200):
            queue = f"bad-{number}"
            client.hset(queue, "a", "b") if number % 2 else client.set(queue, "x")
            owe(here, queue)
        client.set("_kombu.binding.good-0", "x")
        client.sadd("_kombu.binding.good-1", "malformed")
    for number in range(6):
        owe(here, f"good-{number}")
    # A slow machine takes more than one round to come to them.
    assert sum(discharge_due() for _ in range(5)) == 6
    assert [length(broker, f"good-{number}") for number in range(6)] == [1] * 6
    (left,) = here.outbox.waiting()
    assert left["count"] == 200
    assert "WRONGTYPE" in left["reason"]


def test_thousands_for_one_queue_leave_their_turn_to_others(
    here: Ledger,  # noqa: F811
    broker: Valkey,
) -> None:
    """Two thousand older notifications for one refusing queue: it is asked once in a round, and the
    others are sent in the first one, however often the round has come.
    """
    with broker.client() as client:
        client.set("bad", "x")
        for number in range(2000):
            owe(here, "bad", f"job-{number}")
        for _ in range(3):
            owe(here, "good")
            client.config_resetstat()
            assert discharge_due() == 1
            assert client.info("errorstats").get("errorstat_WRONGTYPE", {"count": 0})["count"] <= 1
            due_again(here)
    assert length(broker, "good") == 3


def test_one_that_can_not_be_written_stops_no_other_for_its_queue(
    here: Ledger,  # noqa: F811
    broker: Valkey,
) -> None:
    """Payloads of no form, and queues of our own: each is refused alone, nothing of it is written,
    and what is sound goes to the same queue.
    """
    here.outbox.owe("j", "india", NOTIFY, {})
    here.outbox.owe("j", "india", NOTIFY, {"queue": "q", "task": "t", "kwargs": []})
    owe(here, "q", kwargs={"job_id": "j"})
    for own in ("earwitness", "earwitness.due", "earwitness.unacked", "_kombu.binding.x", "/0.x"):
        owe(here, own)
    owe(here, "q")
    assert discharge_due() == 1
    assert length(broker, "q") == 1
    with broker.client() as client:
        assert {key.decode() for key in client.scan_iter()} == {"q"}


def test_what_is_refused_for_a_day_is_given_up_with_an_alert(
    here: Ledger,  # noqa: F811
    broker: Valkey,
) -> None:
    """It is tried for a day, then no more: one alert for the queue says so, with the reason. The
    queue taking another notification closes it.
    """
    with broker.client() as client:
        client.set("orders", "x")
    for number in range(3):
        owe(here, "orders", f"job-{number}")
    discharge_due()
    refused_since(here, DAY_SECONDS - 60)
    due_again(here)
    discharge_due()
    assert here.outbox.waiting()[0]["count"] == 3
    assert here.notifications.given_up() is None
    refused_since(here, 120)
    due_again(here)
    discharge_due()
    discharge_due()
    (opened,) = here.alerts.all_open()
    assert (opened["cause"], opened["kind"]) == ("notification:orders", NOTIFICATION)
    assert opened["repeated"] == 2
    assert "WRONGTYPE" in opened["message"]
    given_up = here.notifications.given_up()
    assert given_up is not None
    assert given_up["count"] == 3
    (one,) = here.notifications.of_job("job-1")
    assert (one.queue, one.state) == ("orders", "given up")
    with broker.client() as client:
        client.delete("orders")
    due_again(here)
    discharge_due()
    assert length(broker, "orders") == 0
    owe(here, "orders", "job-4")
    discharge_due()
    assert length(broker, "orders") == 1
    assert here.alerts.all_open() == []


def test_the_time_without_redis_is_held_against_nobody(
    here: Ledger,  # noqa: F811
    broker: Valkey,
) -> None:
    """However long Redis is away, full, or a replica: nothing is given up, no try counts, and what
    waits is sent as soon as it answers.
    """
    owe(here, "good")
    with broker.client() as client:
        client.replicaof("127.0.0.1", "1")
        for _ in range(3):
            assert discharge_due() == 0
            refused_since(here, DAY_SECONDS)
            pass_time(here, DAY_SECONDS, obligations.c.created_at)
            due_again(here)
        client.replicaof("NO", "ONE")
    (one,) = here.notifications.of_job("job")
    assert (one.attempts, one.state) == (0, "waiting")
    assert discharge_due() == 1
    assert here.alerts.all_open() == []


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (exceptions.ConnectionError("Connection refused"), True),
        (exceptions.TimeoutError("Timeout reading"), True),
        (exceptions.BusyLoadingError("loading the dataset"), True),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), True),
        (exceptions.OutOfMemoryError("command not allowed when used memory"), True),
        (exceptions.MasterDownError("Link with MASTER is down"), True),
        (exceptions.AuthenticationError("invalid password"), True),
        (exceptions.MaxConnectionsError("Too many connections"), True),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), True),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), True),
        (exceptions.ResponseError("BUSY Redis is busy running a script."), True),
        (
            exceptions.NoPermissionError("User x has no permissions to run the 'lpush' command"),
            True,
        ),
        (OSError("no route to host"), True),
        (exceptions.NoPermissionError("No permissions to access a key"), False),
        (exceptions.NoPermissionError("No permissions to access a channel"), False),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), False),
        (exceptions.DataError("Invalid input of type"), False),
        (ValueError("not enough values to unpack"), False),
    ],
)
def test_redis_away_is_told_from_a_refusal(error: Exception, away: bool) -> None:
    """What any command would meet is Redis being away; what one key met is a refusal."""
    assert is_away(error) is away


def test_entries_and_receipts_that_fail_hold_up_no_other_account(
    here: Ledger,  # noqa: F811
    broker: Valkey,  # noqa: ARG001
) -> None:
    """Three hundred things of one account that can never be done, of kinds that this version knows
    and of others, and one sound entry each of it and of another account, younger than they are:
    the other account's entry is under the chain after one round, its own after a few.
    """
    for number in range(60):
        for kind in ("chain", "receipt", "aerogram", "alert", NOTIFY):
            here.outbox.owe(f"nobody-{number}", "india", kind, {"number": number})
    for account in ("india", "legal"):
        entry = {"path": f"{account}/a.json", "sha256": "0" * 64}
        here.outbox.owe("j", account, "chain", entry)
    discharge_due()
    assert "legal/a.json" not in here.archive_record.unchained()
    for _ in range(9):
        discharge_due()
    assert here.archive_record.unchained() == set()


def test_the_line_of_an_alert_closed_by_hand_stays_closed(here: Ledger, broker: Valkey) -> None:  # noqa: F811
    """A person closes the alert of a refusing queue; it opens again only where another notification
    is given up.
    """
    with broker.client() as client:
        client.set("q 660111222", "x")
    owe(here, "q 660111222")
    discharge_due()
    refused_since(here, DAY_SECONDS)
    due_again(here)
    discharge_due()
    (opened,) = here.alerts.all_open()
    assert "660111222" not in opened["cause"]
    here.alerts.close_by_hand(opened["cause"], by="ana", note="gone")
    due_again(here)
    discharge_due()
    assert here.alerts.all_open() == []
