"""The daily cap of paid calls: reserved when a call is opened, given back when nothing left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import update

from ledger.core import states
from ledger.core.schema import call_days
from ledger.daily_quota import Cap
from ledger.errors import CapReached
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    NO_ANSWER,
    SAID_KO,
    SAID_OK,
    a_day_goes_by,
    another_holds_it,
    begins,
    begun,
    call,
    counted,
    everything,
    its_worker_dies,
    refused_by_the_cap,
    sending,
    sends,
)
from .ledgers import answer_lost, at_once, claim_job, in_processes

OpenLedger = Callable[..., Ledger]

#: Their days are never the same: they are 25 hours apart.
FIRST, LAST = Cap(3, "Pacific/Pago_Pago"), Cap(3, "Pacific/Kiritimati")


def test_the_cap_opens_nothing(ledger: Ledger) -> None:
    """The fourth of three is refused at once: no job, no history, no waiter; others continue."""
    for n in range(3):
        begun(ledger, f"r{n}")
    before = everything(ledger)
    with pytest.raises(
        CapReached,
        match=r"^not done: account 'legal' has reached its 3 certified calls for .*"
        r"use the same request id again tomorrow$",
    ):
        ledger.execution.begin(
            call("r4", task_id="t4"), by="test", notify={"task": "x", "queue": "y"}
        )
    assert everything(ledger) == before
    assert begins(ledger, call("r1")) == (call("r1").job_id, False)


def test_the_front_doors_opening_keeps_to_the_cap_too(ledger: Ledger) -> None:
    """A call that is opened and left for a hint is counted as one that is begun."""
    ledger.opening.open(call(details=Cap(1, "UTC")), by="test")
    with pytest.raises(CapReached):
        ledger.opening.open(call("r2", details=Cap(1, "UTC")), by="test")
    assert counted(ledger) == [1]


def _begin_some(ledger: Ledger, request_ids: list[str]) -> list[tuple[str, bool]]:
    return list(at_once(*[partial(begins, ledger, call(one)) for one in request_ids]))


def test_twenty_at_once_are_three(ledger: Ledger, ledger_url: str) -> None:
    """Five processes with four threads each: exactly as many are opened as the cap allows."""
    wanted = [[f"p{process}-{thread}" for thread in range(4)] for process in range(5)]
    told = [one for some in in_processes(_begin_some, ledger_url, wanted) for one in some]
    assert told.count(("CapReached", False)) == 17
    assert sum(held for _, held in told) == 3
    assert counted(ledger) == [3]
    assert len(ledger.jobs.jobs()) == 3


def test_accounts_do_not_share_a_cap(ledger: Ledger) -> None:
    """One that is full leaves the other as it is."""
    begun(ledger, details=Cap(1, "UTC"))
    assert refused_by_the_cap(ledger, "r2", details=Cap(1, "UTC"))
    begun(ledger, account="other", details=Cap(1, "UTC"))
    assert (counted(ledger), counted(ledger, "other")) == ([1], [1])


def test_a_reservation_whose_answer_was_lost(ledger: Ledger) -> None:
    """One call takes one place, and gives one back."""
    with answer_lost(ledger):
        _, lease = begun(ledger)
    assert counted(ledger) == [1]
    with answer_lost(ledger):
        ledger.execution.finish(lease, states.FAILED)
    assert counted(ledger) == [0]


@pytest.mark.parametrize("end", [states.FAILED, states.CANCELLED])
def test_what_ends_unsent_gives_its_place_back(ledger: Ledger, end: str) -> None:
    """Expired, cancelled while it ran, failed before sending: another call may take its place."""
    _, lease = begun(ledger, details=Cap(1, "UTC"))
    ledger.execution.finish(lease, end, reason="not done: not_after has passed")
    assert counted(ledger) == [0]
    begun(ledger, "r2", details=Cap(1, "UTC"))


def test_a_cancelled_call_gives_its_place_back(ledger: Ledger) -> None:
    """Pending or waiting, at once; twice is harmless."""
    pending, _ = ledger.opening.open(call(), by="test")
    waiting, lease = begun(ledger, "r2")
    ledger.execution.postpone(lease, "the platform can not be reached", seconds=60)
    assert counted(ledger) == [2]
    for job in (pending, waiting, pending, waiting):
        ledger.operator_actions.cancel(job.job_id, by="operator")
    assert counted(ledger) == [0]


def test_a_call_that_waits_keeps_its_place(ledger: Ledger) -> None:
    """Put off or taken from a dead worker it is still one call."""
    job, lease = begun(ledger)
    ledger.execution.postpone(lease, "the platform can not be reached", seconds=0)
    claim_job(ledger, job.job_id)
    another_holds_it(ledger, job.job_id)
    assert counted(ledger) == [1]


@pytest.mark.parametrize("outcome", [SAID_OK, SAID_KO, NO_ANSWER], ids=["OK", "KO", "none"])
def test_what_was_sent_keeps_its_place(ledger: Ledger, outcome: object) -> None:
    """Placed, refused or unknown: it may have left, so it counts."""
    _, lease = sending(ledger)
    assert isinstance(outcome, type(SAID_OK))
    ledger.calls.store_outcome(lease, outcome, own_task=None)
    assert counted(ledger) == [1]


def test_a_decision_gives_nothing_back(ledger: Ledger) -> None:
    """A call said not to have been placed was sent all the same."""
    job, _ = sending(ledger)
    its_worker_dies(ledger)
    ledger.lease_expiry.take_from_the_dead()
    ledger.operator_actions.resolve(job.job_id, placed=False, by="ana", note="not in the panel")
    assert counted(ledger) == [1]


def test_a_call_is_counted_on_the_day_it_leaves(ledger: Ledger) -> None:
    """Opened before midnight and sent after: its place moves, whose day is the account's own."""
    _, lease = begun(ledger, details=FIRST)
    ledger.calls.send(lease, LAST)
    assert counted(ledger) == [0, 1]
    ledger.calls.store_outcome(lease, SAID_OK, own_task=None)
    assert counted(ledger) == [0, 1]


