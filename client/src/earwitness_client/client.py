"""The client: one object, made once and shared by all threads."""

from __future__ import annotations

from typing import Self

from .broker import Line
from .calls import Calls, CertifiedCalls
from .exports import Archive, Exports
from .jobs import Jobs
from .recordings import Recordings


class Earwitness:
    """Asks an Earwitness worker for what it does.

    ``url`` is Redis' address as the worker has it, such as ``redis://127.0.0.1:6379/0``; ``queue``
    the queue that the worker consumes, ``key_prefix`` the worker's EARWITNESS_REDIS_KEY_PREFIX, if
    it has one. Making one opens no connection. It may be shared by threads and be made before a
    fork; it holds no global state, and none of Celery's is touched.

    Raises InvalidArgument for an address that is none, or a prefix that no worker takes.
    """

    def __init__(self, url: str, *, queue: str = "earwitness", key_prefix: str = "") -> None:
        self._line = Line(url, queue, key_prefix)
        self.certified_call = CertifiedCalls(self._line)
        self.recording = Recordings(self._line)
        self.call = Calls(self._line)
        self.export = Exports(self._line)
        self.job = Jobs(self._line)
        self.archive = Archive(self._line)

    def close(self) -> None:
        """Close every connection; the client and its jobs are of no use afterwards."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
