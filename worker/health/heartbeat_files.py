"""Heartbeat marks: one small file for each process, in the spool.

Times are seconds of the machine's monotonic clock. All processes and containers of a machine share
that clock, nobody can set it, and it restarts when the machine boots.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: The phases of a process.
STARTING, WORKING, DRAINING, STOPPING = "starting", "working", "draining", "stopping"

_FOLDER = "health"
#: Every mark has this length, so that renewing one needs no space on a full disk.
_BYTES = 1_024


@dataclass(frozen=True)
class Mark:
    """The state of a process at its last heartbeat.

    ``kind`` is ``worker`` or ``beat``; ``phase`` is ``starting``, ``working``, ``draining`` or
    ``stopping``. ``machine`` is the name of the host, which a node name need not contain.
    ``queues`` are those that the process was started to consume, ``consumed`` those that it last
    asked Redis for. Times are in seconds of the monotonic clock: ``began_at`` the start, ``at`` the
    heartbeat, ``worked_at`` the last work, ``redis_away_at`` the last time that Redis was away.
    """

    kind: str
    node: str
    phase: str
    queues: frozenset[str] = frozenset()
    consumed: frozenset[str] = frozenset()
    pid: int = 0
    began_at: float = 0.0
    at: float = 0.0
    worked_at: float | None = None
    redis_away_at: float | None = None
    machine: str = ""

    @property
    def host(self) -> str:
        """The host on which the process runs."""
        # An earlier release wrote no machine.
        return self.machine or self.node.rpartition("@")[2]

    def path(self, spool: Path) -> Path:
        """Return the path of the mark's file."""
        return spool / _FOLDER / f"{quote(self.node, safe='@')}.{self.kind}.json"


def write(mark: Mark, spool: Path) -> None:
    """Write a mark over the previous one. Raises OSError."""
    content = asdict(mark) | {"queues": sorted(mark.queues), "consumed": sorted(mark.consumed)}
    data = json.dumps(content).ljust(_BYTES).encode()
    path = mark.path(spool)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def marks(spool: Path) -> Iterator[Mark]:
    """Yield every readable mark."""
    for path in sorted((spool / _FOLDER).glob("*.json")):
        mark = _as_mark(_read(path))
        if mark is not None:
            yield mark


def _as_mark(content: Any) -> Mark | None:
    """Return a file's content as a mark, None if it is not one.

    Fields that this release does not know are ignored: during an upgrade, processes of another
    release write marks beside it.
    """
    if not isinstance(content, dict):
        return None
    known = {field.name: content[field.name] for field in fields(Mark) if field.name in content}
    try:
        sets = {name: frozenset(known.get(name, ())) for name in ("queues", "consumed")}
        return Mark(**{**known, **sets})
    except TypeError:
        return None


def _read(path: Path) -> Any:
    for _ in range(3):
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:  # the process is writing it
            time.sleep(0.01)
        else:
            return found
    return None
