"""The clients of a process, made when they are first used.

They survive a fork: a child makes connections of its own.
"""

from __future__ import annotations

import atexit
from typing import Any

from earwitness_client.async_client import AsyncEarwitness
from earwitness_client.client import Earwitness

from .configuration import NAME, configuration

#: At most one of each kind. Two threads may both make one, and the first is kept. A lock is not
#: used, because another thread could hold it at a fork.
_blocking: dict[str, Earwitness] = {}
_async: dict[str, AsyncEarwitness] = {}


def get_client() -> Earwitness:
    """Return the client of this process, which all its threads share.

    Raises ImproperlyConfigured if the setting EARWITNESS is wrong.
    """
    made = _blocking.get(NAME)
    if made is None:
        given = configuration()
        made = Earwitness(given.url, queue=given.queue, key_prefix=given.key_prefix)
        made = _blocking.setdefault(NAME, made)
    return made


def get_async_client() -> AsyncEarwitness:
    """Return the asyncio client of this process; each event loop has connections of its own.

    Raises ImproperlyConfigured if the setting EARWITNESS is wrong.
    """
    made = _async.get(NAME)
    if made is None:
        given = configuration()
        made = AsyncEarwitness(given.url, queue=given.queue, key_prefix=given.key_prefix)
        made = _async.setdefault(NAME, made)
    return made


def on_setting_changed(*, setting: str, **_: Any) -> None:
    """Forget the clients when a test overrides the setting."""
    if setting == NAME:
        close()


@atexit.register
def close() -> None:
    """Close the blocking client and forget both; the next use makes new ones.

    The asyncio client's connections are closed with their loops, or by ``aclose``.
    """
    made = _blocking.pop(NAME, None)
    _async.pop(NAME, None)
    if made is not None:
        made.close()


async def aclose() -> None:
    """Close the asyncio client and the running loop's connections; the next use makes a new one.

    A server that shuts down may await this. Nothing is lost without it.
    """
    made = _async.pop(NAME, None)
    if made is not None:
        await made.aclose()
