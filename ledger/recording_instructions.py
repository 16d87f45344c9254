"""Instructions: that a live call be recorded, by which document, and how that ended.

The end of a recording is reported to an address that holds the instruction's token; nothing else
authenticates the report. Notifications arrive twice, late, and before the answer to the request
that caused them. So every change here is one conditional statement whose row count decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from .alert_rules import late_cause
from .alerts import CONTRADICTION, Alert, open_alert
from .core import states
from .core.database import Database, now
from .core.opening import Request
from .core.schema import instructions, jobs

#: No request to record is known to have reached the server.
ARMED = "armed"
#: The server received the instruction: it answered a request, or got the document as the answer to
#: a notification.
ANSWERED = "answered"
#: The recording has ended, and its address is known.
COMPLETED = "completed"

#: The effect of a reported completion: it is stored now, it repeats the stored one, it names
#: another address than the stored one, or the account has no such instruction.
CompletionEffect = Literal["stored", "repeated", "other address", "no instruction"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One row, as it was read. Times are seconds since 1970. ``collect_job_id`` is None if the
    recording's end is not reported to us.
    """

    token: str
    job_id: str
    collect_job_id: str | None
    account: str
    call_id: str
    control: str
    parameters: dict[str, Any]
    state: str
    record_url: str | None
    created_at: float
    answered_at: float | None
    completed_at: float | None
    call_gone_at: float | None

    @classmethod
    def of(cls, row: Row[Any]) -> Instruction:
        """Return the instruction in a row that holds every column of the table."""
        return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class ToRecord:
    """The instruction that a start is opened with: the unguessable ``token`` under which the
    recording's end is reported, the call, who controls the call, and the content of the document.
    """

    token: str
    call_id: str
    control: str
    parameters: dict[str, Any]


def keep_instruction(connection: Connection, request: Request) -> None:
    """Insert the instruction of a newly opened start, if it has one."""
    if request.details is None:
        return
    instruction: ToRecord = request.details
    collects = request.companion
    connection.execute(
        insert(instructions).values(
            token=instruction.token,
            job_id=request.job_id,
            collect_job_id=None if collects is None else collects.job_id,
            account=request.account,
            call_id=instruction.call_id,
            control=instruction.control,
            parameters=instruction.parameters,
            state=ARMED,
            created_at=now(),
        )
    )


@dataclass(frozen=True, slots=True)
class Armed:
    """An instruction that waits for a notification, for a number of seconds more."""

    instruction: Instruction
    seconds_left: float


_COLUMNS = [instructions.c[field.name] for field in fields(Instruction)]


