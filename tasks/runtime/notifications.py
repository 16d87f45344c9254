"""Notifications: a queue that refuses them delays no other queue."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from kombu.exceptions import KombuError, SerializationError

from archive import chain
from archive.errors import ArchiveError, StoreAway
from config.logging import bind
from config.masking import mask_message, masked_error
from config.queues import is_own
from ledger.core.outbox import DELIVERY, NOTIFY, Obligation, Owing

from . import metrics
from .context import ledger, stopping, store
from .messages import notify
from .redis_errors import BROKER_AWAY, is_away

_log = logging.getLogger(__name__)

#: What did not answer in a round, and why.
Away = MutableMapping[str, str]
BROKER, ARCHIVE = "broker", "archive"
#: The longest wait for the chain entries of a batch, and between two looks.
_ENTRIES_SECONDS, _PAUSE_SECONDS = 2.0, 0.05


class _BrokerAway(Exception):
    """Redis takes no message at all."""


class _ArchiveFails(Exception):
    """The head of the account's chain cannot be read."""


class _Refused(Exception):
    """The queue refuses the notification."""


@dataclass
class _Outcomes:
    """The outcomes of a batch: sent, handed over to the deliveries, put off until the broker
    answers, failed and refused.
    """

    sent: list[Obligation] = field(default_factory=list)
    handed_over: dict[int, Owing] = field(default_factory=dict)
    put_off: list[int] = field(default_factory=list)
    failed: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


def _await_entries(obligations: Sequence[Obligation]) -> None:
    """Wait a moment until another loop has put the files of these jobs under the chain, so that the
    head covers them. Where the archive is slow, the notifications come with an older head.
    """
    jobs = [one.job_id for one in obligations if (one.payload.get("kwargs") or {}).get("result")]
    until = time.monotonic() + _ENTRIES_SECONDS
    while jobs and time.monotonic() < until and not stopping.is_set():
        if not ledger().archive_record.is_unwritten(jobs):
            return
        time.sleep(_PAUSE_SECONDS)


