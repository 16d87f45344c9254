"""Measurement of requests to providers. Observers learn of each request here, without any sent
value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from config.accounts import Account

_log = logging.getLogger(__name__)

OK = "ok"
UNAUTHORIZED = "unauthorized"
THROTTLED = "throttled"
REFUSED = "refused"
ERROR = "error"
UNREACHABLE = "unreachable"
UNANSWERED = "unanswered"
NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Observed:
    """One request: the account's alias, its provider, the operation (one of a few words of ours),
    the outcome and the duration in seconds.
    """

    account: str
    provider: str
    operation: str
    outcome: str
    seconds: float


#: Each is called with every request of this process when the request is over.
observers: list[Callable[[Observed], None]] = []


def outcome_of(status: int) -> str:
    """Return the outcome under which an answer with this HTTP status is counted. The body may say
    something else.
    """
    if status in (401, 403):
        return UNAUTHORIZED
    if status in (429, 503):
        return THROTTLED
    if status >= 500:
        return ERROR
    return OK if 200 <= status < 300 else REFUSED


class Observation:
    """One request that begins now. The caller sets ``outcome`` when an answer arrives."""

    def __init__(self, account: Account, operation: str) -> None:
        self.outcome = UNANSWERED
        self._account = account
        self._operation = operation
        self._began = time.monotonic()

    def over(self) -> None:
        """Notify the observers. An observer's error is logged only, because the answer matters
        more.
        """
        seconds = time.monotonic() - self._began
        account = self._account
        seen = Observed(account.alias, account.provider, self._operation, self.outcome, seconds)
        _log.debug(
            "%s: %s at %s took %.3f s: %s",
            *(seen.account, seen.operation, seen.provider, seen.seconds, seen.outcome),
        )
        for observer in observers:
            try:
                observer(seen)
            except Exception:  # noqa: BLE001 - an answer that cost money must not be lost for it
                _log.exception("a request could not be measured")
