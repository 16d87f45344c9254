"""The marks by which a process shows that it lives: one small file each, in the spool.

Times are those of the machine's monotonic clock, which all its processes and containers share and
nobody sets; it begins anew when the machine does.
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

_FOLDER = "health"
#: Marks keep this length, so that renewing one needs no further space on a disk that is full.
_BYTES = 1_024


@dataclass(frozen=True)
class Mark:
    """What a process said of itself.

    ``kind`` is ``worker`` or ``beat``, ``began_at`` when it started; ``phase`` ``starting``,
    ``working`` or ``stopping``;
    ``queues`` what it was started to consume, ``consumed`` what it last asked Redis for; ``at``
    when it said so, ``worked_at`` when it last did what it is there for, and ``redis_away_at`` when
    it last found Redis away, in seconds of the monotonic clock.
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

    @property
    def host(self) -> str:
        """The host's part of the node name."""
        return self.node.rpartition("@")[2]

    def path(self, spool: Path) -> Path:
        """Where it lies."""
        return spool / _FOLDER / f"{quote(self.node, safe='@')}.{self.kind}.json"


def write(mark: Mark, spool: Path) -> None:
    """Renew a mark. Raises OSError."""
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
    """Every mark that can be read."""
    for path in sorted((spool / _FOLDER).glob("*.json")):
        mark = _understood(_read(path))
        if mark is not None:
            yield mark


def _understood(content: Any) -> Mark | None:
    """The mark, as far as this release knows it: one of another release, which runs beside it while
    they are replaced, may say more.
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
        except ValueError:  # it is being written
            time.sleep(0.01)
        else:
            return found
    return None
