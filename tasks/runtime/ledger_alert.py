"""The alert about a ledger that is away. It cannot be a row of the ledger, so each worker logs it
and sends its webhook by itself.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from config.logging import bind
from config.settings import settings
from ledger.alerts import EVERY_ACCOUNT, OPEN, RESOLVED

from .alerts import AlertFields, deliver
from .context import ledger
from .webhook_requests import NotDelivered

_log = logging.getLogger(__name__)
_alerts = logging.getLogger("earwitness.alerts")

KIND = "ledger"
#: How long the ledger may not answer before an alert is sent.
AFTER_SECONDS = 60.0
#: The waits between attempts at a receiver that takes nothing, in seconds: the first and the
#: longest.
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 600.0


@dataclass
class _Message:
    """A webhook that is still to be sent; ``wait`` is the time before its next attempt."""

    fields: AlertFields
    due_at: float = 0.0
    wait: float = _FIRST_WAIT


class LedgerAlert:
    """One worker's alert that the ledger does not answer it.

    Parameters: ``node``, the worker's name; ``after_seconds``, how long the ledger may be
    unavailable before the alert is sent.
    """

    def __init__(self, node: str, *, after_seconds: float = AFTER_SECONDS) -> None:
        self._node = node
        #: The ledger's identity, read once.
        self._deployment = ""
        self._after_seconds = after_seconds
        self._opened_at: datetime | None = None
        self._messages: list[_Message] = []

    def look(self) -> None:
        """Open the alert if the ledger has been away for long enough, close it if it answers again,
        and send what is due. Asks the ledger nothing but its identity, the first time. Raises
        LedgerAway.
        """
        self._deployment = self._deployment or ledger().identity.identity()
        away = ledger().database.outages.lasting()
        if self._opened_at is None and away >= self._after_seconds:
            self._opened_at = datetime.fromtimestamp(time.time() - away, UTC)
            self._announce(OPEN)
        elif self._opened_at is not None and away == 0:
            self._announce(RESOLVED)
            self._opened_at = None
        self._send()

    def _announce(self, state: str) -> None:
        assert self._opened_at is not None
        since = self._opened_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        message = (
            f"the ledger has not answered worker {self._node} since {since}: nothing new is "
            "accepted and no job continues until it does; nothing is lost; check that the database "
            "of EARWITNESS_LEDGER_URL is running and reachable and that its disk is not full"
        )
        cause = f"{KIND}:{self._node}"
        with bind(cause=cause):
            if state == OPEN:
                _alerts.error("%s", message)
            else:
                _alerts.warning("resolved: %s", message)
        if settings().alert_url is None:
            return
        name = f"{self._deployment}:{cause}:{since}:{state}"
        fields: AlertFields = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "state": state,
            "cause": cause,
            "kind": KIND,
            "account": EVERY_ACCOUNT,
            "job_id": None,
            "message": message,
            "since": since,
            "repeated": 0,
        }
        if state == RESOLVED:
            fields |= {"closed_by": None, "note": None}
        self._messages.append(_Message(fields))

    def _send(self) -> None:
        """Send the messages that are due, in order. One that is not taken is sent again later."""
        while self._messages and self._messages[0].due_at <= time.monotonic():
            message = self._messages[0]
            try:
                deliver(message.fields, self._deployment)
            except NotDelivered as error:
                _log.warning("could not deliver an alert: %s", error)
                message.due_at = time.monotonic() + message.wait
                message.wait = min(2 * message.wait, _LONGEST_WAIT)
                return
            self._messages.pop(0)
