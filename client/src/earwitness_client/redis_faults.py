"""The meaning of Redis' faults for a message that is pushed."""

from __future__ import annotations

import ssl

import redis.asyncio.sentinel
import redis.sentinel
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from .errors import EarwitnessError, MaybeQueued, NotQueued

#: Together under two seconds: wait for a free connection, connect, and wait for one answer.
FREE_CONNECTION_SECONDS = 0.4
CONNECT_SECONDS = 0.6
ANSWER_SECONDS = 0.8
MAX_CONNECTIONS = 50

#: Errors that Redis itself answered; all others are silence or a broken connection.
REFUSED: tuple[type[Exception], ...] = (ResponseError, BusyLoadingError, AuthenticationError)
#: The errors of a Redis that is away or answers with an error.
AWAY: tuple[type[Exception], ...] = (RedisError, OSError)
#: The errors of operations that the steps decide about; all others end them.
FAULTS: tuple[type[Exception], ...] = (EarwitnessError, *AWAY)
_NO_MASTER = (redis.sentinel.MasterNotFoundError, redis.asyncio.sentinel.MasterNotFoundError)


def not_connected(error: Exception) -> NotQueued:
    """Return the error of a message for which there was no connection."""
    if isinstance(error, REFUSED):
        return NotQueued(f"Redis refused the connection ({_described(error)})")
    return NotQueued(f"Redis could not be reached ({_failure(error)})")


def not_confirmed(error: Exception) -> NotQueued | MaybeQueued:
    """Return the error of a message that was sent to Redis."""
    if isinstance(error, REFUSED):
        return NotQueued(f"Redis refused it ({_described(error)})")
    if isinstance(error.__context__, ReadOnlyError):
        # redis-py turns the refusal of a former master into a lost connection.
        return NotQueued("Redis refused it (the server is no longer the master)")
    return MaybeQueued(f"Redis did not confirm it ({type(error).__name__})")


def copied(error: Exception) -> Exception:
    """Return an error for one of several tasks: each adds to the traceback of its own."""
    try:
        copy = type(error)(*error.args)
    except TypeError:
        return error
    copy.__cause__ = error.__cause__ or error.__context__
    return copy


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _failure(error: BaseException) -> str:
    """Return an error's type, or what is wrong with the server's certificate or the sentinels."""
    if isinstance(error, _NO_MASTER):
        return "no sentinel names a master that is up"
    step: BaseException | None = error
    while step is not None:
        if isinstance(step, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {step.verify_message.rstrip('.')}"
        step = step.__cause__ or step.__context__
    return type(error).__name__
