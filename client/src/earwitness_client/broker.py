"""The worker's Redis, with a time limit for every operation.

Celery makes the task's message and kombu its envelope, as for every ``send_task``. Only the last
step, pushing the message to the queue, is done here. For a producer that must not hang, Celery's
own step has three faults: without ``socket_timeout`` it waits for ever for a Redis that has stopped
answering; with it, several nested layers retry (25 seconds were seen); and its error does not say
whether the message may have been delivered.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import ssl
import threading
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from celery import Celery
from kombu import Connection, Producer
from kombu.transport import virtual
from kombu.utils.json import dumps
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from .errors import InvalidArgument, MaybeQueued, NotQueued
from .request import Request

#: Together under two seconds: wait for a free connection, connect, and wait for one answer.
_FREE_CONNECTION_SECONDS = 0.4
_CONNECT_SECONDS = 0.6
_ANSWER_SECONDS = 0.8
_MAX_CONNECTIONS = 50
#: The key of a task's state in Celery's result backends.
_RESULT_KEY = "celery-task-meta-{}"
#: Keys that workers write for producers: a worker uses this database, a worker listens on a queue.
_HERE, _LISTENING = "earwitness.here", "earwitness.listening."

_ADDRESS = (
    'write it like "redis://127.0.0.1:6379/0", "rediss://..." or "unix:///run/redis.sock?db=0"'
)
#: Errors that Redis itself answered; all others are silence or a broken connection.
_REFUSED = (ResponseError, BusyLoadingError, AuthenticationError)
#: redis-py before 5.3 requires the command's name; later versions warn if it is given.
_NAME = inspect.signature(BlockingConnectionPool.get_connection).parameters.get("command_name")
_GET_CONNECTION = (
    ("LPUSH",) if _NAME is not None and _NAME.default is inspect.Parameter.empty else ()
)

Push = Callable[[str, str], None]


class _Channel(virtual.Channel):
    """Makes kombu's envelope and passes it to the transport's ``push`` option."""

    do_restore = False

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        push: Push = self.connection.client.transport_options["push"]
        push(queue, dumps(message))


class _Transport(virtual.Transport):
    """A transport whose connections open no socket."""

    Channel = _Channel


class _Connections:
    """The connections of one process, which a forked child must not use."""

    def __init__(self, url: str, prefix: str) -> None:
        self.pid = os.getpid()
        self._prefix = prefix
        over_network = {} if url.startswith("unix:") else {"socket_keepalive": True}
        self.pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
            **over_network,
        )
        # Set afterwards, because options in the address would override arguments.
        self.pool.timeout = _FREE_CONNECTION_SECONDS
        self.pool.connection_kwargs.update(
            socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_ANSWER_SECONDS
        )
        self.redis = Redis(connection_pool=self.pool)
        self.thread = threading.local()

    def push(self, queue: str, message: str) -> None:
        """Put a message on a queue. Raises NotQueued or MaybeQueued."""
        try:
            connection = self.pool.get_connection(*_GET_CONNECTION)
        except _REFUSED as error:
            raise NotQueued(f"Redis refused the connection ({_described(error)})") from error
        except (RedisError, OSError) as error:
            raise NotQueued(f"Redis could not be reached ({_failure(error)})") from error
        try:
            connection.send_command("LPUSH", self._prefix + queue, message)
            connection.read_response()
        except _REFUSED as error:
            raise NotQueued(f"Redis refused it ({_described(error)})") from error
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise MaybeQueued(f"Redis did not confirm it ({type(error).__name__})") from error
        except BaseException:
            # The unread answer must not be taken for the answer to the next command.
            connection.disconnect()
            raise
        finally:
            self.pool.release(connection)

    @property
    def producer(self) -> Producer:
        """The calling thread's producer, since kombu's producers are not thread-safe."""
        try:
            made: Producer = self.thread.producer
        except AttributeError:
            connection = Connection(transport=_Transport, transport_options={"push": self.push})
            made = self.thread.producer = Producer(connection.channel(), auto_declare=False)
        return made


def _connections(url: str, prefix: str) -> _Connections:
    """Make this process' connections. Raises InvalidArgument if redis-py cannot read the address.

    redis-py's own errors quote parts of the address, such as a password that contains a slash.
    """
    try:
        own = _Connections(url, prefix)
        # Only this finds an unknown option; it opens no connection.
        own.pool.connection_class(**own.pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        raise InvalidArgument(
            f"not done: url: redis-py cannot read it; {_ADDRESS}, with %2F for a / in a password "
            "(and so on), and only options that it knows"
        ) from None
    return own


class Broker:
    """Sends requests and reads their stored states, from any thread and after a fork.

    ``url`` is the worker's Redis address, ``queue`` the queue that the worker consumes, and
    ``key_prefix`` the prefix of every key, if the worker has one.
    """

    def __init__(self, url: str, queue: str, key_prefix: str = "") -> None:
        self._url = _redis_address(url)
        self._queue = queue
        self._prefix = _key_prefix(key_prefix)
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
        self._connections = _connections(self._url, self._prefix)

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

    def _current(self) -> _Connections:
        if self._closed:
            raise NotQueued("this client was closed")
        own = self._connections
        if own.pid != os.getpid():
            # No lock, because another thread could have held it at the fork. If two threads get
            # here together, one of them uses connections that close when it has finished.
            own = self._connections = _Connections(self._url, self._prefix)
        return own


def _for_caller(error: NotQueued | MaybeQueued, request: Request) -> NotQueued | MaybeQueued:
    """Return the error for the caller: whether the request was sent, why not, and what to do."""
    is_unknown = isinstance(error, MaybeQueued)
    what = "unknown: {} may be queued" if is_unknown else "not done: {} was not queued"
    explained = type(error)(f"{what.format(request.task)}: {error}; {request.repetition}")
    explained.request_id = request.request_id
    return explained


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _failure(error: BaseException) -> str:
    """Return an error's type, or what is wrong with the server's certificate."""
    step: BaseException | None = error
    while step is not None:
        if isinstance(step, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {step.verify_message.rstrip('.')}"
        step = step.__cause__ or step.__context__
    return type(error).__name__


def _key_prefix(prefix: str) -> str:
    """Refuse a prefix without a separator at its end.

    Celery's result backend appends "_" to such a prefix, so no worker has one.
    """
    if prefix and prefix[-1] not in "._:-":
        raise InvalidArgument(
            "not done: key_prefix: write it as the worker's EARWITNESS_REDIS_KEY_PREFIX, which "
            "ends with '.', '_', ':' or '-'"
        )
    return prefix


def _redis_address(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss", "unix", "redis+socket"} or not rest:
        raise InvalidArgument(f"not done: url: {_ADDRESS}")
    if scheme == "rediss":
        # Translate Celery's values, which redis-py does not know.
        return re.sub("(?<=ssl_cert_reqs=)CERT_[A-Z]+", lambda word: word[0][5:].lower(), url)
    if scheme != "redis+socket":
        return url
    # Celery's notation for a socket.
    parts = urlsplit(url)
    query = {"virtual_host": "db"}
    pairs = [(query.get(name, name), value) for name, value in parse_qsl(parts.query)]
    return f"unix://{parts.netloc}{parts.path}{'?' if pairs else ''}{urlencode(pairs)}"
