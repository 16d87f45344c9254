"""The common part of all providers' clients: a session that is closed at the end."""

from __future__ import annotations

from datetime import datetime

from .session import Session


class HttpClient:
    """One account's client over HTTP; a context manager, used by one thread.

    Every operation raises Unreachable (nothing was sent), Throttled, Uncertain (the request may
    have been done), Rejected, BadCredentials. Each HTTP call has the account's ``timeout_seconds``
    in total, and so has each piece of a file.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def provider_time(self) -> datetime | None:
        """The provider's own time in UTC, from the Date of the newest answer; None before the first
        answer.
        """
        return self._session.provider_time