def test_after_midnight_there_is_room_again(ledger: Ledger) -> None:
    """Yesterday's calls do not count today, and one of them that waits needs a place today."""
    leases = [begun(ledger, f"r{n}")[1] for n in range(3)]
    assert refused_by_the_cap(ledger, "r4")
    a_day_goes_by(ledger)
    begun(ledger, "r4")
    assert [sends(ledger, lease) for lease in leases] == ["sent", "sent", "CapReached"]
    assert counted(ledger) == [1, 3]
    ledger.execution.finish(leases[2], states.FAILED)
    assert counted(ledger) == [0, 3]


def test_the_last_place_of_a_day_is_a_place(ledger: Ledger) -> None:
    """A call that holds it is sent, day after day: neither a full counter nor those of other days
    hold it back.
    """
    for name in ("yesterday", "today"):
        _, lease = begun(ledger, name, details=Cap(1, CAP.timezone))
        ledger.calls.send(lease, Cap(1, CAP.timezone))
        if name == "yesterday":
            a_day_goes_by(ledger)
    assert counted(ledger) == [1, 1]


def test_midnight_whose_answer_was_lost(ledger: Ledger) -> None:
    """The place moves once."""
    _, lease = begun(ledger)
    a_day_goes_by(ledger)
    with answer_lost(ledger):
        ledger.calls.send(lease, CAP)
    assert counted(ledger) == [0, 1]


def test_a_cap_that_was_raised_counts_at_once(ledger: Ledger) -> None:
    """It is the cap of the moment that counts, for who asks and for who sends."""
    begun(ledger, details=Cap(1, CAP.timezone))
    assert refused_by_the_cap(ledger, "r2", details=Cap(1, CAP.timezone))
    sending(ledger, "r2", details=Cap(2, CAP.timezone))


def test_a_counter_never_falls_below_zero(ledger: Ledger) -> None:
    """Whatever somebody did to it, giving back does not make room for more than the cap."""
    _, lease = begun(ledger)
    ledger.database.write(lambda connection: connection.execute(update(call_days).values(calls=0)))
    ledger.execution.finish(lease, states.FAILED)
    assert counted(ledger) == [0]


def test_many_who_send_after_midnight(open_ledger: OpenLedger) -> None:
    """Calls of yesterday and of today meet under the cap: none waits for another for ever, and
    no more are sent than may be, while some give their places back.
    """
    here, there = open_ledger(), open_ledger()
    wide = Cap(9, CAP.timezone)
    old = [begun(here, f"old{n}", details=wide)[1] for n in range(6)]
    a_day_goes_by(here)
    told = at_once(
        *[partial(sends, here, lease) for lease in old[:2]],
        *[partial(sends, there, lease) for lease in old[2:4]],
        *[partial(here.execution.finish, lease, states.FAILED) for lease in old[4:]],
        *[partial(begins, there, call(f"new{n}", details=wide)) for n in range(2)],
    )
    sent = told[:4].count("sent")
    assert sent >= 1
    assert counted(here) == [4 - sent, sent + 2]
