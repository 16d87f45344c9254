"""Writing known jobs back into a ledger, with their calls and recordings.

Known jobs are added once: an end in the ledger is never replaced by another.
"""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, and_, insert, literal, select, update

from ledger.call_outcomes import UNKNOWN
from ledger.core import states
from ledger.core.database import insert_into, now
from ledger.core.job import FINGERPRINT_VERSION, fingerprint
from ledger.core.prepared import by_no_index
from ledger.core.schema import audit, call_days, calls, instructions, jobs, obligations
from ledger.core.transitions import change, record_end
from ledger.recording_instructions import COMPLETED

from .snapshots import KnownCall, KnownJob, KnownRecording


def take_job(connection: Connection, known: KnownJob, by: str) -> bool:
    """Add a job, or end an open job as it is known to have ended; return whether that changed the
    ledger.
    """
    is_new = _inserted(connection, known, by) or _caught_up(connection, known, by)
    if known.call is not None:
        _call(connection, known.job_id, known.account, known.call)
    if known.recording is not None and is_new:
        _recording(connection, known, known.recording)
    return is_new


def _inserted(connection: Connection, known: KnownJob, by: str) -> bool:
    names = ("job_id", "kind", "account", "request_id", "parameters", "queue", "state", "reason")
    values = {name: getattr(known, name) for name in names}
    row = connection.execute(
        insert_into(connection, jobs)
        .values(
            **values,
            error=known.error,
            result=known.result,
            task_id=known.job_id,
            fingerprint=fingerprint(known.parameters),
            fingerprint_version=FINGERPRINT_VERSION,
            work={"archived": known.archived} if known.archived else {},
            attempts=0,
            takeovers=0,
            cancel_requested=False,
            open_parts=0,
            hint_no=0,
            created_at=known.created_at,
            updated_at=known.updated_at,
        )
        .on_conflict_do_nothing()
        .returning(jobs.c.job_id)
    )
    if row.one_or_none() is None:
        return False
    # The time at which the job reached this state: a decision may have been awaited since then.
    connection.execute(
        insert(audit).values(
            job_id=known.job_id,
            at=known.updated_at,
            from_state=None,
            to_state=known.state,
            by=by,
            why=f"found in the archive: {known.source}",
        )
    )
    return True


def _caught_up(connection: Connection, known: KnownJob, by: str) -> bool:
    """End a job as it is known to have ended, if it was open when the copy of this ledger was
    made.
    """
    final = (states.DONE, states.FAILED, states.CANCELLED)
    before = connection.execute(
        select(jobs.c.state)
        .where(jobs.c.job_id == known.job_id, jobs.c.state.not_in(final))
        .with_for_update(key_share=True)
    ).scalar_one_or_none()
    if before is None or (before == known.state == states.NEEDS_DECISION):
        return False
    job = change(
        connection,
        known.job_id,
        jobs.c.state == before,
        state=known.state,
        reason=known.reason or f"found in the archive: {known.source}",
        error=known.error,
        result=known.result,
        next_attempt_at=None,
        lease_token=None,
        lease_until=None,
        transfer=None,
    )
    assert job is not None
    if known.call is not None:
        # Before the end is written: a call that was sent is not returned to the daily quota.
        _call(connection, known.job_id, known.account, known.call)
    record_end(connection, job, before, by=by, own_task=None)
    return True


def _call(connection: Connection, job_id: str, account: str, call: KnownCall) -> None:
    c = calls.c
    connection.execute(
        insert_into(connection, calls)
        .values(job_id=job_id, receipts=-1)
        .on_conflict_do_nothing(index_elements=["job_id"])
    )
    values = {name: value for name, value in asdict(call).items() if name != "reserved_on"}
    # The restored ledger took its sender for dead, but the sender's answer is in the archive.
    doubted = and_(
        c.receipts == call.receipts, c.outcome == UNKNOWN, literal(call.outcome != UNKNOWN)
    )
    row = connection.execute(
        update(calls)
        .where(c.job_id == job_id, (c.receipts < call.receipts) | doubted)
        .values({**values, "answer": call.answer or None})
        .returning(c.reserved_on)
    ).one_or_none()
    _settle_receipts(connection, job_id, call.receipts)
    if row is None or row.reserved_on is not None or call.reserved_on is None:
        return
    connection.execute(update(calls).where(c.job_id == job_id).values(reserved_on=call.reserved_on))
    connection.execute(
        insert_into(connection, call_days)
        .values(account=account, day=call.reserved_on, calls=1)
        .on_conflict_do_update(
            index_elements=["account", "day"], set_={"calls": call_days.c.calls + 1}
        )
    )


def _settle_receipts(connection: Connection, job_id: str, receipts: int) -> None:
    """Discharge receipts that the archive already holds."""
    o = obligations.c
    owed = connection.execute(
        select(o.id, o.payload).where(
            o.job_id == job_id, o.kind == "receipt", by_no_index(o.discharged_at).is_(None)
        )
    )
    there = [row.id for row in owed.all() if row.payload["number"] <= receipts]
    connection.execute(
        update(obligations)
        .where(o.id.in_(there))
        .values(discharged_at=now(), reason="already in the archive")
    )


def _recording(connection: Connection, known: KnownJob, recording: KnownRecording) -> None:
    connection.execute(
        insert(instructions).values(
            token=recording.token,
            # The start itself is not in the archive: the collection stands in for it.
            job_id=known.job_id,
            collect_job_id=known.job_id,
            account=known.account,
            call_id=recording.call_id,
            control=recording.control,
            parameters={},
            state=COMPLETED,
            created_at=known.created_at,
            completed_at=known.updated_at,
        )
    )
