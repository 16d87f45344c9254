"""An alert that its receiver refuses holds up no other; a receiver that is away is not pressed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger.alerts import DAY, Alert
from ledger.core.outbox import WEBHOOK
from ledger.ledger import Ledger
from tasks.runtime.alerts import deliver_due
from tasks.runtime.outbox import discharge_due

from .alert_receiver import AlertReceiver
from .test_alerts import due_again, here, receiver  # noqa: F401 - fixtures


def _told(ledger: Ledger, count: int) -> None:
    """So many alerts, each owed to the receiver."""
    for number in range(count):
        ledger.alerts.open(Alert(f"day:india:{number:03}", DAY, "india", f"day {number}"))
    while discharge_due():
        pass


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_refused_alerts_do_not_hold_up_the_next(
    here: Callable[..., Ledger],  # noqa: F811
    receiver: AlertReceiver,  # noqa: F811
    status: int,
) -> None:
    """Forty that the receiver answers with a refusal stay pending; the forty-first is taken in the
    same round, and a new one before any of them is sent again.
    """
    ledger = here(receiver.url)
    _told(ledger, 41)
    receiver.meets = [*[status] * 40, 200]
    assert deliver_due() == 1
    (owed,) = ledger.outbox.waiting()
    assert owed["count"] == 40
    assert f"HTTP {status}" in owed["reason"]
    due_again(ledger)
    ledger.alerts.open(Alert("day:india:new", DAY, "india", "news"))
    discharge_due()
    receiver.received.clear()
    receiver.meets = [200, status]
    assert deliver_due() == 1
    assert receiver.taken()[0]["cause"] == "day:india:new"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_that_asks_to_wait_is_asked_once_in_a_round(
    here: Callable[..., Ledger],  # noqa: F811
    receiver: AlertReceiver,  # noqa: F811
    status: int,
) -> None:
    """What it says is of itself, not of one alert."""
    ledger = here(receiver.url)
    _told(ledger, 5)
    receiver.meets = [status]
    assert deliver_due() == 0
    assert len(receiver.received) == 1


def test_an_alert_of_another_version_holds_up_no_other(
    here: Callable[..., Ledger],  # noqa: F811
    receiver: AlertReceiver,  # noqa: F811
) -> None:
    """What this version cannot write stays pending, with its kind of failure as the reason."""
    ledger = here(receiver.url)
    ledger.outbox.owe("", "india", WEBHOOK, {"cause": "x", "of": "a later version"})
    _told(ledger, 1)
    assert deliver_due() == 1
    (owed,) = ledger.outbox.waiting()
    assert "cannot write the alert (KeyError)" in owed["reason"]
