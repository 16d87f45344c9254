"""The blocking connections of one process to Redis, with time limits."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .addresses import Address
from .redis_faults import (
    ANSWER_SECONDS,
    AWAY,
    CONNECT_SECONDS,
    FREE_CONNECTION_SECONDS,
    MAX_CONNECTIONS,
    REFUSED,
    not_confirmed,
    not_connected,
)
from .sentinels import Master, follow, pool_class
from .threaded_subscription import ThreadedSubscription

#: redis-py before 5.3 requires the command's name; later versions warn if it is given.
_NAME = inspect.signature(BlockingConnectionPool.get_connection).parameters.get("command_name")
_GET_CONNECTION = (
    ("LPUSH",) if _NAME is not None and _NAME.default is inspect.Parameter.empty else ()
)


class Connections:
    """The connections of one process, which a forked child must not use."""

    def __init__(self, address: Address) -> None:
        self.pid: int = os.getpid()
        over_network = {} if address.url.startswith("unix:") else {"socket_keepalive": True}
        self._pool = pool_class(address.sentinels).from_url(
            address.url,
            max_connections=MAX_CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
            **over_network,
        )
        # Set afterwards, because options in the address would override arguments.
        self._pool.timeout = FREE_CONNECTION_SECONDS
        self._pool.connection_kwargs.update(
            socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS
        )
        if address.sentinels:
            follow(self._pool, Master(address.sentinels))
        self._redis = Redis(connection_pool=self._pool)
        #: The connection on which the states that are waited for are published.
        self.subscription: ThreadedSubscription = ThreadedSubscription(address)

    def push(self, key: str, messages: Callable[[], Sequence[str]]) -> None:
        """Put messages on a queue, all or none. Raises NotQueued or MaybeQueued."""
        made = messages()
        try:
            connection = self._pool.get_connection(*_GET_CONNECTION)
        except AWAY as error:
            raise not_connected(error) from error
        try:
            connection.send_command("LPUSH", key, *made)
            connection.read_response()
        except REFUSED as error:
            raise not_confirmed(error) from error
        except AWAY as error:
            connection.disconnect()
            raise not_confirmed(error) from error
        except BaseException:
            # The unread answer must not be taken for the answer to the next command.
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)

    def ask(self, commands: Sequence[tuple[str, ...]]) -> list[Any]:
        """Return the replies to commands that are sent together. Raises RedisError or OSError."""
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())

    def close(self) -> None:
        """Close every connection."""
        self.subscription.close()
        self._pool.disconnect()
