"""When the sender wants a message carried out: Celery's ``eta``, ``countdown`` and ``expires``.

Celery would keep a message with an eta in the worker's memory, unacknowledged, and Redis would
deliver it again and again until then. So the message is accepted at once, and its row waits in the
ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from celery.utils.time import maybe_iso8601

from ledger.core.job import iso
from ledger.core.opening import Request
from tasks.errors import Expired, InvalidArgument

from .context import ledger

#: A time further ahead is probably a mistake of units or of the calendar.
MOST_SECONDS = 366 * 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timing:
    """Two times in seconds since 1970.

    ``due_at`` is None for at once, ``expires`` is None for never.
    """

    due_at: float | None
    expires: float | None

    def of(self, request: Request) -> Request:
        """Return the timed request; the earlier of its own ``not_after`` and ``expires`` counts."""
        ends = [at for at in (request.not_after, self.expires) if at is not None]
        return replace(request, due_at=self.due_at, not_after=min(ends, default=None))


def timing(eta: Any, expires: Any) -> Timing:
    """Return the times in the headers of a message. An eta in the past counts as none.

    Raises InvalidArgument, which names the header, if one is no instant or lies more than a year
    ahead; no job was opened. Raises LedgerAway.
    """
    due_at, ends = _seconds("eta", eta), _seconds("expires", expires)
    if due_at is None:
        return Timing(None, ends)
    now = ledger().database.time()
    if due_at > now + MOST_SECONDS:
        raise InvalidArgument(
            f"not done: eta: {_text(due_at)} is more than a year ahead; no job was opened; send "
            "it within a year of when it is due"
        )
    return Timing(due_at if due_at > now else None, ends)


def refuse_later(timing: Timing, task: str) -> None:
    """Refuse a task that opens no job, and so cannot wait, outside its time.

    Raises InvalidArgument if the task is for a later time, Expired if it is too late, and
    LedgerAway.
    """
    if timing.expires is not None and timing.expires <= ledger().database.time():
        raise Expired(
            f"not done: {task}: its message expired at {_text(timing.expires)}; send it again"
        )
    if timing.due_at is not None:
        raise InvalidArgument(
            f"not done: eta: {task} opens no job that could wait until {_text(timing.due_at)}; "
            "send it when it is due, without eta or countdown"
        )


def _seconds(name: str, value: Any) -> float | None:
    """Return an instant in seconds since 1970; an instant without an offset is UTC."""
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not value:
            raise TypeError
        moment = maybe_iso8601(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH).total_seconds()
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        raise InvalidArgument(
            f"not done: {name}: must be an instant such as 2026-11-20T00:00:00+00:00; no job was "
            "opened"
        ) from None


def _text(seconds: float) -> str:
    try:
        return str(iso(seconds))
    except (OverflowError, ValueError):
        return "the instant given"
