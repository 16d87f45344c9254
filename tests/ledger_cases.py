"""Cases that take a ledger through every step of its jobs, and all the rows that they leave."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from config.version import VERSION
from ledger.core import states
from ledger.core.schema import jobs, metadata
from ledger.errors import LedgerError
from ledger.ledger import Ledger
from ledger.recording_instructions import ToRecord

from .ledger_calls import (
    CAP,
    NO_ANSWER,
    NOTHING_LEFT,
    SAID_KO,
    SAID_OK,
    a_day_goes_by,
    begun,
    call,
    sending,
    sends,
)
from .ledgers import NOTIFY, QUEUE, claim_job, pass_time, request, running, with_parts

BAD_CREDENTIALS = {"type": "BadCredentials", "message": "not done: refused"}
FAR = 4_000_000_000.0


def _placed(ledger: Ledger) -> None:
    """A call that was placed, whose caller asked for a notification and is answered."""
    job, lease = sending(ledger, "placed", NOTIFY, task_id="t-placed", account="a1")
    ledger.calls.store_outcome(lease, SAID_OK, own_task="t-placed")
    ledger.calls.store_outcome(lease, SAID_OK, own_task="t-placed")
    ledger.waiters.mark_answered("t-placed")
    ledger.opening.join(job, "t-late", NOTIFY)
    ledger.execution.begin(
        call("placed", account="a1", task_id="t-placed"), by="test", notify=NOTIFY
    )


def _plain(ledger: Ledger) -> None:
    """Calls that were placed, one of which a second task joined while it was sent."""
    for name in ("plain", "joined"):
        job, lease = sending(ledger, name, task_id=f"t-{name}", account="a13")
        if name == "joined":
            ledger.opening.join(job, "t-joins", None)
        ledger.calls.store_outcome(lease, SAID_OK, own_task=f"t-{name}")
        ledger.waiters.mark_answered(f"t-{name}")


def _two_callers(ledger: Ledger) -> None:
    """A call that a second task joins while it is sent; then both hear of a refusal."""
    _, lease = sending(ledger, "two", task_id="t-one", account="a1")
    asked = call("two", account="a1", task_id="t-two")
    assert ledger.execution.begin(asked, by="test", notify=NOTIFY)[1] is None
    ledger.waiters.mark_answered("t-two")
    ledger.calls.store_outcome(lease, SAID_KO, own_task="t-one")


def _used_elsewhere(ledger: Ledger) -> None:
    """A task's id that is used again for another job, and an id used for something else."""
    begun(ledger, "first", task_id="t-same", account="a2")
    begun(ledger, "second", NOTIFY, task_id="t-same", account="a2")
    other = call("second", account="a2", parameters={"country": "FR"})
    _refused(lambda: ledger.execution.begin(other, by="test"), "RequestConflict")


def _decided(ledger: Ledger) -> None:
    """A call without an answer, which a person decides, and whose answer comes after that."""
    job, lease = sending(ledger, "decided", task_id="t-decided", account="a3")
    ledger.calls.store_outcome(lease, NO_ANSWER, own_task="t-decided")
    ledger.operator_actions.resolve(job.job_id, placed=True, by="me", note="seen in the panel")
    ledger.calls.store_outcome(lease, SAID_OK, own_task="t-decided")


def _dead_sender(ledger: Ledger) -> None:
    """A call whose sender is taken for dead, and answers after all."""
    job, lease = sending(ledger, "dead", task_id="t-dead", account="a4")
    _worker_dies(ledger, job.job_id)
    ledger.calls.store_outcome(lease, SAID_OK, own_task="t-dead")


def _unsent(ledger: Ledger) -> None:
    """Calls of which nothing left: taken back and sent later, and ended unsent."""
    job, lease = sending(ledger, "back", task_id="t-back", account="a5")
    back = {"seconds": 0.0, "work": {"tries": 1}, "unsent": NOTHING_LEFT, "own_task": "t-back"}
    ledger.calls.take_back(lease, "nothing left", **back)  # type: ignore[arg-type]
    _, lease = claim_job(ledger, job.job_id)
    assert sends(ledger, lease) == "sent"
    _worker_dies(ledger, job.job_id)
    ledger.calls.take_back(lease, "nothing left", **back)  # type: ignore[arg-type]


