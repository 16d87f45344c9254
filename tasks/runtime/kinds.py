"""Kinds of tasks: everything that this package knows of the flows that register them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ledger.core.job import Job
from ledger.core.kinds import JobKind, kind_of
from ledger.core.opening import Request

from . import outbox
from .arguments import Arguments
from .not_after import end_without_account, expire_if_late
from .outbox import Handler
from .results import Result
from .runner import Run


class Opening(Protocol):
    """Opens or joins a job by a rule of its own.

    Returns the job, and the number of its first hint if the job was opened and is due. ``timed``
    sets when an opened job is due, as the message says.
    """

    def __call__(self, *, timed: Callable[[Request], Request]) -> tuple[Job, int | None]:
        """Open the job, or join one. Raises InvalidArgument, LedgerError."""


#: Makes a job's request from the validated arguments and the id of the requesting task.
RequestOf = Callable[[Any, str], Request | Opening]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A task that other applications may send.

    ``name`` is without ``earwitness.``, ``result`` describes what callers get, and
    ``description`` says what the task does. If the task opens a job, ``request`` and ``run`` say
    how it is requested and run. With a ``run`` and no ``request`` the kind is internal: other jobs
    open its jobs as their parts, and no application may send the task.

    An ``inline`` job is a short action: it runs in the slot of the task that opened it, while other
    jobs wait for their first hint. ``outbox`` holds the handlers of
    obligations that only jobs of this kind have. The ``hooks`` are what the job adds to the
    ledger's transactions; ledger/kinds.py registers them under the same name.
    """

    name: str
    arguments: type[Arguments]
    result: type[Result]
    description: str
    request: RequestOf | None = None
    run: Run | None = None
    inline: bool = False
    outbox: Mapping[str, Handler] = field(default_factory=dict)

    @property
    def opens_job(self) -> bool:
        """Whether the task opens a job; otherwise the task answers or fails at once."""
        return self.run is not None

    @property
    def is_internal(self) -> bool:
        """Whether only other jobs open jobs of this kind."""
        return self.run is not None and self.request is None

    @property
    def hooks(self) -> JobKind:
        """The ledger's hooks for jobs of this kind: opening, end and a lost worker.

        Raises UnknownKind.
        """
        return kind_of(self.name)

    @property
    def work(self) -> Run:
        """The work of one attempt, which begins before ``not_after`` or ends the job as expired."""
        assert self.run is not None
        # A short action checks its not_after itself, until nothing of it can be sent any more.
        return end_without_account(self.run) if self.inline else expire_if_late(self.run)


#: Every task by its name without ``earwitness.``.
KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a task to the catalogue, and its handlers to the outbox.

    Raises UnknownKind if the task opens jobs whose hooks the ledger lacks, ValueError if its name
    is taken.
    """
    if kind.opens_job:
        assert kind.hooks.name == kind.name
    if kind.name in KINDS:
        raise ValueError(f"the task earwitness.{kind.name} is declared twice")
    outbox.register(kind.outbox)
    KINDS[kind.name] = kind
