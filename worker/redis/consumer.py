"""Celery's consumer, made discreet and patient.

It writes the whole body and every header of a message that it does not understand into the log,
names of people among them, and drops the message. Here such a message is set aside.
And while Redis takes connections but refuses what is asked first (a replica after a failover), it
connects anew five times a second, with a line for each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from celery.worker.consumer import Consumer
from kombu.exceptions import ContentDisallowed
from redis.exceptions import RedisError

from tasks.runtime.message_headers import check_headers

from .broker import NotTakenUp
from .envelope import NoMessage, why

_log = logging.getLogger(__name__)

_UNSAID = "..."
_PAUSE_SECONDS = 1.0
_EXCHANGE_TYPES = ("direct", "topic", "fanout")
#: Headers that say what a message is, not what it holds:
#: https://docs.celeryq.dev/en/stable/internals/protocol.html
_SAID = ("lang", "task", "id", "root_id", "parent_id", "retries", "eta", "expires", "origin")


class _Unsaid:
    """The part of a message that logs may show."""

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

    class Blueprint(Consumer.Blueprint):
        """Celery's steps, one of them replaced."""

        default_steps: ClassVar = [
            "worker.redis.remote_control:RemoteControl" if step.endswith(":Control") else step
            for step in Consumer.Blueprint.default_steps
        ]

    def __init__(self, on_task_request: Callable[[Any], None], **options: Any) -> None:
        super().__init__(_taking_up(on_task_request), **options)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """What was asked first was refused."""
        super().on_connection_error_before_connected(exc)
        time.sleep(_PAUSE_SECONDS)

    def on_decode_error(self, message: Any, exc: Exception) -> NoReturn:  # noqa: ARG002 - Celery's signature
        """Its body cannot be decoded."""
        raise NoMessage(f"its body cannot be decoded ({type(exc).__name__})") from None

    def on_unknown_message(self, body: Any, message: Any) -> NoReturn:  # noqa: ARG002
        """It names no task."""
        raise NoMessage("it names no task") from None

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """It names a task that is none of this version's."""
        check_headers(message.headers if "task" in message.headers else message.payload)
        super().on_unknown_task(_UNSAID, _Unsaid(message), exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> NoReturn:  # noqa: ARG002
        """It names a task of ours, and is written as none can be."""
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
        """Read one more queue, unless what remote control says of it makes no sense."""
        names = [name for name in (exchange, routing_key) if name is not None]
        known = exchange_type is None or exchange_type in _EXCHANGE_TYPES
        if not (known and all(_is_name(name) for name in (queue, *names))):
            _log.warning("a command to read a queue was dropped: it names none")
            return
        try:
            super().add_task_queue(queue, exchange, exchange_type, routing_key, **options)
        except (OSError, RedisError):
            raise
        except Exception as error:  # noqa: BLE001 - Celery would end the worker
            self.app.amqp.queues.deselect(queue)
            _log.warning("a command to read a queue was dropped: %s", why(error))

    def cancel_task_queue(self, queue: Any) -> None:
        """Read a queue no more, if it is one."""
        if _is_name(queue):
            super().cancel_task_queue(queue)
        else:
            _log.warning("a command to read a queue no more was dropped: it names none")


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name != "" and name.isprintable()


def _taking_up(begin: Callable[[Any], None]) -> Callable[[Any], None]:
    """Celery's function that begins a task, whose failure is the process' own."""

    def take_up(request: Any) -> None:
        try:
            begin(request)
        except Exception as error:
            raise NotTakenUp(f"task {request.id} could not be begun") from error

    return take_up
