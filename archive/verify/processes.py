"""A verification by several processes, one for each core.

1. The parent reads the chains, lists the archive once and cuts the list into short stretches.
2. Each child is a fresh Python that imports `archive` alone. It opens the checked chains, saved in
   a temporary folder, for reading, and takes one stretch after the other: the walk and inspections.
3. A stretch comes with the few earlier paths that may name a file in it, so that the children
   together find what one process finds. The parent passes their findings on in the listing's order.
4. No more than `_MOST_AHEAD` stretches are under way or done before their turn: memory is constant.
5. A child that dies ends the verification with ChildProcessError; leaving the context ends all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from archive.store.directory import Store

from .chain_index import ChainIndex
from .inspection import Finding
from .walk import Stretch

_MOST_AHEAD = 256
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_Answer = list[tuple[str, Finding]] | Exception


def cores() -> int:
    """Return how many cores this process may use at once, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        return max(1, min(allowed or 1, round(int(quota) / int(period))))
    return allowed or 1


class Processes:
    """The children of one verification. A context manager: its end is the end of every child.

    A child is started when a stretch waits and every other child is busy.
    """

    def __init__(
        self, store: Store, index: ChainIndex, heads: Mapping[str, str], most: int
    ) -> None:
        """Save the chains for `most` children, at least two, and start the first of them.

        Raises OSError or sqlite3.Error if there is no room for the chains, or no process can work.
        """
        self._folder = TemporaryDirectory(prefix="earwitness-verify-", ignore_cleanup_errors=True)
        self._children: dict[Connection, subprocess.Popen[bytes]] = {}
        self._starting: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._most = most
        try:
            folder = Path(self._folder.name)
            self._given = store, folder, index.save(folder), dict(heads)
            first = self._start()
            self._start()
            self._receive(first)
            self._starting.remove(first)
            self._idle.append(first)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def findings(self, stretches: Iterator[Stretch]) -> Iterator[tuple[str, Finding]]:
        """Yield the findings of every stretch, in order.

        Raises ChildProcessError if a child died, and the error of a child whose storage failed.
        """
        begun = passed = 0
        busy: dict[Connection, int] = {}
        done: dict[int, _Answer] = {}
        while True:
            while begun - passed < _MOST_AHEAD and self._has_idle():
                stretch = next(stretches, None)
                if stretch is None:
                    break
                busy[self._hand_out(stretch)] = begun
                begun += 1
            if not busy:
                return
            for connection in wait([*busy, *self._starting]):
                assert isinstance(connection, Connection)
                if connection in self._starting:
                    self._finish_start(connection)
                else:
                    done[busy.pop(connection)] = self._receive(connection)
                    self._idle.append(connection)
            while passed in done:
                answer = done.pop(passed)
                if isinstance(answer, Exception):
                    raise answer
                yield from answer
                passed += 1

    def _has_idle(self) -> bool:
        if not (self._idle or self._starting) and len(self._children) < self._most:
            try:
                self._start()
            except OSError:
                self._most = len(self._children)  # they do its share
        return bool(self._idle)

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            child = subprocess.Popen(  # noqa: S603 - our own program
                [
                    *(sys.executable, "-P", "-m", "archive.verify.child"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # An interrupt from the terminal is the parent's to handle.
                process_group=0,
            )
        self._children[ours] = child
        self._starting.add(ours)
        self._send(ours, self._given)
        return ours

    def _finish_start(self, connection: Connection) -> None:
        """Let a child that is ready work; one that could not start did nothing that is missing."""
        self._starting.remove(connection)
        try:
            self._receive(connection)
        except ChildProcessError:
            self._most = 1
        else:
            self._idle.append(connection)

    def _hand_out(self, stretch: Stretch) -> Connection:
        connection = self._idle.popleft()
        self._send(connection, stretch)
        return connection

    def _send(self, connection: Connection, message: object) -> None:
        # The child waits for it, so that neither side fills the pipe while the other does.
        try:
            connection.send(message)
        except ConnectionError:
            raise self._died(connection) from None

    def _receive(self, connection: Connection) -> Any:
        try:
            return connection.recv()
        except (EOFError, ConnectionError):
            raise self._died(connection) from None

    def _died(self, connection: Connection) -> ChildProcessError:
        status = self._children[connection].wait()
        how = f"ended with status {status}"
        if status < 0:
            number = -status
            known = number in set(signal.Signals)
            how = f"was killed by {signal.Signals(number).name if known else f'signal {number}'}"
        return ChildProcessError(
            f"the verification did not finish: one of its processes {how}; whether the "
            "archive is intact is unknown; check that the machine has enough memory, and verify "
            "again"
        )

    def _end(self) -> None:
        for child in self._children.values():
            child.kill()
        for connection, child in self._children.items():
            child.wait()
            connection.close()
        self._folder.cleanup()
