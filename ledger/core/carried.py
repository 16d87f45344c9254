"""What a task's message carried besides the arguments, kept until the task is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Carried:
    """What the message that answers a task must have of the task's own message.

    ``envelope`` goes into the message; ``canvas``, which may hold personal data, stays in the
    ledger until the worker that has the answer in hand reads it. The ledger does not look into
    either. Each is None if the task's message had nothing of the kind.
    """

    envelope: dict[str, Any] | None = None
    canvas: dict[str, Any] | None = None


NOTHING = Carried()
