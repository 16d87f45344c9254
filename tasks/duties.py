"""Discharging what is owed: receipts, chain entries, notifications, alerts. Their webhooks are sent
apart (`alerts`): who receives them may hang.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from itertools import groupby

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from archive import chain
from archive.errors import ArchiveError, Contradiction, StoreAway
from config.logging import bind
from config.masking import masked_error
from ledger.alerts import archive_contradiction
from ledger.errors import LedgerError
from ledger.obligations import Obligation

from . import measures
from .alerts import tell
from .heads import heads
from .message import notify
from .receipts import keep_receipt
from .resources import ledger, store

_log = logging.getLogger(__name__)

#: How many obligations one round takes up.
BATCH = 50
_BROKER, _ARCHIVE = "broker", "archive"
_NOT_NOW = (OperationalError, RedisError, OSError, ArchiveError, StoreAway)


def discharge_due() -> int:
    """Discharge a batch of what is due; how many were done. What can not be done now stays owed."""
    owed = ledger().obligations.due(limit=BATCH)
    away: dict[str, str] = {}
    done = 0
    for (kind, account), group in groupby(
        sorted(owed, key=lambda one: (one.kind, one.account, one.id)),
        key=lambda one: (one.kind, one.account),
    ):
        together = list(group)
        batches = [together] if kind == "chain" else [[one] for one in together]
        for batch in batches:
            with bind(account=account, job_id=_one_job(batch)):
                done += _discharge(kind, account, batch, away)
    return done


def _needs(one: Obligation) -> tuple[str, ...]:
    if one.kind == "notify":
        return (_BROKER, _ARCHIVE) if one.payload["kwargs"]["result"] else (_BROKER,)
    return (_ARCHIVE,) if one.kind in ("chain", "receipt") else ()


def _one_job(batch: Sequence[Obligation]) -> str | None:
    """The job that owes all of it, where it is one."""
    ids = {one.job_id for one in batch}
    return ids.pop() or None if len(ids) == 1 else None


def _discharge(kind: str, account: str, batch: Sequence[Obligation], away: dict[str, str]) -> int:
    """``away`` says what did not answer in this round, and why: it is asked once in a round, since
    it may take half a minute each time, and hints wait for the round's end.
    """
    ids = [one.id for one in batch]
    lacking = [away[need] for need in _needs(batch[0]) if need in away]
    if lacking:
        ledger().obligations.failed(ids, lacking[0])
        return 0
    try:
        if kind == "chain":
            _chain(account, batch)
        elif kind == "receipt":
            _receipt(batch[0])
        elif kind == "notify":
            _notify(batch[0])
        else:
            tell(batch[0])
    except _NOT_NOW as error:
        measures.obligations_tried.labels(kind, "failed").inc(len(ids))
        ledger().obligations.failed(ids, str(error))
        _log.warning("%s of %s is owed: %s", kind, account, error)
        if isinstance(error, StoreAway):
            away[_ARCHIVE] = str(error)
        elif isinstance(error, OperationalError | RedisError):
            away[_BROKER] = str(error)
        if isinstance(error, Contradiction):
            message = f"the {kind} of job {batch[0].job_id} ({account}) can not be kept: {error}"
            found = archive_contradiction(error.path, account, message, batch[0].job_id)
            ledger().alerts.open(found)
        return 0
    except LedgerError:
        raise
    except Exception as error:  # noqa: BLE001 - logged, and owed on: the others must not wait behind it
        measures.obligations_tried.labels(kind, "failed").inc(len(ids))
        ledger().obligations.failed(ids, f"unforeseen: {masked_error(error)}")
        _log.exception("%s of %s stopped at something unforeseen; it is owed on", kind, account)
        return 0
    measures.obligations_tried.labels(kind, "done").inc(len(ids))
    ledger().obligations.discharged(ids)
    return len(ids)


def _chain(account: str, batch: Sequence[Obligation]) -> None:
    entries = {one.payload["path"]: one.payload["sha256"] for one in batch}
    head = chain.append(
        store(), account, [{"path": path, "sha256": entries[path]} for path in sorted(entries)]
    )
    heads.noted(head)
    _log.info("chain head of %s: entry %d, %s", account, head.n, head.sha256)


def _receipt(owed: Obligation) -> None:
    """Write a receipt, and owe its entry in the chain: the chain takes many at once."""
    stored = keep_receipt(owed)
    entry = {"path": stored.path, "sha256": stored.sha256}
    ledger().obligations.owe(owed.job_id, owed.account, "chain", entry)


def _notify(owed: Obligation) -> None:
    """Send a notification. What it tells of the archive comes with the chain's head, which the
    receiver may keep: it proves later that nothing was rewritten.
    """
    kwargs = owed.payload["kwargs"]
    head = chain.head(store(), owed.account) if kwargs["result"] else None
    if head is not None:
        kwargs = {**kwargs, "result": {**kwargs["result"], "chain_head": head.sha256}}
    # The same id each time it is sent; who asked twice to be told is told under two.
    task_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"earwitness:notify:{owed.job_id}:{owed.id}"))
    notify(task_id, owed.payload["task"], owed.payload["queue"], kwargs)
