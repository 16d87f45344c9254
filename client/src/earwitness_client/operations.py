"""The operations of the client on Redis, apart from how they are carried out.

Everything that the client does is written as steps: a generator that yields operations, gets their
results, and returns. Two drivers carry out the same steps: ``Broker`` with blocking sockets,
``AsyncBroker`` on an event loop.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from .listening import Listening
from .request import Request

Value = TypeVar("Value")


@dataclass(frozen=True)
class Push:
    """Put requests on the worker's queue, all or none. Raises NotQueued or MaybeQueued."""

    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Ask:
    """Send commands that only read, together; the result is the list of their replies.

    Raises RedisError or OSError.
    """

    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Listen:
    """Listen for publications under keys; the result is a Listening, to be closed."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds, or until something is published under the keys of ``listening``."""

    seconds: float
    listening: Listening | None = None


Operation: TypeAlias = Push | Ask | Listen | Pause
Steps: TypeAlias = Generator[Operation, Any, Value]
