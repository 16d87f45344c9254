"""An export and its parts: opened together, and the last one's end makes the export due, once."""

from __future__ import annotations

from ledger.core import states
from ledger.ledger import Ledger

from .ledgers import QUEUE, at_once, claim_job, in_processes, request, running, steps, with_parts


def _end(ledger: Ledger, job_id: str, state: str = states.DONE) -> None:
    _, lease = claim_job(ledger, job_id)
    ledger.execution.finish(lease, state)


def test_parts_and_count_are_one_transaction(ledger: Ledger) -> None:
    """An export that waits for parts knows how many, and each is a job of its own that is due."""
    parent, parts = with_parts(ledger, 3)
    assert (parent.state, parent.open_parts, parent.next_attempt_at) == (states.WAITING, 3, None)
    assert parent.reason == "waits for 3 parts"
    assert [part.parent_id for part in ledger.jobs.parts(parent.job_id)] == [parent.job_id] * 3
    assert steps(ledger, parts[0].job_id) == [(None, "pending")]
    assert ledger.execution.claim(parent.job_id) is None


def test_every_end_of_a_part_counts(ledger: Ledger) -> None:
    """Done, failed or cancelled: the count goes down, and the last makes the export due at once."""
    parent, (one, two, three) = with_parts(ledger, 3)
    _end(ledger, one.job_id)
    assert ledger.jobs.job(parent.job_id).reason == "waits for 2 more parts"
    ledger.operator_actions.cancel(two.job_id, by="operator")
    assert ledger.jobs.job(parent.job_id).reason == "waits for 1 more part"
    assert ledger.wakeups.due("q", room=5, queue_is_empty=True) == []
    _end(ledger, three.job_id, states.FAILED)
    due = ledger.jobs.job(parent.job_id)
    assert (due.open_parts, due.reason) == (0, "all parts have ended")
    again, _ = claim_job(ledger, parent.job_id)
    assert again.attempts == 2


def test_a_part_that_is_put_off_does_not_count(ledger: Ledger) -> None:
    """Only an end counts, and it counts once: not a wait, nor a takeover."""
    parent, (one, _) = with_parts(ledger, 2)
    _, lease = claim_job(ledger, one.job_id)
    ledger.execution.postpone(lease, "not ready", seconds=0)
    assert ledger.jobs.job(parent.job_id).open_parts == 2
    _end(ledger, one.job_id)
    assert ledger.jobs.job(parent.job_id).open_parts == 1


def test_last_parts_that_end_at_once(ledger: Ledger) -> None:
    """When all the last parts end in the same moment, none misses the other's end: the export is
    due, and announced exactly once.
    """
    for time in range(5):
        parent, parts = with_parts(ledger, 4, request_id=f"run{time}")
        held = [claim_job(ledger, part.job_id)[1] for part in parts]
        at_once(
            *[lambda lease=lease: ledger.execution.finish(lease, states.DONE) for lease in held]
        )
        assert ledger.jobs.job(parent.job_id).open_parts == 0
        hints = ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True)
        assert [hint.job_id for hint in hints] == [parent.job_id]
        assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []


def test_last_parts_that_end_at_once_in_processes(ledger: Ledger, ledger_url: str) -> None:
    """The same with workers that share nothing but the ledger."""
    parent, parts = with_parts(ledger, 4)
    in_processes(_end, ledger_url, [part.job_id for part in parts])
    assert ledger.jobs.job(parent.job_id).open_parts == 0
    hints = ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True)
    assert [hint.job_id for hint in hints] == [parent.job_id]


def test_an_export_without_parts_goes_on(ledger: Ledger) -> None:
    """Nothing will ever end for it, so it does not wait for anything."""
    parent, _ = with_parts(ledger, 0)
    claim_job(ledger, parent.job_id)


def test_parts_of_a_cancelled_export_are_not_opened(ledger: Ledger) -> None:
    """An export cancelled while it asked the provider ends there: no part is opened for it."""
    parent, lease = running(ledger, "run", kind="export.run")
    ledger.operator_actions.cancel(parent.job_id, by="operator")
    part = request("p", kind="export.retrieve", parent_id=parent.job_id)
    assert ledger.execution.await_parts(lease, [part], work={}, queue=QUEUE) == []
    assert ledger.jobs.job(parent.job_id).state == states.CANCELLED
    assert ledger.jobs.parts(parent.job_id) == []


def test_a_cancelled_export_stays_cancelled(ledger: Ledger) -> None:
    """Parts that end after their export was cancelled do not wake it."""
    parent, (one, two) = with_parts(ledger, 2)
    _, lease = claim_job(ledger, one.job_id)
    ledger.operator_actions.cancel(parent.job_id, by="operator")
    assert ledger.jobs.job(two.job_id).state == states.CANCELLED
    said = ledger.jobs.job(parent.job_id).reason
    ledger.execution.finish(lease, states.DONE)
    cancelled = ledger.jobs.job(parent.job_id)
    assert (cancelled.state, cancelled.reason) == (states.CANCELLED, said)
    assert cancelled.next_attempt_at is None
    assert ledger.execution.claim(parent.job_id) is None
