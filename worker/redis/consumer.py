"""Celery's consumer, with redacted logs and a pause between refused connections.

Celery logs the whole body and all headers of an invalid message, personal data included, and drops
the message. This consumer raises an error instead, and the channel sets the message aside.

While Redis accepts connections but refuses the first command (a replica after a failover), Celery
connects five times a second, with a log line for each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from celery.worker.consumer import Consumer
from kombu.exceptions import ContentDisallowed
from redis.exceptions import RedisError

from tasks.runtime.flusher import flusher
from tasks.runtime.message_headers import check_headers
from tasks.runtime.refusals import refusals
from tasks.runtime.versions import CLIENT_HEADER

from . import events, unknown_tasks
from .broker import TaskNotStarted
from .envelope import NoMessage, describe
from .remote_commands import is_queue_name

_log = logging.getLogger(__name__)

_HIDDEN = "..."
_PAUSE_SECONDS = 1.0
_EXCHANGE_TYPES = ("direct", "topic", "fanout")
#: Headers that identify a message and hold none of its content:
#: https://docs.celeryq.dev/en/stable/internals/protocol.html
_LOGGED_HEADERS = (
    "lang",
    "task",
    "id",
    "root_id",
    "parent_id",
    "retries",
    "eta",
    "expires",
    "origin",
)


class _RedactedMessage:
    """The part of a message that may be logged."""

    body = _HIDDEN.encode()

    def __init__(self, message: Any) -> None:
        self._message = message
        given = message.headers if isinstance(message.headers, dict) else {}
        self.headers = {name: given[name] for name in _LOGGED_HEADERS if name in given}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


class RedactingConsumer(Consumer):
    """Celery's consumer, which logs no content of messages and waits after a refused connection."""

    class Blueprint(Consumer.Blueprint):
        """Celery's steps, one of them replaced."""

        default_steps: ClassVar = [
            "worker.redis.remote_control:RemoteControl" if step.endswith(":Control") else step
            for step in Consumer.Blueprint.default_steps
        ]

    def __init__(self, on_task_request: Callable[[Any], None], **options: Any) -> None:
        super().__init__(_reporting_failures(on_task_request), **options)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Pause after a refused first command, before Celery connects again."""
        super().on_connection_error_before_connected(exc)
        time.sleep(_PAUSE_SECONDS)

    def on_send_event_buffered(self) -> None:
        """Have the events that wait sent soon, in one message."""
        flusher.ask(events.NAME, self._write_events)

    def shutdown(self) -> None:
        """Write what waits for the flusher, and close the connections."""
        flusher.flush()
        super().shutdown()

    def _write_events(self) -> None:
        if self.event_dispatcher is not None:
            self.event_dispatcher.write()

    def on_decode_error(self, message: Any, exc: Exception) -> NoReturn:  # noqa: ARG002 - Celery's signature
        """Reject a message whose body cannot be decoded."""
        raise NoMessage(f"its body cannot be decoded ({type(exc).__name__})") from None

    def on_unknown_message(self, body: Any, message: Any) -> NoReturn:  # noqa: ARG002
        """Reject a message that names no task."""
        raise NoMessage("it names no task") from None

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Refuse a task that this version does not have, without logging its arguments."""
        given = message.headers if "task" in message.headers else message.payload
        check_headers(given)
        token = unknown_tasks.sender.set(given.get(CLIENT_HEADER))
        try:
            refusal = unknown_tasks.refusal(given["task"], self.app.tasks)
            refusals.add(given["id"], given["task"], refusal)
            super().on_unknown_task(_HIDDEN, _RedactedMessage(message), exc)
        finally:
            unknown_tasks.sender.reset(token)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> NoReturn:  # noqa: ARG002
        """Reject an invalid message for one of our tasks."""
        if isinstance(exc, ContentDisallowed):
            raise NoMessage("its content-type is not application/json") from None
        raise exc

    # --- remote control --------------------------------------------------------------------------

    def add_task_queue(
        self,
        queue: Any,
        exchange: Any = None,
        exchange_type: Any = None,
        routing_key: Any = None,
        **options: Any,
    ) -> None:
        """Read one more queue; log and drop a command whose queue is invalid."""
        names = [name for name in (exchange, routing_key) if name is not None]
        known = exchange_type is None or exchange_type in _EXCHANGE_TYPES
        if not (known and all(is_queue_name(name) for name in (queue, *names))):
            _log.warning("a command to read a queue was dropped: it names no valid queue")
            return
        try:
            super().add_task_queue(queue, exchange, exchange_type, routing_key, **options)
        except (OSError, RedisError):
            raise
        except Exception as error:  # noqa: BLE001 - raised, it would end the worker
            self.app.amqp.queues.deselect(queue)
            _log.warning("a command to read a queue was dropped: %s", describe(error))

    def cancel_task_queue(self, queue: Any) -> None:
        """Stop reading a queue; log and drop a command whose queue is invalid."""
        if is_queue_name(queue):
            super().cancel_task_queue(queue)
        else:
            _log.warning("a command to stop reading a queue was dropped: it names no valid queue")


def _reporting_failures(begin: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap Celery's function that starts a task: its errors are not the message's fault."""

    def take_up(request: Any) -> None:
        try:
            begin(request)
        except Exception as error:
            raise TaskNotStarted(f"task {request.id} could not be started") from error

    return take_up
