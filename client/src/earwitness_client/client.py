"""The client: one object, which all threads of a process can share."""

from __future__ import annotations

from typing import Self

from .addresses import read_address
from .broker import Broker
from .calls import Calls, CertifiedCalls
from .exports import Archive, Exports
from .jobs import Jobs
from .recordings import Recordings


class Earwitness:
    """A client of an Earwitness worker.

    ``url`` is the worker's Redis address, such as ``redis://127.0.0.1:6379/0``; ``queue`` is the
    queue that the worker consumes, and ``key_prefix`` the worker's EARWITNESS_REDIS_KEY_PREFIX, if
    it has one. The constructor opens no connection. Threads may share a client, and a process may
    fork after making one. The client does not change Celery's global state.

    Raises InvalidArgument for an invalid address or prefix.
    """

    def __init__(self, url: str, *, queue: str = "earwitness", key_prefix: str = "") -> None:
        self._broker = Broker(read_address(url, key_prefix), queue)
        self.certified_call: CertifiedCalls = CertifiedCalls(self._broker)
        self.recording: Recordings = Recordings(self._broker)
        self.call: Calls = Calls(self._broker)
        self.export: Exports = Exports(self._broker)
        self.job: Jobs = Jobs(self._broker)
        self.archive: Archive = Archive(self._broker)

    def close(self) -> None:
        """Close every connection; the client and its jobs raise Closed afterwards."""
        self._broker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
