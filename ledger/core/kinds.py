"""Kinds of jobs, as far as the engine knows them: a name, and hooks that it calls.

The engine knows no kind. Each kind registers what it adds when one of its jobs opens, ends or loses
its worker, and the engine calls that inside its own transaction, so that both are written or
neither. A kind that nobody registered is refused: its hooks must not be skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from ledger.errors import UnknownKind

from .job import Job

if TYPE_CHECKING:
    from .opening import Request


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a job: its row as it is now, the state ``before``, and the path in the archive
    where something else stands than the job would keep, None where it met nothing.
    """

    job: Job
    before: str
    contradicts: str | None = None


OpenHook = Callable[[Connection, "Request"], None]
EndHook = Callable[[Connection, Ending], None]


def _nothing(_connection: Connection, _request: Request) -> None:
    """Add nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One kind of job, and its hooks. Each gets the connection of the engine's transaction, which
    is rolled back when it raises.

    ``opened`` is called once a new job and its companion are there, unless the job has ended
    already. ``ended`` are called in this order at every end, after the answers, the notifications
    and the parent; there is no default, since a kind without any opens no alert either.
    """

    name: str
    ended: Sequence[EndHook]
    opened: OpenHook = _nothing


_registered: dict[str, JobKind] = {}


def register(*kinds: JobKind) -> None:
    """Make kinds known to the engine. Raises ValueError where another kind has the same name."""
    for kind in kinds:
        if _registered.setdefault(kind.name, kind) is not kind:
            raise ValueError(f"the kind of job {kind.name} is registered twice")


def kind_of(name: str) -> JobKind:
    """Return the kind with this name. Raises UnknownKind."""
    try:
        return _registered[name]
    except KeyError:
        raise UnknownKind(
            f"not done: this program knows no kind of job called {name}; nothing was changed; use "
            "the version of Earwitness that opened the job"
        ) from None
