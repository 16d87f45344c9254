"""The connections of one process to Redis, with time limits, and the push of a message."""

from __future__ import annotations

import inspect
import os
import ssl
import threading
from collections.abc import Callable
from typing import Any

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

from .addresses import ADVICE
from .errors import InvalidArgument, MaybeQueued, NotQueued

#: Together under two seconds: wait for a free connection, connect, and wait for one answer.
_FREE_CONNECTION_SECONDS = 0.4
_CONNECT_SECONDS = 0.6
_ANSWER_SECONDS = 0.8
_MAX_CONNECTIONS = 50
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


class Connections:
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


def make_connections(url: str, prefix: str) -> Connections:
    """Make this process' connections. Raises InvalidArgument if redis-py cannot read the address.

    redis-py's own errors quote parts of the address, such as a password that contains a slash.
    """
    try:
        own = Connections(url, prefix)
        # Only this finds an unknown option; it opens no connection.
        own.pool.connection_class(**own.pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        raise InvalidArgument(
            f"not done: url: redis-py cannot read it; {ADVICE}, with %2F for a / in a password "
            "(and so on), and only options that it knows"
        ) from None
    return own


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
