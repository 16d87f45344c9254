"""What an account on an Ozeki server can do, in the words of `providers.interface`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from providers.errors import WrongField
from providers.http.streaming import Body
from providers.http.tokens import TokenStore
from providers.interface import CollectsRecordings
from providers.live_calls import LiveCall, LiveRecording, Notification

from . import documents, notifications, ozml
from .account import OzekiAccount
from .client import Ozeki


class LiveOzeki(CollectsRecordings):
    """One account's client; a context manager, used by one thread. Parameters as for `Ozeki`; there
    are no tokens.
    """

    def __init__(
        self,
        account: OzekiAccount,
        token_store: TokenStore | None = None,  # noqa: ARG002 - every client is made alike
        /,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self._account = account
        self._server = Ozeki(account, transport=transport, before_call=before_call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._server.close()

    @property
    def provider_time(self) -> datetime | None:
        """None: the server's clock decides nothing here."""
        return None

    def probe(self) -> str:
        """List the calls that are going on; how many there are."""
        found = len(self.calls())
        return f"{found} call{'s' * (found != 1)} going on"

    def calls(self, user_id: str | None = None, extension: str | None = None) -> list[LiveCall]:
        """Every call that is going on. Raises WrongField for a user or an extension."""
        for name, given in (("extension", extension), ("user_id", user_id)):
            if given is not None:
                raise WrongField(
                    name,
                    f"account {self._account.alias!r} is at {self._account.provider}, which lists "
                    "every call; leave it out",
                )
        return [LiveCall(**one) for one in self._server.active_calls()]

    @staticmethod
    def start_parameters(account: OzekiAccount, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a start (`documents.start_parameters`). Raises WrongField."""
        return documents.start_parameters(account, asked)

    def start_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,  # noqa: ARG002 - no list of the server's tells what is recorded
    ) -> LiveRecording:
        """Ask once that a call be recorded until it ends; the end is told to the parameter
        ``finished_url``. Asked twice, the server makes two files.
        """
        if before_action is not None:
            before_action()
        self._server.record(
            parameters["call_id"], parameters["format"], parameters.get("finished_url")
        )
        return LiveRecording(None, None)

    def collected(
        self, url: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """A finished recording from the address in its notification (`Ozeki.recording`)."""
        return self._server.recording(url, etag=etag, offset=offset)

    @staticmethod
    def notification(form: bytes) -> Notification:
        """The notification in a form that the server posted. Raises Unreadable."""
        return notifications.notification(form)

    @staticmethod
    def answerable(control: str, notification: Notification) -> bool:
        """Whether a recording may be begun by the answer to this notification."""
        return not notification.call_is_over and notifications.answerable(
            control, notification.name
        )

    @staticmethod
    def document(control: str, parameters: Mapping[str, Any], finished_url: str | None) -> bytes:
        """The OzML document that records a call. Raises WrongField."""
        return documents.document(control, parameters, finished_url)

    @staticmethod
    def nothing_to_do() -> bytes:
        """The OzML document that asks for nothing."""
        return ozml.empty()