def _refusals(ledger: Ledger) -> None:
    """Calls that may not leave: late, cancelled, held by another, sent before, and too many."""
    one, first = begun(ledger, "late", account="a6", not_after=FAR)
    _set(ledger, one.job_id, not_after=1.0)
    assert sends(ledger, first) == "Expired"
    two, second = begun(ledger, "cancelled", account="a6", task_id="t-cancelled")
    ledger.operator_actions.cancel(two.job_id, by="me", why="no need")
    assert sends(ledger, second) == "NotPossible"
    three, third = begun(ledger, "lost", account="a6")
    _worker_dies(ledger, three.job_id)
    claim_job(ledger, three.job_id)
    assert sends(ledger, third) == "LeaseLost"
    asked = call("fourth", account="a6", task_id="t-fourth")
    _refused(lambda: ledger.execution.begin(asked, by="test", notify=NOTIFY), "CapReached")
    _, again = sending(ledger, "again", account="a7")
    assert sends(ledger, again) == "LeaseLost"
    _, last = begun(ledger, "lowered", account="a7")
    _refused(lambda: ledger.calls.send(last, replace(CAP, limit=1)), "CapReached")


def _alerts(ledger: Ledger) -> None:
    """Alerts that failures open and count, and that a success closes."""
    for n in (1, 2):
        _, lease = begun(ledger, f"wrong{n}", account="a8")
        error = BAD_CREDENTIALS | {"message": f"not done: refused {n}"}
        ledger.execution.finish(lease, states.FAILED, reason=error["message"], error=error)
    _, lease = sending(ledger, "right", account="a8")
    ledger.calls.store_outcome(lease, SAID_OK, own_task=None)


def _midnight(ledger: Ledger) -> None:
    """Calls that were reserved for yesterday: one is sent today, one ends without being sent."""
    _, first = begun(ledger, "overnight", account="a9")
    _, second = begun(ledger, "dropped", account="a9")
    a_day_goes_by(ledger)
    ledger.calls.send(first, CAP)
    ledger.execution.finish(second, states.CANCELLED, reason="not done: enough")


def _steps(ledger: Ledger) -> None:
    """A job that is announced, taken up, noted, put off and done, with what its end owes."""
    asked = request("steps", task_id="t-steps")
    job, number = ledger.opening.open(asked, by="test", notify=NOTIFY)
    claimed = ledger.execution.claim(job.job_id, number)
    assert claimed is not None
    assert ledger.execution.claim(job.job_id, number) is None
    _, lease = claimed
    for why in ("half", "half", None):
        ledger.execution.note(lease, {"done": 1}, why=why)
    ledger.execution.postpone(
        lease, "later", seconds=0.0, work={"done": 2}, queue="other", progressed=True
    )
    pass_time(ledger, 1, jobs.c.next_attempt_at)
    (hint,) = ledger.wakeups.due("other", room=9, queue_is_empty=True)
    ledger.wakeups.put_back(job.job_id, seconds=0.0)
    claimed = ledger.execution.claim(job.job_id, hint.number)
    assert claimed is not None
    ledger.execution.finish(
        claimed[1], states.DONE, result={"path": "p"}, obligations=[("chain", {"path": "p"})]
    )
    ledger.waiters.note_retry_shown("t-steps")
    _refused(lambda: ledger.execution.note(lease, {}), "LeaseLost")


def _parts(ledger: Ledger) -> None:
    """An export whose parts end, and one whose worker finds that it was cancelled."""
    _, parts = with_parts(ledger, 2, "parts")
    for part in parts:
        ledger.execution.finish(claim_job(ledger, part.job_id)[1], states.DONE)
    job, lease = running(ledger, "gone")
    ledger.operator_actions.cancel(job.job_id, by="me")
    ledger.execution.postpone(lease, "later", seconds=None)
    job, _ = running(ledger, "fatal")
    for _ in range(5):
        _worker_dies(ledger, job.job_id)
        ledger.execution.claim(job.job_id)


