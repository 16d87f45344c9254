"""Kinds of jobs, as far as the engine knows them: a name, and hooks that it calls.

The engine knows no kind. Each kind registers what it adds when one of its jobs opens, ends or loses
its worker, and the engine calls that inside its own transaction, so that both are written or
neither. A kind that is not registered is refused: its hooks must not be skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection

from config.error_names import ErrorName
from ledger.errors import UnknownKind

from .job import Job

if TYPE_CHECKING:
    from .opening import Request


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a job: its row now, the state ``before``, and the path in the archive that holds
    something else than the job would keep, or None.
    """

    job: Job
    before: str
    contradicts: str | None = None


OpenHook = Callable[[Connection, "Request"], None]
EndHook = Callable[[Connection, Ending], None]


class WithholdHook(Protocol):
    """Opens a new job by a rule of its own kind."""

    def __call__(self, connection: Connection, request: Request, /, *, by: str) -> Job | None:
        """Return the job, or None to have it opened like any other."""


class LostHook(Protocol):
    """Changes a job whose worker died while it was sending."""

    def __call__(
        self, connection: Connection, job_id: str, token: str, /, *, by: str
    ) -> Job | None:
        """Return the job, or None if the job is not held under this lease token any more."""


class BeginHook(Protocol):
    """Opens and claims a usual new job in one statement of PostgreSQL."""

    def __call__(
        self,
        connection: Connection,
        request: Request,
        /,
        *,
        token: str,
        seconds: float,
        by: str,
        worker: str,
        notify: dict[str, str] | None,
    ) -> Job | None:
        """Return the job, or None if nothing was written: then the engine does it step by step."""


def _nothing(_connection: Connection, _request: Request) -> None:
    """Add nothing."""


def _withhold_nothing(
    _connection: Connection,
    _request: Request,
    /,
    *,
    by: str,  # noqa: ARG001
) -> Job | None:
    return None


def _asks_later(_connection: Connection, _account: str) -> bool:
    return False


def _never_sends(
    _connection: Connection,
    job_id: str,
    _token: str,
    /,
    *,
    by: str,  # noqa: ARG001
) -> Job | None:
    raise UnknownKind(
        f"unknown: the worker of job {job_id} died while it was sending, and the job's kind has no "
        "rule for that; nothing was changed; report this"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One kind of job, and its hooks. Each hook gets the connection of the engine's transaction,
    which is rolled back when the hook raises.

    ``withhold`` opens a new job by a rule of its own kind and returns the job, or None to have it
    opened like any other. The engine calls ``inserted`` right after inserting a job's row, and
    ``opened`` once the job's companion exists too, unless the job has ended already. The engine
    calls the ``ended`` hooks in this order at every end, after the answers, the notifications and
    the parent; there is no default, since a kind without these hooks opens no alert either.

    The engine calls ``sender_lost`` when the worker of a job in state *sending* has died.
    ``begin_at_once``, if there is one, opens and claims a usual new job in a single statement, with
    the same rows as the engine's steps and this kind's hooks, unless the job's account is paused.
    ``finds_no_pause`` says whether an account is certainly not paused, so that a job which was just
    begun need not ask.
    ``died_often`` is the error of a job whose workers died five times in state *running*.
    ``refuses_retry`` says why no job of the kind is ever retried, or None if retries are allowed.
    """

    name: str
    ended: Sequence[EndHook]
    withhold: WithholdHook = _withhold_nothing
    inserted: OpenHook = _nothing
    opened: OpenHook = _nothing
    sender_lost: LostHook = _never_sends
    died_often: tuple[ErrorName, str] = (
        ErrorName.UNCERTAIN,
        "unknown: its worker died five times; see the workers' logs, then retry the job",
    )
    refuses_retry: str | None = None
    begin_at_once: BeginHook | None = None
    finds_no_pause: Callable[[Connection, str], bool] = _asks_later


_registered: dict[str, JobKind] = {}


def register(*kinds: JobKind) -> None:
    """Make kinds known to the engine. Raises ValueError if another kind has the same name."""
    for kind in kinds:
        if _registered.setdefault(kind.name, kind) is not kind:
            raise ValueError(f"the kind of job {kind.name} is registered twice")


def kind_of(name: str) -> JobKind:
    """Return the kind with this name. Raises UnknownKind."""
    try:
        return _registered[name]
    except KeyError:
        raise UnknownKind(
            f"not done: this program does not know jobs of the kind {name}; nothing was changed; "
            "use the version of Earwitness that opened the job"
        ) from None
