"""What is still to be written or sent for jobs that have ended, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: For each kind of entry in the outbox: one, several, and what has not happened yet.
_WORDS = {
    "alert": ("alert", "alerts", "logged"),
    "chain": ("chain entry", "chain entries", "written"),
    "delivery": ("notification", "notifications", "sent to a webhook"),
    "notify": ("notification", "notifications", "sent"),
    "receipt": ("receipt", "receipts", "written"),
    "webhook": ("alert", "alerts", "sent to the webhook"),
}


def described(waiting: Mapping[str, Any]) -> str:
    """Return one row of the outbox's waiting entries in words, such as ``1 chain entry not yet
    written``.
    """
    kind, count = waiting["kind"], waiting["count"]
    one, several, done = _WORDS.get(kind, (kind, kind, "done"))
    return f"{count} {one if count == 1 else several} not yet {done}"
