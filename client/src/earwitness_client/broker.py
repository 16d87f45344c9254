"""The line to the worker: Redis, with an upper bound in time for everything that is said on it.

Celery makes the task's message and kombu its envelope, as for every ``send_task``; only the last
step, putting it on the queue, is done here. Celery's own way there has three faults for a producer
that must not hang: without ``socket_timeout`` it waits without end for a Redis that has stopped
answering, with it its several layers try again one inside the other (25 seconds were seen), and its
error does not say whether the message may have been delivered.
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

#: Together under two seconds: a connection is waited for and made, and one answer may be missing.
_FREE_CONNECTION_SECONDS = 0.4
_CONNECT_SECONDS = 0.6
_ANSWER_SECONDS = 0.8
_MOST_CONNECTIONS = 50
#: Where Celery's result backends keep a task's state.
_RESULT_KEY = "celery-task-meta-{}"
#: What workers show producers: that they use this database, and that one listens on a queue.
_HERE, _LISTENING = "earwitness.here", "earwitness.listening."

_ADDRESS = (
    'write it like "redis://127.0.0.1:6379/0", "rediss://..." or "unix:///run/redis.sock?db=0"'
)
#: What Redis itself answers; everything else is silence or a broken connection.
_REFUSED = (ResponseError, BusyLoadingError, AuthenticationError)
#: redis-py before 5.3 requires the command's name, and later ones warn of it.
_NAME = inspect.signature(BlockingConnectionPool.get_connection).parameters.get("command_name")
_GET_CONNECTION = (
    ("LPUSH",) if _NAME is not None and _NAME.default is inspect.Parameter.empty else ()
)

Push = Callable[[str, str], None]


class _Channel(virtual.Channel):
    """Kombu's envelope, put on a Redis list by the client's own hand."""

    do_restore = False

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        push: Push = self.connection.client.transport_options["push"]
        push(queue, dumps(message))


class _Transport(virtual.Transport):
    """In memory: its connections open nothing."""

    Channel = _Channel


class _Own:
    """What belongs to one process: connections must not be shared with a child by fork."""

    def __init__(self, url: str, prefix: str) -> None:
        self.pid = os.getpid()
        self._prefix = prefix
        over_network = {} if url.startswith("unix:") else {"socket_keepalive": True}
        self.pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MOST_CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
            **over_network,
        )
        # Only now: what the address says, for the worker perhaps, would win.
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
            raise NotQueued(f"Redis refused the connection ({_said(error)})") from error
        except (RedisError, OSError) as error:
            raise NotQueued(f"Redis could not be reached ({_untrusted(error)})") from error
        try:
            connection.send_command("LPUSH", self._prefix + queue, message)
            connection.read_response()
        except _REFUSED as error:
            raise NotQueued(f"Redis refused it ({_said(error)})") from error
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise MaybeQueued(f"Redis did not confirm it ({type(error).__name__})") from error
        except BaseException:
            # An answer that nobody has read must not be taken for the answer to what comes next.
            connection.disconnect()
            raise
        finally:
            self.pool.release(connection)

    @property
    def producer(self) -> Producer:
        """Each thread's own: kombu's are not made for several."""
        try:
            made: Producer = self.thread.producer
        except AttributeError:
            connection = Connection(transport=_Transport, transport_options={"push": self.push})
            made = self.thread.producer = Producer(connection.channel(), auto_declare=False)
        return made


def _own(url: str, prefix: str) -> _Own:
    """What belongs to this process. Raises InvalidArgument where redis-py cannot read the address;
    its own errors repeat parts of it, and a password with a slash in it is such a part.
    """
    try:
        own = _Own(url, prefix)
        # An option that it does not know shows only here; nothing is opened by it.
        own.pool.connection_class(**own.pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        raise InvalidArgument(
            f"not done: url: redis-py cannot read it; {_ADDRESS}, with %2F for a / in a password "
            "(and so on), and only options that it knows"
        ) from None
    return own


class Line:
    """Sends requests and looks at what was stored for them, from any thread and after a fork.

    ``url`` is Redis' address as the worker has it, ``queue`` the one that the worker consumes, and
    ``key_prefix`` what every key begins with, where the worker is told one.
    """

    def __init__(self, url: str, queue: str, key_prefix: str = "") -> None:
        self._url = _redis_address(url)
        self._queue = queue
        self._prefix = _key_prefix(key_prefix)
        # Told everything here, it reads neither CELERY_CONFIG_MODULE nor CELERY_LOADER.
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
        self._own = _own(self._url, self._prefix)

    def send(self, request: Request) -> None:
        """Put a request on the queue, within two seconds. Raises NotQueued or MaybeQueued."""
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
            producer = self._here().producer
            self._publish(
                producer, request.task, message, queue=self._queue, declare=[], retry=False
            )
        except (NotQueued, MaybeQueued) as error:
            raise _told(error, request) from error.__cause__

    def stored(self, task_id: str) -> dict[str, Any] | None:
        """What Celery's result backend has for a task; None where that is nothing.

        Raises RedisError or OSError, within two seconds.
        """
        found = self._here().redis.get(self._prefix + _RESULT_KEY.format(task_id))
        return dict(json.loads(found)) if isinstance(found, bytes | str) else None

    def listeners(self) -> Literal["now", "before", "never"]:
        """Whether a worker listens on the queue, as workers show it to producers: now, at some time
        in this database, or never. Raises RedisError (where the user may not see that, too) or
        OSError, within two seconds.
        """
        redis = self._here().redis
        if redis.get(f"{self._prefix}{_LISTENING}{self._queue}") is not None:
            return "now"
        return "never" if redis.get(self._prefix + _HERE) is None else "before"

    @property
    def place(self) -> str:
        """Where the requests go, without user and password."""
        known = self._own.pool.connection_kwargs
        server = known.get("path") or f"{known.get('host')}:{known.get('port')}"
        prefix = f", key prefix {self._prefix}" if self._prefix else ""
        return f"{server}, database {known.get('db') or 0}, queue {self._queue}{prefix}"

    def queued(self) -> int:
        """How many messages lie on the queue. Raises RedisError or OSError, within two seconds."""
        return int(self._here().redis.llen(self._prefix + self._queue))

    def close(self) -> None:
        """Close every connection; nothing can be sent afterwards."""
        self._closed = True
        if self._own.pid == os.getpid():
            self._own.pool.disconnect()

    def _here(self) -> _Own:
        if self._closed:
            raise NotQueued("this client was closed")
        own = self._own
        if own.pid != os.getpid():
            # Without a lock, which another thread could have held at the fork: of two that meet
            # here, one makes connections that are closed when it is done.
            own = self._own = _Own(self._url, self._prefix)
        return own


def _told(error: NotQueued | MaybeQueued, request: Request) -> NotQueued | MaybeQueued:
    """The error as the caller reads it: whether it was sent, why not, and what to do next."""
    is_unknown = isinstance(error, MaybeQueued)
    what = "unknown: {} may be queued" if is_unknown else "not done: {} was not queued"
    told = type(error)(f"{what.format(request.task)}: {error}; {request.repetition}")
    told.request_id = request.request_id
    return told


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _untrusted(error: BaseException) -> str:
    """The kind of an error, or what is wrong with the server's certificate."""
    step: BaseException | None = error
    while step is not None:
        if isinstance(step, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {step.verify_message.rstrip('.')}"
        step = step.__cause__ or step.__context__
    return type(error).__name__


def _key_prefix(prefix: str) -> str:
    """Celery's result backend puts "_" after a prefix that ends otherwise; so no worker has one."""
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
        # Celery's words for it, which redis-py does not know.
        return re.sub("(?<=ssl_cert_reqs=)CERT_[A-Z]+", lambda word: word[0][5:].lower(), url)
    if scheme != "redis+socket":
        return url
    # Celery's way of writing a socket's address.
    parts = urlsplit(url)
    query = {"virtual_host": "db"}
    pairs = [(query.get(name, name), value) for name, value in parse_qsl(parts.query)]
    return f"unix://{parts.netloc}{parts.path}{'?' if pairs else ''}{urlencode(pairs)}"
