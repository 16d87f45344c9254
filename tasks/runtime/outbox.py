"""The outbox: discharges notifications, and obligations for which a handler is registered.

Webhooks are sent separately (`alerts`, `deliveries`), since their receivers may hang.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby

from archive.errors import ArchiveError, Contradiction, StoreAway
from config.logging import bind
from config.masking import masked_error
from ledger.alerts import archive_contradiction
from ledger.core.outbox import DELIVERY, NOTIFY, Obligation, Owing
from ledger.errors import LedgerAway

from . import archive_alerts, metrics
from .alerts import announce_alert
from .context import ledger
from .notifications import ARCHIVE, Away, Sender

_log = logging.getLogger(__name__)

#: How many obligations one batch holds.
BATCH = 200
#: How many are put in order at once, since all that are due are compared for it.
_IN_ORDER = 10 * BATCH
#: A round starts no further batch after this long, since hints wait for its end.
_ROUND_SECONDS = 2.0
_RETRYABLE = (OSError, ArchiveError, StoreAway)


def never(_obligation: Obligation) -> bool:
    """Let an obligation be discharged alone; see `Handler.together`."""
    return False


def always(_obligation: Obligation) -> bool:
    """Let an obligation be discharged together with others; see `Handler.together`."""
    return True


@dataclass
class Outcomes:
    """What became of a batch, by the obligations' ids.

    ``failures`` are of single obligations, which stay pending; all others were discharged.
    ``following`` are new obligations of the same jobs: they are added with the discharge.
    """

    failures: dict[int, Exception] = field(default_factory=dict)
    following: dict[int, Owing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handler:
    """Discharges the obligations of one kind.

    ``discharge`` gets obligations of one account, and may return their outcomes; if it raises, all
    of them stay pending. ``together`` says which of them are discharged in one call; all others
    come one by one. A handler that ``needs_archive`` is not called again in a round in which the
    archive did not answer.
    """

    discharge: Callable[[str, Sequence[Obligation]], Outcomes | None]
    together: Callable[[Obligation], bool] = never
    needs_archive: bool = False


def _announce(_account: str, obligations: Sequence[Obligation]) -> Outcomes:
    outcomes = Outcomes()
    for one in obligations:
        if following := announce_alert(one):
            outcomes.following[one.id] = following
    return outcomes


_handlers: dict[str, Handler] = {"alert": Handler(_announce, together=always)}


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


class Needs(Enum):
    """What obligations wait for: those of one group do not wait for what another group needs."""

    LEDGER = "ledger"
    ARCHIVE = "archive"
    BROKER = "broker"


def _in_turn(needs: Needs | None) -> list[int]:
    """Return due obligations of a group, or of all, in the order in which they take turns."""
    of_archive = {kind for kind, handler in _handlers.items() if handler.needs_archive}
    outbox = ledger().outbox
    others = set() if needs is None else {NOTIFY, *of_archive}
    if needs is Needs.ARCHIVE:
        return outbox.in_turn(limit=_IN_ORDER, only=of_archive)
    if needs is Needs.BROKER:
        return outbox.in_turn(limit=_IN_ORDER, only={NOTIFY})
    return outbox.in_turn(limit=_IN_ORDER, but={DELIVERY, *others})


def discharge_due(needs: Needs | None = None) -> int:
    """Discharge due obligations batch by batch; return how many were done.

    ``needs`` chooses a group of them; the default is all. An obligation that cannot be discharged
    now stays due. A round ends early if something does not answer, and after a few seconds.
    """
    away: dict[str, str] = {}
    sender = Sender(away)
    until = time.monotonic() + _ROUND_SECONDS
    done = 0
    # What follows from an obligation, such as a receipt's chain entry, is due at once.
    while ids := _in_turn(needs):
        claimed = 0
        for first in range(0, len(ids), BATCH):
            found = ledger().outbox.claim(ids[first : first + BATCH])
            claimed += len(found)
            done += _discharge_all(found, sender, away)
            if away or time.monotonic() >= until:
                return done
        if not claimed:
            return done  # other workers took them
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
        outcomes = handler.discharge(account, batch) or Outcomes()
    except LedgerAway:
        raise
    except Exception as error:  # noqa: BLE001 - logged and retried: the others must not wait behind it
        _leave_due(kind, account, batch, error, away)
        return 0
    for why, failed in _by_error(batch, outcomes.failures):
        _leave_due(kind, account, failed, why, away)
    done = [one for one in ids if one not in outcomes.failures]
    if done:
        metrics.obligations_tried.labels(kind, "done").inc(len(done))
        ledger().outbox.discharged(done, outcomes.following)
    return len(done)


def _by_error(
    batch: Sequence[Obligation], failures: Mapping[int, Exception]
) -> list[tuple[Exception, list[Obligation]]]:
    """Return the failures of a batch: each error with all obligations that met this one."""
    found: dict[int, tuple[Exception, list[Obligation]]] = {}
    for one in batch:
        if error := failures.get(one.id):
            found.setdefault(id(error), (error, []))[1].append(one)
    return list(found.values())


def _leave_due(
    kind: str, account: str, batch: Sequence[Obligation], error: Exception, away: Away
) -> None:
    """Store why a batch stays due, and open an alert if the archive needs a person."""
    ids = [one.id for one in batch]
    metrics.obligations_tried.labels(kind, "failed").inc(len(ids))
    if not isinstance(error, _RETRYABLE):
        ledger().outbox.failed(ids, f"unexpected error: {masked_error(error)}")
        _log.error("%s of %s failed unexpectedly, will retry", kind, account, exc_info=error)
        return
    ledger().outbox.failed(ids, str(error))
    _log.warning("%s of %s is pending, will retry: %s", kind, account, error)
    archive_alerts.alert_refusal(error)
    if isinstance(error, StoreAway):
        away[ARCHIVE] = str(error)
    if isinstance(error, Contradiction):
        message = f"the {kind} of job {batch[0].job_id} ({account}) cannot be stored: {error}"
        found = archive_contradiction(error.path, account, message, batch[0].job_id)
        ledger().alerts.open(found)
