"""Callers of one or more workers, each of whom waits for the result of a message of its own."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from typing import Any

from celery import Celery

from tests.certified_calls import ASKED
from tests.deployment import Deployment, Process

from . import counting
from .peers import Turn
from .processes import cpu_seconds

TASK = "earwitness.certified_call.request"
_STATUS = re.compile(rb'"status": ?"(\w+)"')
_ENDED = {b"SUCCESS", b"FAILURE"}
#: In Celery's result backend: the job is in the ledger, or has ended.
_ACCEPTED = {b"RETRY", *_ENDED}
_PATIENCE_SECONDS = 900


class Crowd:
    """Callers who send messages to a Celery application and watch its result backend."""

    def __init__(self, redis_url: str, workers: Sequence[Process]) -> None:
        self.app = Celery("caller", broker=redis_url, backend=redis_url)
        self.workers = workers
        self.asked = 0

    def send(self) -> str:
        """Ask for one more call; return its task id."""
        raise NotImplementedError

    def turn(self, count: int) -> Turn:
        """Have so many calls placed."""
        before = self._cpu()
        began = time.perf_counter()
        ids = [self.send() for _ in range(count)]
        self.asked += count
        self.watch(ids, _ENDED)
        seconds = time.perf_counter() - began
        self.settle()
        return Turn(seconds, self._cpu() - before)

    def watch(self, ids: Sequence[str], statuses: set[bytes]) -> dict[str, float]:
        """Wait until each task has one of these statuses; return when it was seen, by task id.

        The clock is `time.perf_counter`. Raises Missing for a task that failed,
        and for one without a result after a quarter of an hour.
        """
        client = self.app.backend.client
        seen: dict[str, float] = {}
        left = list(ids)
        until = time.monotonic() + _PATIENCE_SECONDS
        while left:
            stored = client.mget([f"celery-task-meta-{one}" for one in left])
            now = time.perf_counter()
            for one, data in zip(left, stored, strict=True):
                found = _STATUS.search(data or b"")
                if found and found[1] in statuses:
                    if found[1] == b"FAILURE":
                        raise counting.Missing(f"a call failed: {(data or b'').decode()[:500]}")
                    seen[one] = now
            left = [one for one in left if one not in seen]
            if time.monotonic() > until:
                raise counting.Missing(f"{len(left)} of {len(ids)} calls have no result")
            time.sleep(0.01)
        return seen

    def settle(self) -> None:
        """Wait until the workers have nothing left to do after the results."""

    def close(self) -> None:
        """Close the connections."""
        self.app.close()

    def _cpu(self) -> float:
        return cpu_seconds(*(worker.pid for worker in self.workers))


class Plain(Crowd):
    """Callers of the plain Celery worker, which asks the provider as ours does."""

    def __init__(self, redis_url: str, workers: Sequence[Process], call_url: str) -> None:
        super().__init__(redis_url, workers)
        self._call_url = call_url

    def send(self) -> str:
        """Ask for one more call; return its task id."""
        return str(self.app.send_task("plain.ask", args=[self._call_url], queue="plain").id)


class Ours(Crowd):
    """Callers of our workers on one ledger."""

    def __init__(self, redis_url: str, workers: Sequence[Process], house: Deployment) -> None:
        super().__init__(redis_url, workers)
        self.house = house
        self._numbers = itertools.count(1)

    def send(self) -> str:
        """Ask for one more call; return its task id."""
        asked: dict[str, Any] = {**ASKED, "request_id": f"call-{next(self._numbers)}"}
        return str(self.app.send_task(TASK, kwargs=asked, queue="earwitness").id)

    def accepted_after(self, count: int) -> list[float]:
        """Send so many requests at once; return the seconds until each is known to be accepted."""
        sent: dict[str, float] = {}
        for _ in range(count):
            began = time.perf_counter()
            sent[self.send()] = began
        self.asked += count
        seen = self.watch(list(sent), _ACCEPTED)
        self.watch(list(sent), _ENDED)
        self.settle()
        return [seen[one] - began for one, began in sent.items()]

    def settle(self) -> None:
        """Wait until every receipt and chain entry is there."""
        counting.settle(self.house)

    def counted(self, what: str) -> dict[str, int]:
        """Count what the calls left. Raises Missing."""
        found = counting.calls_left(self.house, str(ASKED["account"]))
        return counting.compare(what, found, counting.expected_of(self.asked))
