"""Alerts about a ledger and a Redis that are unavailable, sent through whichever still works."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from redis import exceptions

from ledger.ledger import Ledger
from tasks.runtime.ledger_alert import LedgerAlert
from worker.redis.away_alert import CAUSE, RedisAlert

from .alert_receiver import AlertReceiver
from .test_alerts import genuine, here, receiver  # noqa: F401 - fixtures
from .test_ledger_outages import away

Here = Callable[..., Ledger]
#: Shorter than the outage that `away` makes.
SOON = 0.2


def test_a_ledger_that_is_away_is_told_without_it(
    here: Here,  # noqa: F811
    receiver: AlertReceiver,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Log line and signed webhook, once, with the ledger's identity; a receiver that refuses is
    sent the same message again; and once more when the ledger answers.
    """
    ledger = here(receiver.url)
    identity = ledger.identity.identity()
    alert = LedgerAlert("celery@a", after_seconds=SOON)
    alert.look()
    assert receiver.received == []
    receiver.meets[:] = [500, 200]
    with away(ledger):
        for _ in range(3):
            alert.look()
        assert [met for met, _, _ in receiver.received] == [500], "it asks at every round"
        alert._messages[0].due_at = time.monotonic()
        alert.look()
    (_, headers, body) = receiver.received[-1]
    assert genuine()(headers, body, "signed-with-this")
    (told,) = receiver.taken()
    assert told["id"] == json.loads(receiver.received[0][2])["id"]
    assert (told["state"], told["cause"], told["kind"]) == ("open", "ledger:celery@a", "ledger")
    assert (told["deployment"], told["account"], told["job_id"]) == (identity, "*", None)
    ledger.database.time()
    for _ in range(3):
        alert.look()
    assert [one["state"] for one in receiver.taken()] == ["open", "resolved"]
    assert receiver.taken()[1]["cause"] == told["cause"]
    assert receiver.taken()[1]["id"] != told["id"]
    lines = [one.message for one in caplog.records if one.name == "earwitness.alerts"]
    assert [line.partition(" since")[0] for line in lines] == [
        "the ledger has not answered worker celery@a",
        "resolved: the ledger has not answered worker celery@a",
    ]


def test_a_ledger_that_blinks_is_no_alert(
    here: Here,  # noqa: F811
    receiver: AlertReceiver,  # noqa: F811
) -> None:
    """An outage that is over before it counts is told to nobody."""
    ledger = here(receiver.url)
    alert = LedgerAlert("celery@a", after_seconds=60)
    alert.look()
    with away(ledger):
        alert.look()
    alert.look()
    assert receiver.received == []


def test_a_ledger_that_hangs_counts_from_the_question(ledger: Ledger) -> None:
    """A frozen database raises no error: the question that does not come back shows it, unless
    others are answered meanwhile.
    """
    outages = ledger.database.outages
    assert outages.lasting() == 0

    def slow(_: object) -> float:
        time.sleep(SOON)
        return outages.lasting()

    assert ledger.database.read(slow) >= SOON
    assert outages.lasting() == 0
    with pytest.raises(ZeroDivisionError):
        ledger.database.read(lambda _: 1 / 0)
    assert outages.lasting() == 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (exceptions.ConnectionError("refused"), "does not answer (ConnectionError)"),
        (exceptions.TimeoutError("frozen"), "does not answer (TimeoutError)"),
        (exceptions.AuthenticationError("WRONGPASS"), "it refuses user or password"),
    ],
)
def test_redis_that_is_away_is_told(
    here: Here,  # noqa: F811
    error: Exception,
    says: str,
) -> None:
    """Once, when it has lasted; it is over when Redis serves the same worker again."""
    ledger = here(None)
    alert, other = RedisAlert("celery@a", after_seconds=SOON), RedisAlert("celery@b")
    alert.answered()
    other.answered()
    alert.failed(error)
    assert ledger.alerts.all_open() == []
    time.sleep(SOON)  # the fault itself lasts
    for _ in range(3):
        alert.failed(error)
    (row,) = ledger.alerts.all_open()
    assert (row["cause"], row["kind"], row["account"]) == (CAUSE, "redis", "*")
    assert (row["repeated"], says in row["message"]) == (0, True)
    other.answered()
    assert len(ledger.alerts.all_open()) == 1, "another worker closed what is still so"
    alert.answered()
    assert ledger.alerts.all_open() == []


def test_a_new_worker_closes_what_a_dead_one_left_open(here: Here) -> None:  # noqa: F811
    """The worker that opened the alert is gone; one that starts and reaches Redis closes it."""
    ledger = here(None)
    gone = RedisAlert("celery@a", after_seconds=0)
    gone.failed(exceptions.ConnectionError("refused"))
    assert len(ledger.alerts.all_open()) == 1
    RedisAlert("celery@b").answered()
    assert ledger.alerts.all_open() == []
