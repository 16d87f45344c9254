"""Deliveries: notifications of jobs to webhooks that the settings define."""

from __future__ import annotations

import json
import logging

from config.logging import bind
from config.masking import masked_error
from config.settings import settings
from ledger.core.outbox import DELIVERY, Obligation
from ledger.errors import LedgerError

from . import metrics
from .context import ledger
from .webhook_requests import NotDelivered, send

_log = logging.getLogger(__name__)

#: How many notifications one round delivers.
MOST_A_ROUND = 50


def deliver_notifications() -> int:
    """Deliver the notifications that are due; return how many were delivered.

    A webhook that hangs, does not answer or asks to wait is not tried again in the same round, so
    that it delays the others by one attempt at most: its other notifications count as refused too.
    A notification that is refused for a day is given up, with an alert. Raises LedgerError.
    """
    away: dict[str, str] = {}
    taken = 0
    for _ in range(MOST_A_ROUND):
        found = ledger().outbox.due(limit=1, only={DELIVERY})
        if not found:
            break
        taken += _deliver_one(found[0], away)
    return taken


def _deliver_one(one: Obligation, away: dict[str, str]) -> bool:
    name = str(one.payload.get("webhook"))
    with bind(job_id=one.job_id or None, account=one.account):
        try:
            if name in away:
                raise NotDelivered(away[name], answered=False)
            _deliver(one, name)
        except NotDelivered as error:
            if not error.answered and name not in away:
                away[name] = str(error)
                _log.warning("could not deliver a notification: %s", error)
            metrics.obligations_tried.labels(DELIVERY, "failed").inc()
            ledger().notifications.refused({one.id: str(error)})
            return False
    metrics.obligations_tried.labels(DELIVERY, "done").inc()
    ledger().outbox.discharged([one.id])
    ledger().notifications.taken({one.payload["queue"]})
    return True


def _deliver(one: Obligation, name: str) -> None:
    """Deliver one notification. Raises NotDelivered."""
    webhook = settings().webhooks.get(name)
    if webhook is None:
        raise NotDelivered(f"the settings define no webhook {name!r}", answered=False)
    try:
        body = json.dumps(one.payload["kwargs"]).encode()
        send(
            f"the webhook {name} at",
            webhook.url.get_secret_value(),
            webhook.secret.get_secret_value(),
            one.payload["id"],
            body,
        )
    except (NotDelivered, LedgerError):
        raise
    except Exception as error:  # noqa: BLE001 - logged; the others must not wait behind it
        _log.exception("a notification cannot be written")
        raise NotDelivered(f"cannot be written: {masked_error(error)}", answered=True) from None
