"""A process with this on its path meets what hangs: a name that is not resolved, a folder that does
not answer. The environment names both; the folder hangs while a file says so.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

_NAME = os.environ.get("HANGING_NAME")
_FOLDER = os.environ.get("HANGING_FOLDER")
_SWITCH = os.environ.get("HANGING_WHILE", "")

_resolve = socket.getaddrinfo


def _hanging(host: Any, *arguments: Any, **more: Any) -> Any:
    while host == _NAME and os.access(_SWITCH, os.F_OK):
        time.sleep(0.1)
    return _resolve("127.0.0.1" if host == _NAME else host, *arguments, **more)


def _delayed(call: Callable[..., Any]) -> Callable[..., Any]:
    def run(path: Any, *arguments: Any, **more: Any) -> Any:
        while _is_within(path) and os.access(_SWITCH, os.F_OK):
            time.sleep(0.1)
        return call(path, *arguments, **more)

    return run


def _is_within(path: Any) -> bool:
    return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(str(_FOLDER))


if _NAME:
    socket.getaddrinfo = _hanging
if _FOLDER:
    for name in ("open", "stat", "lstat", "scandir", "listdir", "mkdir", "link", "unlink"):
        setattr(os, name, _delayed(getattr(os, name)))
