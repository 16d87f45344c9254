"""Discharging what is owed: receipts, chain entries, notifications, alerts. Their webhooks are sent
apart (`alerts`): who receives them may hang.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from itertools import groupby

from archive import chain
from archive.documents.chain_entry import Covered
from archive.errors import ArchiveError, Contradiction, StoreAway
from config.logging import bind
from config.masking import masked_error
from ledger.alerts import archive_contradiction
from ledger.core.outbox import NOTIFY, Obligation
from ledger.errors import LedgerAway
from tasks.archive_watch import alerts, vouching
from tasks.archive_watch.chain_heads import heads
from tasks.certified_calls.receipts import keep_receipt

from . import metrics
from .alerts import tell
from .context import ledger, store
from .notifications import ARCHIVE, Away, Sender
from .obligations import under_chain

_log = logging.getLogger(__name__)

#: How many obligations are taken up together.
BATCH = 50
#: A round takes up no more after this long: hints wait for its end.
_ROUND_SECONDS = 2.0
_NOT_NOW = (OSError, ArchiveError, StoreAway)


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
        for batch in _batches(kind, list(group)):
            with bind(account=account, job_id=_one_job(batch)):
                done += _discharge(kind, account, batch, away)
    # Last: they carry the newest head of the chain.
    notifications = [one for one in owed if one.kind == NOTIFY]
    return done + (sender.send(notifications) if notifications else 0)


def _batches(kind: str, group: Sequence[Obligation]) -> list[Sequence[Obligation]]:
    """What is done in one go: all that belongs under a chain, and everything else one by one, an
    entry that cannot be read too: the others must not fail with it.
    """
    entries = [one for one in group if kind == "chain" and {"path", "sha256"} <= set(one.payload)]
    singly = [[one] for one in group if one not in entries]
    return [entries, *singly] if entries else list(singly)


def _one_job(batch: Sequence[Obligation]) -> str | None:
    """The job that owes all of it, where it is one."""
    ids = {one.job_id for one in batch}
    return ids.pop() or None if len(ids) == 1 else None


def _discharge(kind: str, account: str, batch: Sequence[Obligation], away: Away) -> int:
    """``away`` says what did not answer in this round, and why: it is asked once in a round, since
    it may take half a minute each time, and hints wait for the round's end.
    """
    ids = [one.id for one in batch]
    if ARCHIVE in away and kind in ("chain", "receipt"):
        ledger().outbox.failed(ids, away[ARCHIVE])
        return 0
    try:
        if kind == "chain":
            _chain(account, batch)
        elif kind == "receipt":
            _receipt(batch[0])
        else:
            tell(batch[0])
    except _NOT_NOW as error:
        metrics.obligations_tried.labels(kind, "failed").inc(len(ids))
        ledger().outbox.failed(ids, str(error))
        _log.warning("%s of %s is owed: %s", kind, account, error)
        alerts.refused(error)
        if isinstance(error, StoreAway):
            away[ARCHIVE] = str(error)
        if isinstance(error, Contradiction):
            message = f"the {kind} of job {batch[0].job_id} ({account}) can not be kept: {error}"
            found = archive_contradiction(error.path, account, message, batch[0].job_id)
            ledger().alerts.open(found)
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


def _chain(account: str, batch: Sequence[Obligation]) -> None:
    vouching.refuse_fork(store(), ledger(), account)
    sums = {one.payload["path"]: one.payload["sha256"] for one in batch}
    head = chain.append(store(), account, [Covered(path, sums[path]) for path in sorted(sums)])
    ledger().archive_record.note_head(account, head.n, head.sha256)
    heads.noted(head)
    _log.info("chain head of %s: entry %d, %s", account, head.n, head.sha256)


def _receipt(owed: Obligation) -> None:
    """Write a receipt, and owe its entry in the chain: the chain takes many at once."""
    # Every time it is written: the archive may be a new one.
    ledger().outbox.owe(owed.job_id, owed.account, *under_chain(keep_receipt(owed)))