def _later(ledger: Ledger) -> None:
    """Jobs with a later time: one waits, one would be too late."""
    for name, not_after in (("tomorrow", None), ("void", FAR - 1)):
        asked = call(name, account="a10", due_at=FAR, not_after=not_after, task_id=f"t-{name}")
        ledger.opening.open(asked, by="test", notify=NOTIFY)


def _companion(ledger: Ledger) -> None:
    """A start with its instruction and its collection."""
    collects = request(
        "of-start", kind="recording.collect", parameters={}, waits_seconds=3600, reason="waits"
    )
    details = ToRecord("t" * 43, "call", "ozml_third_party", {"format": "mp3"})
    start = request("start", kind="recording.start", companion=collects, details=details)
    ledger.execution.begin(start, by="test", notify=NOTIFY)


def _quarantine(ledger: Ledger) -> None:
    """Calls that a restored ledger does not place."""
    begun(ledger, "unsent", account="a11", task_id="t-unsent")
    ledger.identity.quarantine(by="me", note="restored")
    asked = call("withheld", account="a11", task_id="t-withheld")
    assert ledger.execution.begin(asked, by="test", notify=NOTIFY)[1] is None
    ledger.opening.open(replace(asked, request_id="opened", task_id=None), by="test")


def _outbox(ledger: Ledger) -> None:
    """What is pending is claimed, and discharged, failed or put off."""
    for n in range(4):
        ledger.outbox.owe("", "a12", "chain", {"n": n})
    ids = [one.id for one in ledger.outbox.due(limit=500) if one.account == "a12"]
    ledger.outbox.discharged(ids[:2])
    ledger.outbox.failed(ids[2:3], "away")
    ledger.outbox.put_off(ids[3:], "away")
    ledger.waiters.due(queue=QUEUE, limit=100)


CASES: list[Callable[[Ledger], None]] = [
    *(_placed, _plain, _two_callers, _used_elsewhere, _decided, _dead_sender, _unsent, _refusals),
    *(_alerts, _steps, _parts, _later, _companion, _outbox, _midnight, _quarantine),
]


def _worker_dies(ledger: Ledger, job_id: str) -> None:
    _set(ledger, job_id, lease_until=1.0)
    assert [one.job_id for one in ledger.lease_expiry.take_from_the_dead()] == [job_id]


def _refused(act: Callable[[], Any], name: str) -> None:
    with pytest.raises(LedgerError) as refusal:
        act()
    assert type(refusal.value).__name__ == name


def _set(ledger: Ledger, job_id: str, **values: Any) -> None:
    ledger.database.write(
        lambda connection: connection.execute(
            update(jobs).where(jobs.c.job_id == job_id).values(**values)
        )
    )


#: Times that a step sets ahead: of the job's opening, or of its last change.
_AHEAD = {"lease_until", "next_attempt_at", "not_after"}
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def rows(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, without what differs from one run to the next: times are "time",
    or the tens of seconds that they lie ahead, random ids are "random", and NULLs are left out.
    """

    def work(connection: Connection) -> dict[str, list[dict[str, Any]]]:
        return {
            table.name: sorted(
                (
                    {
                        name: _told(ledger, name, row)
                        for name, value in row.items()
                        if value is not None
                    }
                    for row in connection.execute(select(table)).mappings()
                ),
                key=lambda row: str(row["id"]).rjust(9) if "id" in row else str(row),
            )
            for table in metadata.sorted_tables
        }

    return ledger.database.read(work)


def _told(ledger: Ledger, name: str, row: Any) -> Any:
    value = row[name]
    if name in _AHEAD and 1e9 < value < FAR - 1:
        ahead = value - row["created_at" if name == "not_after" else "updated_at"]
        return f"{10 * round(ahead / 10)} s ahead"
    if isinstance(value, date):
        return "day"
    return _plain(ledger, value)


def _plain(ledger: Ledger, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(ledger, one) for name, one in value.items()}
    if isinstance(value, float) and 1e9 < value < FAR - 1:
        return "time"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        value = _RANDOM.sub("random", value).replace(ledger.worker, "worker")
        value = "version" if value == VERSION else value
        return re.sub(r"\d{4}-\d\d-\d\d(T[0-9:]+Z)?", "date", value)
    return value
