"""The clients of a process, made when they are first used.

They survive a fork: a child makes connections of its own.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync

from earwitness_client.async_client import AsyncEarwitness
from earwitness_client.client import Earwitness

from .configuration import NAME, configuration

Client = TypeVar("Client", Earwitness, AsyncEarwitness)

#: At most one of each kind. Two threads may both make one, and the first is kept. A lock is not
#: used, because another thread could hold it at a fork.
_blocking: dict[str, Earwitness] = {}
_async: dict[str, AsyncEarwitness] = {}


def get_client() -> Earwitness:
    """Return the client of this process, which all its threads share.

    Raises ImproperlyConfigured if the setting EARWITNESS is wrong.
    """
    return _blocking.get(NAME) or _blocking.setdefault(NAME, _made(Earwitness))


def get_async_client() -> AsyncEarwitness:
    """Return the asyncio client of this process; each event loop has connections of its own.

    Raises ImproperlyConfigured if the setting EARWITNESS is wrong.
    """
    return _async.get(NAME) or _async.setdefault(NAME, _made(AsyncEarwitness))


@asynccontextmanager
async def loop_client() -> AsyncIterator[AsyncEarwitness]:
    """Lend a client to the running loop.

    A loop that ``async_to_sync`` made for one view, as under WSGI, ends with the view: it gets a
    client of its own, so that no connection outlives it.
    """
    if asyncio.get_running_loop() not in AsyncToSync.loop_thread_executors:
        yield get_async_client()
        return
    async with _made(AsyncEarwitness) as client:
        yield client


def on_setting_changed(*, setting: str, **_: Any) -> None:
    """Forget the clients when a test overrides the setting."""
    if setting == NAME:
        configuration.cache_clear()
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


def _made(kind: type[Client]) -> Client:
    given = configuration()
    return kind(given.url, queue=given.queue, key_prefix=given.key_prefix)
