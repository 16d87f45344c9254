"""The limit of a worker's stop: work that hangs does not keep a worker from stopping.

Running tasks are waited for without a limit, except those that wait for an archive that does not
answer. Such a task stores nothing afterwards that another worker could not store as well: its
lease expires, and the job continues elsewhere.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import suppress

from celery.worker import state

from archive.store.guarded import requests
from tasks.runtime.background import Background, StillRunning

from .health.heartbeat import heartbeat

_log = logging.getLogger(__name__)

#: How long a process may live in which all running work hangs.
_SECONDS = 10.0
#: A task that waits longer for one request to the archive hangs.
_REQUEST_SECONDS = 3.0
_LOOK_SECONDS = 0.25
_LAST_SECONDS = 1.0

_begun = threading.Event()
#: The threads that run a task now.
_busy: set[int] = set()


def task_begins() -> None:
    """Note that this thread runs a task."""
    _busy.add(threading.get_ident())


def task_ends() -> None:
    """Note that this thread's task is over."""
    _busy.discard(threading.get_ident())


def begin() -> None:
    """Watch that this process, which is stopping, ends. Do nothing if this was called before."""
    if not _begun.is_set():
        _begun.set()
        threading.Thread(target=_watch, name="earwitness-stop", daemon=True).start()


def _watch() -> None:
    """End the process once nothing but what hangs has kept it for some seconds."""
    since = time.monotonic()
    while time.monotonic() - since < _SECONDS:
        time.sleep(_LOOK_SECONDS)
        if _works():
            since = time.monotonic()
    count = len(_busy)
    wait = "1 task waits" if count == 1 else f"{count} tasks wait"
    _log.warning(
        "the worker ends although %s: what it waits for does not answer; jobs that it leaves "
        "behind continue in another worker",
        f"{wait} for the archive" if count else "its stop is not complete",
    )
    with suppress(StillRunning, OSError):  # the spool may hang as well
        Background(heartbeat.end, "last-mark").result(_LAST_SECONDS)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _works() -> bool:
    """Return whether a task is running that does not wait for the archive."""
    busy = set(_busy)
    about_to_begin = len(state.active_requests) > len(busy)
    return about_to_begin or bool(busy - requests.threads_waiting(_REQUEST_SECONDS))
