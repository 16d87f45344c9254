"""Celery's consumer, made discreet and patient.

It writes the whole body and every header of a message that it does not understand into the log,
names of people among them: of a task that only a later version knows, or one sent without headers.
And while Redis takes connections but refuses what is asked first (a replica after a failover), it
connects anew five times a second, with a line for each.
"""

from __future__ import annotations

import time
from typing import Any

from celery.worker.consumer import Consumer
from kombu.exceptions import DecodeError

_UNSAID = "..."
_PAUSE_SECONDS = 1.0
#: Headers that say what a message is, not what it holds:
#: https://docs.celeryq.dev/en/stable/internals/protocol.html
_SAID = ("lang", "task", "id", "root_id", "parent_id", "retries", "eta", "expires", "origin")


class _Unsaid:
    """A message as it may be told."""

    body = _UNSAID.encode()

    def __init__(self, message: Any) -> None:
        self._message = message
        given = message.headers if isinstance(message.headers, dict) else {}
        self.headers = {name: given[name] for name in _SAID if name in given}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


class Discreet(Consumer):
    """Celery's consumer, which does not write into the log what others wrote into a message, and
    does not hurry where Redis refuses.
    """

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """What was asked first was refused."""
        super().on_connection_error_before_connected(exc)
        time.sleep(_PAUSE_SECONDS)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """It can not be decoded."""
        # What Python shows of some errors is what could not be decoded; their words do not say it.
        super().on_decode_error(_Unsaid(message), DecodeError(str(exc)))

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002 - Celery's signature
        """It names no task."""
        super().on_unknown_message(_UNSAID, _Unsaid(message))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """It names a task that is none of this version's."""
        super().on_unknown_task(_UNSAID, _Unsaid(message), exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """It names a task of ours, and is written as none can be."""
        super().on_invalid_task(_UNSAID, _Unsaid(message), exc)
