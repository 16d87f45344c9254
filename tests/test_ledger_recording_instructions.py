"""Instructions in the ledger: what is told twice, late, early or by nobody, on either database."""

from __future__ import annotations

from typing import Any

from ledger import recording_instructions as recorded
from ledger.core import states
from ledger.core.opening import Request
from ledger.core.schema import jobs
from ledger.ledger import Ledger
from ledger.recording_instructions import ToRecord

from .ledgers import NOTIFY, QUEUE, at_once, pass_time

URL = "http://pbx.local/a.mp3"
TOKEN = "t" * 43


def _opened(
    ledger: Ledger, request_id: str = "r1", *, control: str = "ozml_third_party", **more: Any
) -> Request:
    """A start with its instruction and its collection, opened and put off."""
    collects = Request(
        kind="recording.collect",
        account="office",
        request_id=f"of-{request_id}",
        parameters={"call_id": "uteom"},
        queue=QUEUE,
        waits_seconds=3600,
        reason="waits for the end",
    )
    request = Request(
        kind="recording.start",
        account="office",
        request_id=request_id,
        parameters={"call_id": "uteom"},
        queue=QUEUE,
        lifetime_seconds=60,
        companion=collects,
        details=ToRecord(more.pop("token", TOKEN), "uteom", control, {"format": "mp3"}),
    )
    _, lease = ledger.execution.begin(request, by="test", notify=NOTIFY)
    assert lease is not None
    ledger.execution.postpone(lease, "waits for a notification", seconds=60)
    return request


def _due(ledger: Ledger) -> list[str]:
    hints = ledger.wakeups.due(QUEUE, room=10, queue_is_empty=True)
    return sorted(hint.kind for hint in hints)


def test_opened_together(ledger: Ledger) -> None:
    """A start, its instruction and its collection are there together; the collection waits, and
    tells its end to whom the start does.
    """
    request = _opened(ledger)
    found = ledger.recording_instructions.of_job(request.job_id)
    assert found is not None
    assert request.companion is not None
    assert (found.state, found.collect_job_id) == (recorded.ARMED, request.companion.job_id)
    collects = ledger.jobs.job(request.companion.job_id)
    assert (collects.state, collects.reason) == (states.WAITING, "waits for the end")
    assert _due(ledger) == []
    assert ledger.waiters.job_of(collects.job_id) == collects.job_id


def test_opened_twice(ledger: Ledger) -> None:
    """The same start asked for again joins the first, with the first's instruction."""
    request = _opened(ledger)
    joined, lease = ledger.execution.begin(request, by="test")
    assert lease is None
    assert joined.job_id == request.job_id


def test_answered_once(ledger: Ledger) -> None:
    """Of many who say that it was answered, one brings news; the start is due then."""
    _opened(ledger)
    said = at_once(*[lambda: ledger.recording_instructions.mark_answered(TOKEN)] * 4)
    assert sorted(said) == [False, False, False, True]
    assert _due(ledger) == ["recording.start"]


def test_completed_many_times(ledger: Ledger) -> None:
    """Of many who tell of the end, one brings news; start and collection are due then, and the
    address stays what it was.
    """
    request = _opened(ledger)
    said = at_once(
        *[lambda: ledger.recording_instructions.mark_completed("office", TOKEN, URL)] * 4
    )
    assert sorted(said) == ["repeated", "repeated", "repeated", "stored"]
    assert _due(ledger) == ["recording.collect", "recording.start"]
    # Late, and by a detour: nothing changes any more.
    assert ledger.recording_instructions.mark_answered(TOKEN) is False
    assert (
        ledger.recording_instructions.mark_completed("office", TOKEN, URL + "2") == "other address"
    )
    found = ledger.recording_instructions.of_job(request.job_id)
    assert found is not None
    assert (found.state, found.record_url) == (recorded.COMPLETED, URL)
    assert found.answered_at is not None
    assert [one.kind for one in ledger.outbox.due(limit=9)] == ["alert"]


