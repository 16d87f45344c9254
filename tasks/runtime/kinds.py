"""Kinds of tasks: what each flow registers, and all that this package knows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ledger.core.job import Job
from ledger.core.kinds import JobKind, kind_of
from ledger.core.opening import Request

from . import outbox
from .arguments import Arguments
from .not_after import unless_late
from .outbox import Handler
from .runner import Run


class Opening(Protocol):
    """Opens or joins a job by a rule of its own: the job, and the number of its first hint where it
    was opened and is due. What it opens is ``timed`` as the message says.
    """

    def __call__(self, *, timed: Callable[[Request], Request]) -> tuple[Job, int | None]:
        """Open the job, or join it. Raises InvalidArgument, LedgerError."""


#: Makes a job's request from validated arguments and the id of the task that asks.
RequestOf = Callable[[Any, str], Request | Opening]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A task that other applications may send: its name without ``earwitness.``, its arguments and,
    where it opens a job, how that is requested and carried out.

    A kind with a ``run`` and no ``request`` is internal: other jobs open its jobs as their parts,
    and no application may send the task.

    An ``inline`` job is a short action: it runs in the slot of the task that opened it, where
    others wait for their first hint. ``outbox`` has the handlers of obligations that only jobs of
    this kind owe. What the job adds to the ledger's transactions are the ``hooks`` that
    ledger/kinds.py registers under the same name.
    """

    name: str
    arguments: type[Arguments]
    request: RequestOf | None = None
    run: Run | None = None
    inline: bool = False
    outbox: Mapping[str, Handler] = field(default_factory=dict)

    @property
    def opens_job(self) -> bool:
        """Whether the task opens a job; else it answers or fails at once."""
        return self.run is not None

    @property
    def is_internal(self) -> bool:
        """Whether only other jobs open jobs of this kind."""
        return self.run is not None and self.request is None

    @property
    def hooks(self) -> JobKind:
        """What the ledger calls when a job of this kind opens, ends or loses its worker. Raises
        UnknownKind.
        """
        return kind_of(self.name)

    @property
    def work(self) -> Run:
        """The work of one attempt; it begins before ``not_after`` or the job expires."""
        assert self.run is not None
        # A short action looks at its not_after by itself, until nothing of it can be sent any more.
        return self.run if self.inline else unless_late(self.run)


#: Every task of ours by its name without ``earwitness.``.
KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a task known to the catalogue, and its handlers to the outbox. Raises UnknownKind where
    it opens jobs whose hooks the ledger lacks, ValueError where its name is taken.
    """
    if kind.opens_job:
        assert kind.hooks.name == kind.name
    if kind.name in KINDS:
        raise ValueError(f"the task earwitness.{kind.name} is declared twice")
    outbox.register(kind.outbox)
    KINDS[kind.name] = kind