class RecordingInstructions:
    """The operations on instructions of starts, of the receiver of notifications, and of
    collections.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_job(self, job_id: str) -> Instruction | None:
        """Return the instruction of a start, or None."""
        return self._first(instructions.c.job_id == job_id)

    def newest(self, account: str, call_id: str) -> Instruction | None:
        """Return the last instruction for a call whose recording is collected, or None."""
        return self._first(
            instructions.c.account == account,
            instructions.c.call_id == call_id,
            instructions.c.collect_job_id.is_not(None),
        )

    def exists(self, account: str, token: str, *, patience_seconds: float) -> bool:
        """Return whether an account has an instruction with this token. Raises LedgerAway."""
        statement = select(instructions.c.job_id).where(
            instructions.c.token == token, instructions.c.account == account
        )
        return self._database.read(
            lambda connection: connection.execute(statement).first() is not None,
            patience_seconds=patience_seconds,
        )

    def armed(self, *, patience_seconds: float) -> list[Armed]:
        """Return the instructions with which a notification may be answered, oldest first. Their
        starts are open, were due before, and are not past ``not_after``. Raises LedgerAway.
        """
        statement = (
            select(*_COLUMNS, (jobs.c.not_after - now()).label("seconds_left"))
            .join(jobs, jobs.c.job_id == instructions.c.job_id)
            .where(instructions.c.state == ARMED, instructions.c.control != "http")
            .where(jobs.c.state.not_in(states.ENDED), jobs.c.cancel_requested.is_(False))
            .where(jobs.c.not_after > now())
            .where(or_(jobs.c.attempts > 0, jobs.c.next_attempt_at <= now()))
            .order_by(instructions.c.created_at, instructions.c.token)
        )
        rows: Sequence[Any] = self._database.read(
            lambda connection: connection.execute(statement).all(),
            patience_seconds=patience_seconds,
        )
        return [Armed(Instruction.of(row), row.seconds_left) for row in rows]

    def mark_answered(self, token: str) -> bool:
        """Note that the server received the instruction; return whether that is new. The start of
        the instruction becomes due.
        """

        def work(connection: Connection) -> bool:
            job_id = connection.execute(
                update(instructions)
                .where(instructions.c.token == token, instructions.c.state == ARMED)
                .values(state=ANSWERED, answered_at=now())
                .returning(instructions.c.job_id)
            ).scalar_one_or_none()
            if job_id is None:
                return False
            _wake(connection, job_id)
            return True

        return self._database.write(work)

    def mark_completed(self, account: str, token: str, record_url: str) -> CompletionEffect:
        """Note that the recording has ended and where it is stored: its start and its collection
        become due. If the collection has ended, or another address was reported before, open an
        alert.
        """
        mine = (instructions.c.token == token, instructions.c.account == account)

        def work(connection: Connection) -> CompletionEffect:
            row = connection.execute(
                update(instructions)
                .where(*mine, instructions.c.state != COMPLETED)
                .values(
                    state=COMPLETED,
                    record_url=record_url,
                    completed_at=now(),
                    answered_at=func.coalesce(instructions.c.answered_at, now()),
                )
                .returning(*_COLUMNS)
            ).one_or_none()
            if row is not None:
                _hand_over(connection, Instruction.of(row))
                return "stored"
            existing = connection.execute(select(*_COLUMNS).where(*mine)).one_or_none()
            if existing is None:
                return "no instruction"
            if existing.record_url == record_url:
                return "repeated"
            instruction = Instruction.of(existing)
            digest = hashlib.sha256(record_url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            cause = f"{CONTRADICTION}:recording:{_reporting_job(instruction)}:{digest}"
            _alert(connection, instruction, cause, _ANOTHER)
            return "other address"

        return self._database.write(work)

    def call_seen(self, token: str, *, live: bool) -> float | None:
        """Note whether the call is live; return for how many seconds it has not been listed, or
        None.
        """

        def work(connection: Connection) -> float | None:
            gone = func.coalesce(instructions.c.call_gone_at, now())
            connection.execute(
                update(instructions)
                .where(instructions.c.token == token)
                .values(call_gone_at=None if live else gone)
            )
            return connection.execute(
                select(now() - instructions.c.call_gone_at).where(instructions.c.token == token)
            ).scalar_one_or_none()

        return self._database.write(work)

    def _first(self, *conditions: Any) -> Instruction | None:
        statement = (
            select(*_COLUMNS).where(*conditions).order_by(instructions.c.created_at.desc()).limit(1)
        )
        row = self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else Instruction.of(row)


_ANOTHER = (
    "the telephone system reported another recording of a call that was recorded already; only the "
    "first reported recording is collected; download the other one by hand"
)
_TOO_LATE = (
    "the telephone system reported the end of a recording after its collection had ended; retry "
    "this job"
)


def _hand_over(connection: Connection, instruction: Instruction) -> None:
    _wake(connection, instruction.job_id)
    if instruction.collect_job_id is None:
        return
    _wake(connection, instruction.collect_job_id)
    state = connection.execute(
        select(jobs.c.state).where(jobs.c.job_id == instruction.collect_job_id)
    ).scalar_one()
    if state in states.ENDED:
        cause = late_cause(instruction.collect_job_id)
        _alert(connection, instruction, cause, _TOO_LATE)


def _wake(connection: Connection, job_id: str) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state.in_(states.OPEN))
        .values(next_attempt_at=now(), hinted_at=None)
    )


def _alert(connection: Connection, instruction: Instruction, cause: str, message: str) -> None:
    job_id = _reporting_job(instruction)
    sentence = f"job {job_id}: {message}"
    open_alert(connection, Alert(cause, CONTRADICTION, instruction.account, sentence, job_id))


def _reporting_job(instruction: Instruction) -> str:
    return instruction.collect_job_id or instruction.job_id
