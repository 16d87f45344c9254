"""Task events, many in one message, and none lost while Redis is away.

Celery 5.7 sends events from the thread that they are about once many wait, and drops those that
wait when the connection is lost. This dispatcher leaves the sending to the flusher, and hands to
its successor what still waits.
"""

from __future__ import annotations

import sys
from typing import Any

from celery.events.dispatcher import EventDispatcher

from tasks.runtime.flusher import flusher
from tasks.runtime.job_events import FIELD, ShownArguments

NAME = "events"


class Dispatcher(EventDispatcher):
    """Celery's dispatcher, whose waiting events only the flusher sends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._failure: Exception | None = None
        self._keeps = False
        super().__init__(*args, **options)
        # A task's thread must not wait for Redis: it never finds the buffer full.
        self.buffer_limit = sys.maxsize
        self._keeps = options.get("buffer_while_offline", True)
        self.buffer_while_offline = False

    def send(self, type: str, *more: Any, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event; that of a message with arguments says what it is about."""
        given = fields.get("kwargs")
        if isinstance(given, ShownArguments) and given.job:
            fields[FIELD] = given.job
        super().send(type, *more, **fields)

    def write(self) -> None:
        """Send the events that wait. Raises what Redis raises; call again then."""
        self._gather()
        with self.mutex:
            self._failure = None
        self.flush(groups=False)
        if self._failure is not None:
            raise self._failure

    def extend_buffer(self, other: Dispatcher) -> None:
        """Take over what waits in the dispatcher of the connection before."""
        other._gather()
        super().extend_buffer(other)

    def _gather(self) -> None:
        """Make one message of the task events that wait."""
        with self.mutex:
            for group, events in self._group_buffer.items():
                batch = list(events)  # other threads append meanwhile
                if batch:
                    self._outbound_buffer.append((batch, f"{group}.multi"))
                    del events[: len(batch)]

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        # After a failure the others wait, too: each could take as long to fail.
        if self._failure is None:
            try:
                super()._publish(event, producer, routing_key, **options)
            except Exception as error:
                if not self._keeps:
                    raise
                self._failure = error
            else:
                return
        self._outbound_buffer.append((event, routing_key))
        flusher.ask(NAME, self.write)
