"""The worker's Redis, with a time limit for every operation.

Celery makes the task's message and kombu its envelope, as for every ``send_task``. Only the last
step, pushing the message to the queue, is done here. For a producer that must not hang, Celery's
own step has three faults: without ``socket_timeout`` it waits for ever for a Redis that has stopped
answering; with it, several nested layers retry (25 seconds were seen); and its error does not say
whether the message may have been delivered.
"""

from __future__ import annotations

import json
import os
from typing import Any, Literal

from celery import Celery

from .addresses import checked_prefix, redis_address
from .connections import Connections, make_connections
from .errors import MaybeQueued, NotQueued
from .request import Request

#: The key of a task's state in Celery's result backends.
_RESULT_KEY = "celery-task-meta-{}"
#: Keys that workers write for producers: a worker uses this database, a worker listens on a queue.
_HERE, _LISTENING = "earwitness.here", "earwitness.listening."


class Broker:
    """Sends requests and reads their stored states, from any thread and after a fork.

    ``url`` is the worker's Redis address, ``queue`` the queue that the worker consumes, and
    ``key_prefix`` the prefix of every key, if the worker has one.
    """

    def __init__(self, url: str, queue: str, key_prefix: str = "") -> None:
        self._url = redis_address(url)
        self._queue = queue
        self._prefix = checked_prefix(key_prefix)
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
        self._closed = False
        self._connections = make_connections(self._url, self._prefix)

    def send(self, request: Request) -> None:
        """Push a request to the queue within two seconds. Raises NotQueued or MaybeQueued."""
        shown = ", ".join(f"{name}: ..." for name in sorted(request.arguments))
        message = self._message(
            request.task_id,
            request.task,
            (),
            dict(request.arguments),
            argsrepr="()",
            kwargsrepr=f"{{{shown}}}",
        )
        try:
            producer = self._current().producer
            self._publish(
                producer, request.task, message, queue=self._queue, declare=[], retry=False
            )
        except (NotQueued, MaybeQueued) as error:
            raise _for_caller(error, request) from error.__cause__

    def stored(self, task_id: str) -> dict[str, Any] | None:
        """Return what Celery's result backend stores for a task, None if it stores nothing.

        Raises RedisError or OSError, within two seconds.
        """
        found = self._current().redis.get(self._prefix + _RESULT_KEY.format(task_id))
        return dict(json.loads(found)) if isinstance(found, bytes | str) else None

    def listeners(self) -> Literal["now", "before", "never"]:
        """Return whether a worker listens on the queue now, did so before, or never did.

        Raises RedisError (also if the user may not read that) or OSError, within two seconds.
        """
        redis = self._current().redis
        if redis.get(f"{self._prefix}{_LISTENING}{self._queue}") is not None:
            return "now"
        return "never" if redis.get(self._prefix + _HERE) is None else "before"

    @property
    def address(self) -> str:
        """The server, database, queue and prefix of the requests, without user and password."""
        options = self._connections.pool.connection_kwargs
        server = options.get("path") or f"{options.get('host')}:{options.get('port')}"
        prefix = f", key prefix {self._prefix}" if self._prefix else ""
        return f"{server}, database {options.get('db') or 0}, queue {self._queue}{prefix}"

    def queued(self) -> int:
        """Return the queue's length. Raises RedisError or OSError, within two seconds."""
        return int(self._current().redis.llen(self._prefix + self._queue))

    def close(self) -> None:
        """Close every connection; sending raises NotQueued afterwards."""
        self._closed = True
        if self._connections.pid == os.getpid():
            self._connections.pool.disconnect()

    def _current(self) -> Connections:
        if self._closed:
            raise NotQueued("this client was closed")
        own = self._connections
        if own.pid != os.getpid():
            # No lock, because another thread could have held it at the fork. If two threads get
            # here together, one of them uses connections that close when it has finished.
            own = self._connections = Connections(self._url, self._prefix)
        return own


def _for_caller(error: NotQueued | MaybeQueued, request: Request) -> NotQueued | MaybeQueued:
    """Return the error for the caller: whether the request was sent, why not, and what to do."""
    is_unknown = isinstance(error, MaybeQueued)
    what = "unknown: {} may be queued" if is_unknown else "not done: {} was not queued"
    explained = type(error)(f"{what.format(request.task)}: {error}; {request.repetition}")
    explained.request_id = request.request_id
    return explained
