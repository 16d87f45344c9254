"""The states of a job's row, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The state of a job, as far as this project knows it.

    The first two and ``refused`` are of the row; the others are the states of the worker's ledger.
    """

    TO_SEND = "to_send"
    SENT = "sent"
    REFUSED = "refused"
    PENDING = "pending"
    RUNNING = "running"
    SENDING = "sending"
    WAITING = "waiting"
    NEEDS_DECISION = "needs_decision"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: The states and their names, as Django's choices.
CHOICES = [
    ("to_send", "to be sent"),
    ("sent", "sent, not yet accepted"),
    ("refused", "refused: no job was opened"),
    ("pending", "accepted"),
    ("running", "running"),
    ("sending", "being sent to the provider"),
    ("waiting", "waiting"),
    ("needs_decision", "needs a decision"),
    ("done", "done"),
    ("failed", "failed"),
    ("cancelled", "cancelled"),
]
#: The worker does not have the job, as far as is known; the request may be sent again.
NOT_ACCEPTED = frozenset({State.TO_SEND, State.SENT, State.REFUSED})
#: The worker has the job and has not ended it.
GOING_ON = frozenset({State.PENDING, State.RUNNING, State.SENDING, State.WAITING})
#: Nothing changes these any more.
FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})
#: What is followed: sent, and without a final state.
FOLLOWED = frozenset({State.SENT, State.NEEDS_DECISION}) | GOING_ON


def may_follow(state: str, new: str) -> bool:
    """Return whether news of ``new`` counts for a row that has ``state``.

    Notifications are repeated and overtake each other: an end outlasts all other news, and a needed
    decision outlasts everything but an end.
    """
    if state in FINAL or state == new:
        return False
    if state == State.REFUSED:
        # The job of this id, if there is one, is another request's.
        return new == State.TO_SEND
    if new == State.SENT:
        return state == State.TO_SEND
    if new in NOT_ACCEPTED:
        return state in NOT_ACCEPTED
    if new in GOING_ON:
        return state != State.NEEDS_DECISION
    return new in FINAL or new == State.NEEDS_DECISION
