"""Work in several threads whose results keep their order.

A process has one thread for each core for this, whatever the number of callers at once.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeAlias, TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")

#: Called with a number of bytes after each piece of work.
Progress = Callable[[int], None]
#: The results of one batch; they end with the error that the batch met, if any.
Results: TypeAlias = Iterator[Result]
Outcome: TypeAlias = "Future[tuple[list[Result], Exception | None]]"

_PIECE = 1024 * 1024
#: How often a caller whose work no thread has begun yet looks whether it should stop, in seconds.
_LOOK_SECONDS = 1.0


class _Stopped(Exception):
    """The caller no longer waits for results."""


def in_order(
    batches: Iterator[Batch],
    work: Callable[[Batch, Progress], Results[Result]],
    on_bytes: Progress,
) -> Iterator[Result]:
    """Do the work of every batch, several at once, and yield the results as one thread would.

    An error is raised after all the results before it. When the caller stops, the work stops after
    its next piece; the threads are done with the batches then.

    Parameters: `batches`, taken by the caller's thread, a few ahead; `work`, which calls its second
    argument with the bytes of each piece; `on_bytes`, called with these numbers in the caller's
    thread. What it raises stops the work.
    """
    call = _Call(work)
    futures: deque[Outcome[Result]] = deque()
    try:
        while True:
            while len(futures) <= 2 * cores() and (batch := next(batches, None)) is not None:
                futures.append(call.submit(batch))
            if not futures:
                return
            call.wait(futures[0], on_bytes)
            results, error = futures.popleft().result()
            yield from results
            if error is not None:
                raise error
    finally:
        call.stop()
        # `wait` takes a cancelled one for done only once a thread has met it.
        wait([future for future in futures if not future.cancel()])


def cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="members")


# The threads do not exist in a forked process: it makes its own.
os.register_at_fork(after_in_child=_pool.cache_clear)


class _Call(Generic[Batch, Result]):
    """The batches of one caller."""

    def __init__(self, work: Callable[[Batch, Progress], Results[Result]]) -> None:
        self._work = work
        self._moved: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._stopping = threading.Event()

    def submit(self, batch: Batch) -> Outcome[Result]:
        outcome = _pool().submit(self._run, batch)
        outcome.add_done_callback(lambda _: self._moved.put(0))
        return outcome

    def wait(self, outcome: Outcome[Result], on_bytes: Progress) -> None:
        """Wait for one batch, and report the progress of all of them meanwhile."""
        while not outcome.done() or not self._moved.empty():
            try:
                moved = self._moved.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                # Other callers have all threads. A thread that hangs must not look alive.
                if not outcome.running():
                    on_bytes(0)
            else:
                if moved:
                    on_bytes(moved)

    def stop(self) -> None:
        self._stopping.set()

    def _run(self, batch: Batch) -> tuple[list[Result], Exception | None]:
        results: list[Result] = []
        moved = 0

        def progress(count: int) -> None:
            nonlocal moved
            if self._stopping.is_set():
                raise _Stopped
            if moved + count > _PIECE:
                self._moved.put(moved)
                moved = 0
            moved += count

        error = None
        try:
            for result in self._work(batch, progress):
                results.append(result)  # noqa: PERF402 - those before an error count
        except Exception as failure:  # noqa: BLE001 - raised in the caller's thread
            error = failure
        self._moved.put(moved)
        return results, error