def test_completed_by_nobody(ledger: Ledger) -> None:
    """A token of nobody, or of another account, changes nothing."""
    _opened(ledger)
    assert ledger.recording_instructions.mark_completed("office", "x" * 43, URL) == "no instruction"
    assert ledger.recording_instructions.mark_completed("home", TOKEN, URL) == "no instruction"
    assert ledger.recording_instructions.exists("office", TOKEN, patience_seconds=5)
    assert not ledger.recording_instructions.exists("home", TOKEN, patience_seconds=5)
    assert _due(ledger) == []


def test_armed_for_whom_it_is_of_use(ledger: Ledger) -> None:
    """Armed is what waits for a notification: not what was answered, cancelled, is past not_after,
    or is asked for by HTTP.
    """
    requests = {
        name: _opened(ledger, name, token=name, control=control)
        for name, control in (
            ("first", "ozml_third_party"),
            ("answered", "ozml_extension"),
            ("cancelled", "ozml_extension"),
            ("http", "http"),
            ("last", "ozml_extension"),
        )
    }
    ledger.recording_instructions.mark_answered("answered")
    ledger.operator_actions.cancel(requests["cancelled"].job_id, by="ana", why="no more")
    armed = ledger.recording_instructions.armed(patience_seconds=5)
    assert [one.instruction.token for one in armed] == ["first", "last"]
    assert all(50 < one.seconds_left <= 60 for one in armed)

    pass_time(ledger, 61, jobs.c.not_after)
    assert ledger.recording_instructions.armed(patience_seconds=5) == []


def test_completed_after_everything(ledger: Ledger) -> None:
    """An end that is told after the collection's own is kept, and an alert is pending."""
    request = _opened(ledger)
    assert request.companion is not None
    ledger.operator_actions.cancel(request.companion.job_id, by="ana", why="no more")
    for one in ledger.outbox.due(limit=9):
        ledger.outbox.discharged([one.id])
    assert ledger.recording_instructions.mark_completed("office", TOKEN, URL) == "stored"
    (alert,) = ledger.outbox.due(limit=9)
    assert "retry this job" in alert.payload["message"]


def test_how_long_a_call_is_gone(ledger: Ledger) -> None:
    """It is counted from the first time that it was not listed, and again once it was again."""
    _opened(ledger)
    assert ledger.recording_instructions.call_seen(TOKEN, live=True) is None
    gone = ledger.recording_instructions.call_seen(TOKEN, live=False)
    assert gone is not None
    again = ledger.recording_instructions.call_seen(TOKEN, live=False)
    assert again is not None
    assert again >= gone
    assert ledger.recording_instructions.call_seen(TOKEN, live=True) is None


def test_the_newest_of_a_call(ledger: Ledger) -> None:
    """Who asks for a call's collection is given that of its last start."""
    _opened(ledger, "first", token="first")
    last = _opened(ledger, "last", token="last")
    found = ledger.recording_instructions.newest("office", "uteom")
    assert found is not None
    assert found.job_id == last.job_id
    assert ledger.recording_instructions.newest("home", "uteom") is None


def test_a_start_that_is_due_later_arms_nothing_before(ledger: Ledger) -> None:
    """A notification that comes before a start is due is not answered by it; its collection waits
    for as long after that as it would otherwise.
    """
    at = ledger.database.time() + 1000
    collects = Request("recording.collect", "office", "c", {}, QUEUE, waits_seconds=60, reason="w")
    request = Request(
        kind="recording.start",
        account="office",
        request_id="r1",
        parameters={},
        queue=QUEUE,
        due_at=at,
        lifetime_seconds=60,
        companion=collects,
        details=ToRecord(TOKEN, "uteom", "ozml_third_party", {}),
    )
    job, lease = ledger.execution.begin(request, by="test")
    assert (lease, job.state, job.next_attempt_at, job.not_after) == (None, "waiting", at, at + 60)
    collection = ledger.jobs.job(collects.job_id)
    assert (collection.next_attempt_at, collection.began_at) == (at + 60, at)
    assert ledger.recording_instructions.armed(patience_seconds=5) == []
    pass_time(ledger, 1001, jobs.c.next_attempt_at, jobs.c.not_after)
    (armed,) = ledger.recording_instructions.armed(patience_seconds=5)
    assert armed.instruction.token == TOKEN
