"""Alerts to people: a line of the log, and a signed webhook if one is set."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from typing import Any

from config.logging import bind
from config.masking import mask
from config.settings import settings
from config.version import VERSION
from ledger.alerts import CONTRADICTION, CREDENTIALS, RESOLVED, Alert, credentials_cause
from ledger.core.outbox import WEBHOOK, Obligation, Owing
from ledger.errors import LedgerAway

from .context import ledger
from .webhook_requests import NotDelivered, send

_log = logging.getLogger(__name__)
_alerts = logging.getLogger("earwitness.alerts")

#: How many webhooks one round sends.
_MOST_A_ROUND = 50
#: The fields of an alert that differ from alert to alert; a closed alert also says who closed it.
_ALERT_FIELDS = (
    "id",
    "state",
    "cause",
    "kind",
    "account",
    "job_id",
    "message",
    "since",
    "repeated",
)
_CLOSING_FIELDS = ("closed_by", "note")

#: The fields of an alert by name.
AlertFields = dict[str, Any]

FOREIGN_REDIS = f"{CONTRADICTION}:identity:redis"


def announce_alert(obligation: Obligation) -> Owing | None:
    """Write the log line that people watch for; return the webhook that follows, if one is set."""
    fields = obligation.payload
    with bind(cause=fields.get("cause")):
        if fields.get("state") == RESOLVED:
            _alerts.warning("resolved: %s%s", fields["message"], _closed_by(fields))
        else:
            _alerts.error("%s", fields["message"])
    # An alert of an earlier version has no cause and is for the log only.
    if settings().alert_url is not None and "cause" in fields:
        return WEBHOOK, fields
    return None


def deliver_due() -> int:
    """Send the webhooks that are due; return how many were delivered.

    A receiver that hangs, does not answer or asks to wait ends the round. One that refuses an alert
    is sent the next one. A webhook that was not delivered stays pending, with growing waits, and
    `status` says why.
    """
    taken = 0
    for _ in range(_MOST_A_ROUND):
        found = ledger().outbox.due(limit=1, webhooks=True)
        if not found:
            break
        (obligation,) = found
        try:
            deliver(obligation.payload, ledger().identity.identity())
        except NotDelivered as error:
            ledger().outbox.failed([obligation.id], str(error))
            with bind(job_id=obligation.job_id or None, account=obligation.account):
                _log.warning("could not deliver an alert: %s", error)
            if not error.answered:
                break
        else:
            ledger().outbox.discharged([obligation.id])
            taken += 1
    return taken


def deliver(fields: AlertFields, deployment: str) -> None:
    """Send the webhook of an alert with these fields, of the ledger with this identity. Raises
    NotDelivered.
    """
    url, secret = settings().alert_url, settings().alert_secret
    if url is None or secret is None:
        return  # the settings no longer name an address
    try:
        body = _body(fields, deployment)
    except (KeyError, TypeError) as error:
        # Another version wrote this alert and may come back: the others do not wait behind it.
        message = f"this version cannot write the alert ({type(error).__name__})"
        raise NotDelivered(message, answered=True) from None
    text = secret.get_secret_value()

    def earlier_headers(timestamp: str) -> dict[str, str]:
        """Return the headers of versions before the convention; they stay for one release."""
        return {
            "Earwitness-Timestamp": timestamp,
            "Earwitness-Signature": signature(text.encode(), timestamp, body),
        }

    send("the alert receiver", url.get_secret_value(), text, fields["id"], body, earlier_headers)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of Earwitness-Signature.

    This is the version, then HMAC-SHA256 over the timestamp, a full stop and the body, in
    hexadecimal.
    """
    signed = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


def _body(given: AlertFields, deployment: str) -> bytes:
    fields: dict[str, Any] = {name: given[name] for name in _ALERT_FIELDS}
    if fields["state"] == RESOLVED:
        # In an earlier version, only the program closed alerts.
        fields |= {name: given.get(name) for name in _CLOSING_FIELDS}
    for name in ("message", *_CLOSING_FIELDS):
        if fields.get(name) is not None:
            fields[name] = mask(fields[name])
    return json.dumps(
        {"schema": 1, **fields, "deployment": deployment, "version": VERSION}
    ).encode()


def _closed_by(fields: dict[str, Any]) -> str:
    """Return who closed an alert and why, if a person did."""
    by = fields.get("closed_by")
    return "" if by is None else f"; closed by {by}: {fields['note']}"


def credentials_refused(alias: str, reason: str, job_id: str | None = None) -> None:
    """Alert people that a provider refuses the credentials, once until it accepts them again."""
    alert = Alert(credentials_cause(alias), CREDENTIALS, alias, reason, job_id)
    try:
        ledger().alerts.open(alert)
    except LedgerAway as error:
        _log.warning("could not open the alert about the credentials of %s: %s", alias, error)


def credentials_accepted(alias: str) -> None:
    """Close the alert about refused credentials: the provider accepted them."""
    try:
        ledger().alerts.close(credentials_cause(alias))
    except LedgerAway as error:
        _log.info("could not close the alert about the credentials of %s: %s", alias, error)