class Sender:
    """Sends the notifications of one round of the sweeper.

    ``away`` is shared with the rest of the round. A queue that refused one notification is not
    tried again in the same round: its other notifications count as refused too.
    """

    def __init__(self, away: Away) -> None:
        self._away = away
        self._refusing: dict[str, str] = {}
        #: The head of each account's chain, read once a batch: other workers lengthen it.
        self._heads: dict[str, str | None] = {}

    def send(self, obligations: Sequence[Obligation]) -> int:
        """Send notifications, or make deliveries of them; return how many. Raises LedgerError."""
        self._heads.clear()
        _await_entries(obligations)
        outcomes = _Outcomes()
        left = []
        for one in obligations:
            if "webhook" in one.payload:
                self._hand_over(one, outcomes)
            else:
                left.append(one)
        if left:
            self._send_all(left, outcomes)
        self._note(outcomes)
        return len(outcomes.sent) + len(outcomes.handed_over)

    def _send_all(self, left: list[Obligation], outcomes: _Outcomes) -> None:
        try:
            if BROKER in self._away:
                raise _BrokerAway
            # One producer for all: after a refusal Celery would close the connection of each.
            with current_app.producer_or_acquire() as producer:
                while left:
                    with bind(account=left[0].account, job_id=left[0].job_id):
                        self._send_one(left[0], producer, outcomes)
                    left.pop(0)
        except _BrokerAway:
            outcomes.put_off = [one.id for one in left]

    def _hand_over(self, one: Obligation, outcomes: _Outcomes) -> None:
        """Make a delivery of a webhook's notification: its receiver may hang, and Redis may be
        away. Every attempt sends the same body under the same id.
        """
        name = one.payload["webhook"]
        try:
            kwargs = self._arguments(one)
        except _ArchiveFails as failure:
            outcomes.failed.setdefault(str(failure), []).append(one.id)
            return
        outcomes.handed_over[one.id] = (
            DELIVERY,
            {
                "task": "webhook",
                "queue": f"webhook:{name}",
                "webhook": name,
                "id": _message_id(one),
                "kwargs": kwargs,
            },
        )

    def _send_one(self, one: Obligation, producer: Any, outcomes: _Outcomes) -> None:
        """Send one notification and record its outcome. Raises _BrokerAway."""
        queue = str(one.payload.get("queue"))
        if queue in self._refusing:
            outcomes.refused[one.id] = self._refusing[queue]
            return
        try:
            self._try(one, queue, producer)
        except _BrokerAway:
            raise
        except _ArchiveFails as failure:
            outcomes.failed.setdefault(str(failure), []).append(one.id)
            return
        except _Refused as refusal:
            _log.warning("a queue refuses a notification: %s", refusal)
            outcomes.refused[one.id] = self._refusing[queue] = str(refusal)
        except Exception as error:  # noqa: BLE001 - logged, and counted against this one alone
            _log.exception("a notification cannot be written")
            outcomes.refused[one.id] = f"cannot be written: {masked_error(error)}"
        else:
            outcomes.sent.append(one)
            return
        metrics.obligations_tried.labels(NOTIFY, "failed").inc()

    def _try(self, one: Obligation, queue: str, producer: Any) -> None:
        """Send one notification.

        Raises _BrokerAway, _ArchiveFails, _Refused, and what its payload causes.
        """
        if is_own(queue):
            raise _Refused(f"queue {queue!r} belongs to Earwitness; no notification is sent there")
        kwargs = self._arguments(one)
        try:
            notify(producer, _message_id(one), one.payload["task"], queue, kwargs)
        except SerializationError:
            raise
        except (KombuError, *BROKER_AWAY) as error:
            if not is_away(error):
                raise _Refused(
                    f"queue {mask_message(queue)!r}: {mask_message(str(error))}"
                ) from None
            self._away[BROKER] = mask_message(str(error))
            metrics.obligations_tried.labels(NOTIFY, "failed").inc()
            _log.warning("notifications wait for Redis: %s", self._away[BROKER])
            raise _BrokerAway from None

    def _arguments(self, one: Obligation) -> dict[str, Any]:
        """Return the notification's arguments.

        A result comes with the head of the archive's chain, which the receiver may keep: the head
        proves later that nothing was rewritten.
        """
        kwargs: dict[str, Any] = one.payload["kwargs"]
        if not kwargs["result"]:
            return kwargs
        if one.account not in self._heads:
            self._heads[one.account] = self._head(one.account)
        head = self._heads[one.account]
        return (
            kwargs
            if head is None
            else {**kwargs, "result": {**kwargs["result"], "chain_head": head}}
        )

    def _head(self, account: str) -> str | None:
        if ARCHIVE in self._away:
            raise _ArchiveFails(self._away[ARCHIVE])
        try:
            head = chain.head(store(), account)
        except (ArchiveError, StoreAway, OSError) as error:
            if isinstance(error, StoreAway):
                self._away[ARCHIVE] = str(error)
            _log.warning("notifications of %s wait for the archive: %s", account, error)
            raise _ArchiveFails(str(error)) from None
        return None if head is None else head.sha256

    def _note(self, outcomes: _Outcomes) -> None:
        outbox, sent = ledger().outbox, outcomes.sent
        if outcomes.handed_over:
            metrics.obligations_tried.labels(NOTIFY, "done").inc(len(outcomes.handed_over))
            outbox.discharged(outcomes.handed_over.keys(), outcomes.handed_over)
        if sent:
            metrics.obligations_tried.labels(NOTIFY, "done").inc(len(sent))
            outbox.discharged([one.id for one in sent])
            ledger().notifications.taken({one.payload["queue"] for one in sent})
        if outcomes.put_off:
            outbox.put_off(outcomes.put_off, self._away[BROKER])
        for reason, ids in outcomes.failed.items():
            outbox.failed(ids, reason)
        if outcomes.refused:
            ledger().notifications.refused(outcomes.refused)


def _message_id(one: Obligation) -> str:
    """Return the id under which a notification is sent, each time the same.

    A caller that asked twice is notified under two ids.
    """
    name = f"earwitness:notify:{one.job_id}:{one.id}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
