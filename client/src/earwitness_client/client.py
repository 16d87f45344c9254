"""The client: one object, which all threads of a process can share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Self, TypeVar, cast

from . import many
from .addresses import read_address
from .answers import Answer, Job, Result
from .broker import Broker
from .calls import Calls, CertifiedCalls
from .errors import EarwitnessError, NotAnswered, NotSent
from .exports import Archive, Exports
from .jobs import Jobs
from .recordings import Recordings
from .requested import request_of, settle

Sent = TypeVar("Sent", bound=Answer[Any])


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

    def send_many(
        self, function: Callable[..., Sent], arguments: Iterable[Mapping[str, Any]]
    ) -> list[Sent]:
        """Send a task many times, such as ``send_many(client.recording.download, [{...}, {...}])``.

        ``arguments`` has the keyword arguments of each. All are checked before anything is sent:
        InvalidArgument names the one that is wrong. They are sent in order, 500 in one step, each
        of which takes two seconds at most. NotQueued means that none is queued, MaybeQueued that
        some may be; the error's ``jobs`` has what this would have returned, to ``send_again``.
        """
        requests = many.drafted(self._broker.queue, function, arguments)
        made = [
            (Answer[Any] if one.job_id is None else Job[Any])(self._broker, one) for one in requests
        ]
        try:
            self._broker.run(many.send(requests))
        except NotSent as error:
            error.jobs = made
            raise
        return cast("list[Sent]", made)

    def as_completed(self, jobs: Iterable[Sent], timeout: float | None) -> Iterator[Sent]:
        """Yield jobs and answers as they end, up to ``timeout`` seconds (None: without limit).

        Their states are read together, in one round trip for 500. ``wait(0)`` of what is yielded
        returns or raises at once. Raises NotAnswered for the first that did not end in time; the
        jobs continue.
        """
        given = list(jobs)
        waiting = many.waiting(self._broker.queue, map(request_of, given), timeout)
        of_watch = dict(zip(waiting.pending, given, strict=True))
        with closing(waiting):
            while waiting.pending:
                over = self._broker.run(waiting.round())
                if not over:
                    raise NotAnswered(self._broker.run(many.not_all_ended(waiting, timeout))[0])
                for one in over:
                    settle(of_watch[one], one.outcome)
                    yield of_watch[one]

    def wait_many(
        self, jobs: Iterable[Answer[Result]], timeout: float | None
    ) -> list[Result | EarwitnessError]:
        """Wait for many jobs and answers; return what became of each, in their order.

        That is its result or, as a value, the error that its ``wait`` would raise: the JobError
        with which it ended, or NotAnswered if it did not end within ``timeout`` seconds (None:
        without limit). Raises NotAnswered if no worker ever listened, as ``wait`` does.
        """
        given = list(jobs)
        waiting = many.waiting(self._broker.queue, map(request_of, given), timeout)
        watches = list(waiting.pending)
        with closing(waiting):
            while waiting.pending:
                if not self._broker.run(waiting.round()):
                    break
        messages = self._broker.run(many.not_all_ended(waiting, timeout))
        return many.outcomes(watches, list(waiting.pending), messages)

    def close(self) -> None:
        """Close every connection; the client and its jobs raise Closed afterwards."""
        self._broker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
