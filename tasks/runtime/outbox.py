"""Discharging obligations: notifications, and what the handlers that are registered here take.

Webhooks are sent apart (`alerts`), since their receiver may hang.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from archive.errors import ArchiveError, Contradiction, StoreAway
from config.logging import bind
from config.masking import masked_error
from ledger.alerts import archive_contradiction
from ledger.core.outbox import NOTIFY, Obligation
from ledger.errors import LedgerAway

from . import archive_alerts, metrics
from .alerts import tell
from .context import ledger
from .notifications import ARCHIVE, Away, Sender

_log = logging.getLogger(__name__)

#: How many obligations are taken up together.
BATCH = 50
#: A round takes up no more after this long: hints wait for its end.
_ROUND_SECONDS = 2.0
_NOT_NOW = (OSError, ArchiveError, StoreAway)


def _singly(_obligation: Obligation) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Handler:
    """Discharges the obligations of one kind.

    ``discharge`` gets obligations of one account; what it raises leaves them owed. ``together``
    says which of them are discharged in one go, all others come one by one. A handler that
    ``needs_archive`` is not asked again in a round in which the archive did not answer.
    """

    discharge: Callable[[str, Sequence[Obligation]], None]
    together: Callable[[Obligation], bool] = _singly
    needs_archive: bool = False


def _tell(_account: str, owed: Sequence[Obligation]) -> None:
    for one in owed:
        tell(one)


_handlers: dict[str, Handler] = {"alert": Handler(_tell)}


def register(handlers: Mapping[str, Handler]) -> None:
    """Let these handlers discharge the obligations of their kinds. Raises ValueError where a kind
    has another handler.
    """
    for kind, handler in handlers.items():
        if _handlers.setdefault(kind, handler) is not handler:
            raise ValueError(f"obligations of the kind {kind} have two handlers")


def _handler_of(kind: str) -> Handler:
    try:
        return _handlers[kind]
    except KeyError:
        raise NotImplementedError(f"no handler is registered for obligations: {kind}") from None


def discharge_due() -> int:
    """Discharge due obligations, batch by batch; return how many were done. What cannot be done now
    stays due. A round ends early where something does not answer, and after a few seconds.
    """
    away: dict[str, str] = {}
    sender = Sender(away)
    until = time.monotonic() + _ROUND_SECONDS
    done = 0
    while True:
        owed = ledger().outbox.due(limit=BATCH)
        done += _discharge_all(owed, sender, away)
        if len(owed) < BATCH or away or time.monotonic() >= until:
            return done


def _discharge_all(owed: Sequence[Obligation], sender: Sender, away: Away) -> int:
    done = 0
    for (kind, account), group in groupby(
        sorted(owed, key=lambda one: (one.kind, one.account, one.id)),
        key=lambda one: (one.kind, one.account),
    ):
        if kind == NOTIFY:
            continue
        for batch in _batches(_handlers.get(kind), list(group)):
            with bind(account=account, job_id=_one_job(batch)):
                done += _discharge(kind, account, batch, away)
    # Last: they carry the newest head of the chain.
    notifications = [one for one in owed if one.kind == NOTIFY]
    return done + (sender.send(notifications) if notifications else 0)


def _batches(handler: Handler | None, group: Sequence[Obligation]) -> list[Sequence[Obligation]]:
    """Return what is discharged in one go. What is not whole comes one by one: the others must not
    fail with it.
    """
    together = [one for one in group if handler is not None and handler.together(one)]
    singly = [[one] for one in group if one not in together]
    return [together, *singly] if together else list(singly)


def _one_job(batch: Sequence[Obligation]) -> str | None:
    """The job that owes all of it, where it is one."""
    ids = {one.job_id for one in batch}
    return ids.pop() or None if len(ids) == 1 else None


def _discharge(kind: str, account: str, batch: Sequence[Obligation], away: Away) -> int:
    """Discharge a batch; return how many were done. ``away`` says what did not answer in this
    round, and why: it is asked once in a round, since it may take half a minute each time, and
    hints wait for the round's end.
    """
    ids = [one.id for one in batch]
    try:
        handler = _handler_of(kind)
        if handler.needs_archive and ARCHIVE in away:
            ledger().outbox.failed(ids, away[ARCHIVE])
            return 0
        handler.discharge(account, batch)
    except _NOT_NOW as error:
        _not_now(kind, account, batch, error, away)
        return 0
    except LedgerAway:
        raise
    except Exception as error:  # noqa: BLE001 - logged, and owed on: the others must not wait behind it
        metrics.obligations_tried.labels(kind, "failed").inc(len(ids))
        ledger().outbox.failed(ids, f"unforeseen: {masked_error(error)}")
        _log.exception("%s of %s stopped at something unforeseen; it is owed on", kind, account)
        return 0
    metrics.obligations_tried.labels(kind, "done").inc(len(ids))
    ledger().outbox.discharged(ids)
    return len(ids)


def _not_now(
    kind: str, account: str, batch: Sequence[Obligation], error: Exception, away: Away
) -> None:
    """Note why a batch stays due, and alert people where the archive needs them."""
    ids = [one.id for one in batch]
    metrics.obligations_tried.labels(kind, "failed").inc(len(ids))
    ledger().outbox.failed(ids, str(error))
    _log.warning("%s of %s is owed: %s", kind, account, error)
    archive_alerts.refused(error)
    if isinstance(error, StoreAway):
        away[ARCHIVE] = str(error)
    if isinstance(error, Contradiction):
        message = f"the {kind} of job {batch[0].job_id} ({account}) can not be kept: {error}"
        found = archive_contradiction(error.path, account, message, batch[0].job_id)
        ledger().alerts.open(found)
