"""The outbox: discharges notifications, and obligations for which a handler is registered.

Webhooks are sent separately (`alerts`), since their receiver may hang.
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
from .alerts import announce_alert
from .context import ledger
from .notifications import ARCHIVE, Away, Sender

_log = logging.getLogger(__name__)

#: How many obligations one batch holds.
BATCH = 50
#: A round starts no further batch after this long, since hints wait for its end.
_ROUND_SECONDS = 2.0
_RETRYABLE = (OSError, ArchiveError, StoreAway)


def _never_together(_obligation: Obligation) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Handler:
    """Discharges the obligations of one kind.

    ``discharge`` gets obligations of one account; if it raises, they stay pending. ``together``
    says which of them are discharged in one call; all others come one by one. A handler that
    ``needs_archive`` is not called again in a round in which the archive did not answer.
    """

    discharge: Callable[[str, Sequence[Obligation]], None]
    together: Callable[[Obligation], bool] = _never_together
    needs_archive: bool = False


def _announce(_account: str, obligations: Sequence[Obligation]) -> None:
    for one in obligations:
        announce_alert(one)


_handlers: dict[str, Handler] = {"alert": Handler(_announce)}


def register(handlers: Mapping[str, Handler]) -> None:
    """Register handlers by the kinds of their obligations.

    Raises ValueError if a kind has another handler.
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
    """Discharge due obligations batch by batch; return how many were done.

    An obligation that cannot be discharged now stays due. A round ends early if something does not
    answer, and after a few seconds.
    """
    away: dict[str, str] = {}
    sender = Sender(away)
    until = time.monotonic() + _ROUND_SECONDS
    done = 0
    while True:
        found = ledger().outbox.due(limit=BATCH)
        done += _discharge_all(found, sender, away)
        if len(found) < BATCH or away or time.monotonic() >= until:
            return done


def _discharge_all(obligations: Sequence[Obligation], sender: Sender, away: Away) -> int:
    done = 0
    for (kind, account), group in groupby(
        sorted(obligations, key=lambda one: (one.kind, one.account, one.id)),
        key=lambda one: (one.kind, one.account),
    ):
        if kind == NOTIFY:
            continue
        for batch in _batches(_handlers.get(kind), list(group)):
            with bind(account=account, job_id=_one_job(batch)):
                done += _discharge(kind, account, batch, away)
    # Notifications go last: they carry the newest head of the chain.
    notifications = [one for one in obligations if one.kind == NOTIFY]
    return done + (sender.send(notifications) if notifications else 0)


def _batches(handler: Handler | None, group: Sequence[Obligation]) -> list[Sequence[Obligation]]:
    """Return the batches to discharge in one call each.

    An obligation that is not complete comes alone, so that the others do not fail with it.
    """
    together = [one for one in group if handler is not None and handler.together(one)]
    singly = [[one] for one in group if one not in together]
    return [together, *singly] if together else list(singly)


def _one_job(batch: Sequence[Obligation]) -> str | None:
    """Return the one job that has all these obligations, or None."""
    ids = {one.job_id for one in batch}
    return ids.pop() or None if len(ids) == 1 else None


def _discharge(kind: str, account: str, batch: Sequence[Obligation], away: Away) -> int:
    """Discharge a batch; return how many were done.

    ``away`` holds what did not answer in this round, and why. Each is asked once in a round, since
    one call may take half a minute and hints wait for the round's end.
    """
    ids = [one.id for one in batch]
    try:
        handler = _handler_of(kind)
        if handler.needs_archive and ARCHIVE in away:
            ledger().outbox.failed(ids, away[ARCHIVE])
            return 0
        handler.discharge(account, batch)
    except _RETRYABLE as error:
        _leave_due(kind, account, batch, error, away)
        return 0
    except LedgerAway:
        raise
    except Exception as error:  # noqa: BLE001 - logged and retried: the others must not wait behind it
        metrics.obligations_tried.labels(kind, "failed").inc(len(ids))
        ledger().outbox.failed(ids, f"unexpected error: {masked_error(error)}")
        _log.exception("%s of %s failed unexpectedly, will retry", kind, account)
        return 0
    metrics.obligations_tried.labels(kind, "done").inc(len(ids))
    ledger().outbox.discharged(ids)
    return len(ids)


def _leave_due(
    kind: str, account: str, batch: Sequence[Obligation], error: Exception, away: Away
) -> None:
    """Store why a batch stays due, and open an alert if the archive needs a person."""
    ids = [one.id for one in batch]
    metrics.obligations_tried.labels(kind, "failed").inc(len(ids))
    ledger().outbox.failed(ids, str(error))
    _log.warning("%s of %s is pending, will retry: %s", kind, account, error)
    archive_alerts.alert_refusal(error)
    if isinstance(error, StoreAway):
        away[ARCHIVE] = str(error)
    if isinstance(error, Contradiction):
        message = f"the {kind} of job {batch[0].job_id} ({account}) cannot be stored: {error}"
        found = archive_contradiction(error.path, account, message, batch[0].job_id)
        ledger().alerts.open(found)
