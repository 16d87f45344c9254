"""Tells errors of Redis as a whole from refusals that concern one key."""

from __future__ import annotations

import re

from kombu.exceptions import LimitExceeded, OperationalError
from redis import exceptions

#: Raised by kombu and redis-py while the broker is unavailable, frozen or cut off.
BROKER_AWAY = (OperationalError, exceptions.RedisError, OSError)

#: Answers to any command, for any key: Redis starts, is a replica, or is full.
_SERVER_WIDE = (
    exceptions.ClusterError,
    exceptions.InvalidResponse,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
#: The same, for which redis-py 8 has no class: the server cannot save its data, has too few
#: replicas, or runs a script.
_CODES = re.compile(r"(?:^|caused error: )(?:MISCONF|NOREPLICAS|BUSY|UNKILLABLE)\b")
_WRONG_TYPE = re.compile(r"(?:^|caused error: )WRONGTYPE\b")
#: The words of Redis 6 and 7 for a user who lacks a command, not a key.
_LACKS_COMMAND = "no permissions to run the"


def is_away(error: BaseException) -> bool:
    """Return whether nothing can be written now, for any destination.

    Otherwise only this request is refused: a key of another type, a key or channel that the user
    may not touch, a message or a name that cannot be sent.
    """
    chain = _chain(error)
    for one in chain:
        if isinstance(one, exceptions.ResponseError | exceptions.DataError):
            return _is_server_wide(one)
    return any(isinstance(one, (*BROKER_AWAY, LimitExceeded)) for one in chain)


def is_wrong_type(error: BaseException) -> bool:
    """Return whether Redis says that a key holds another type than the command is for."""
    return isinstance(error, exceptions.ResponseError) and bool(_WRONG_TYPE.search(str(error)))


def _is_server_wide(error: exceptions.RedisError) -> bool:
    if isinstance(error, exceptions.NoPermissionError):
        return _LACKS_COMMAND in str(error)
    return isinstance(error, _SERVER_WIDE) or bool(_CODES.search(str(error)))


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in found:
        found.append(step)
        step = step.__cause__
    return found
