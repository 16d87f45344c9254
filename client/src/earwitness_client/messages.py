"""Requests as Celery's messages.

Celery makes the task's message and kombu its envelope, as for every ``send_task``; nothing here
opens a socket.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery
from kombu import Connection, Producer
from kombu.transport import virtual
from kombu.utils.json import dumps

from . import versions
from .request import Request


class _Channel(virtual.Channel):
    """Makes kombu's envelope and leaves it in the transport's ``made`` option."""

    do_restore = False

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        del queue
        self.connection.client.transport_options["made"].append(dumps(message))


class _Transport(virtual.Transport):
    """A transport whose connections open no socket."""

    Channel = _Channel


class Messages:
    """Makes the messages for one queue, in any thread."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        # Explicit, so that Celery reads neither CELERY_CONFIG_MODULE nor CELERY_LOADER.
        app = Celery(
            "earwitness-client",
            loader="app",
            set_as_current=False,
            fixups=[],
            config_source={"task_serializer": "json", "task_send_sent_event": False},
        )
        self._message = app.amqp.create_task_message
        self._publish = app.amqp.send_task_message
        self._thread = threading.local()

    def encode(self, request: Request) -> str:
        """Return the text to put on the queue."""
        shown = ", ".join(f"{name}: ..." for name in sorted(request.arguments))
        message = self._message(
            request.task_id,
            request.task,
            (),
            dict(request.arguments),
            argsrepr="()",
            kwargsrepr=f"{{{shown}}}",
        )
        producer, made = self._producer()
        self._publish(
            producer,
            request.task,
            message,
            queue=self._queue,
            declare=[],
            retry=False,
            headers={versions.HEADER: versions.own()},
        )
        return made.pop()

    def _producer(self) -> tuple[Producer, list[str]]:
        """Return the calling thread's producer, since kombu's producers are not thread-safe."""
        try:
            own: tuple[Producer, list[str]] = self._thread.own
        except AttributeError:
            made: list[str] = []
            connection = Connection(transport=_Transport, transport_options={"made": made})
            own = self._thread.own = (Producer(connection.channel(), auto_declare=False), made)
        return own
