"""Ozeki Phone System's HTTP API: record a live call, list the calls, fetch a finished recording.

The documented facts and the open questions: docs/providers/ozeki.md. No command stops a recording:
the recording ends with its call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import httpx

from config.masking import mask_foreign
from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
    WrongField,
)
from providers.http.client import HttpClient
from providers.http.deadline import within
from providers.http.exchange import Answer
from providers.http.headers import retry_after
from providers.http.redaction import drop_frames
from providers.http.session import Session
from providers.http.streaming import Body
from providers.http.tokens import TokenStore
from providers.interface import CollectsRecordings
from providers.live_calls import LiveCall, LiveRecording, Notification, going_on

from . import answers, documents, notifications, ozml
from .account import OzekiAccount
from .addresses import recording_address
from .refusals import NAME, NoSuchCall, NotUnderstood
from .requests import command

__all__ = ["Body", "Format", "NoSuchCall", "NotUnderstood", "Ozeki"]

Format = Literal["mp3", "wav"]

#: The words under which commands are measured.
_OPERATIONS = {"Record": "recording_start", "ListActiveCalls": "call_list"}


class Ozeki(HttpClient, CollectsRecordings):
    """One account's client.

    Parameters: ``account``; ``token_store`` is not used, since there are no tokens; ``transport``,
    the seam for tests; ``before_call``, called before each HTTP call of an operation.
    """

    def __init__(
        self,
        account: OzekiAccount,
        token_store: TokenStore | None = None,  # noqa: ARG002 - every client is made alike
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            Session(
                account,
                _no_file,
                transport=transport,
                before_call=before_call,
                hides_addresses=True,
            )
        )
        self._account = account

    def probe(self) -> str:
        """List the calls in progress."""
        return going_on(self.calls())

    @drop_frames
    def record(
        self,
        call_id: str,
        format: Format = "mp3",  # noqa: A002 - the vendor's word
        finished_url: str | None = None,
    ) -> None:
        """Record a live call until it ends. The RecordCompleted notification, the only source of
        the file's address, goes to ``finished_url``.

        The answer holds neither an id nor an address, and a second recording of a call looks like
        the first. If the command is sent twice, the server makes two files. Raises NoSuchCall if no
        such call is live, NotUnderstood if the server's answer cannot be read.
        """
        what = f"the recording of call {_shown(call_id)}"
        if format not in get_args(Format):
            raise Rejected(NAME, f'{what}: not done, "{format}" is not a format; give mp3 or wav')
        parameters = {"CallId": call_id, "Format": format, "FinishedURL": finished_url}
        answers.done(*self._commanded("Record", what, parameters), what)

    @drop_frames
    def calls(self, user_id: str | None = None, extension: str | None = None) -> list[LiveCall]:
        """Return every live call. If a call has the call_id None, no call can be ruled out as live.
        Raises WrongField for a user or an extension.
        """
        for name, given in (("extension", extension), ("user_id", user_id)):
            if given is not None:
                raise WrongField(
                    name,
                    f"account {self._account.alias!r} is at {self._account.provider}, which lists "
                    "every call; leave it out",
                )
        what = "the list of calls"
        return answers.calls(*self._commanded("ListActiveCalls", what, {}), what)

    @staticmethod
    def start_parameters(account: OzekiAccount, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a start (`documents.start_parameters`). Raises WrongField."""
        return documents.start_parameters(account, given)

    @drop_frames
    def start_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,  # noqa: ARG002 - no list of the server's tells what is recorded
    ) -> LiveRecording:
        """Request once that a call be recorded until it ends; the end is reported to the parameter
        ``finished_url``. If requested twice, the server makes two files.
        """
        if before_action is not None:
            before_action()
        self.record(parameters["call_id"], parameters["format"], parameters.get("finished_url"))
        return LiveRecording(None, None)

    @contextmanager
    def collected(self, url: str, *, etag: str | None = None, offset: int = 0) -> Iterator[Body]:
        """Open a finished recording at the RecordURL of its notification, from ``offset`` if
        ``etag`` is still valid, otherwise from its first byte.

        No credentials are sent, because the address came from outside. Whether a server may require
        them is documented nowhere. Raises Rejected if the address is not one of the account's
        (`addresses`), NotFound and Gone.
        """
        what = "the recording"
        with self._session.file(
            "recording_file", self._allowed(url), what, etag=etag, offset=offset
        ) as body:
            if body.offset == 0:
                self._refuse_page(body, what)
            yield body

    @drop_frames
    def _allowed(self, url: str) -> httpx.URL:
        return recording_address(url, self._account.base_url, self._account.recording_hosts)

    @staticmethod
    def notification(form: bytes) -> Notification:
        """Return the notification in a form that the server posted. Raises Unreadable."""
        return notifications.notification(form)

    @staticmethod
    def answerable(control: str, notification: Notification) -> bool:
        """Return whether the answer to this notification may begin a recording."""
        return not notification.call_is_over and notifications.answerable(
            control, notification.name
        )

    @staticmethod
    def document(control: str, parameters: Mapping[str, Any], finished_url: str | None) -> bytes:
        """Return the OzML document that records a call. Raises WrongField."""
        return documents.document(control, parameters, finished_url)

    @staticmethod
    def nothing_to_do() -> bytes:
        """Return the OzML document that requests nothing."""
        return ozml.empty()

    def _commanded(
        self, name: str, what: str, parameters: Mapping[str, str | None]
    ) -> tuple[int, bytes]:
        """Return the status and the body of a command's answer."""
        address = command(self._account, {"command": name, **parameters})
        answer = self._session.answer(_OPERATIONS[name], "GET", address, what, success=None)
        return answer.status, answer.body

    def _refuse_page(self, body: Body, what: str) -> None:
        """Raise an error for a page in place of a file: the server answers errors with status 200,
        too.
        """
        with within(self._account.timeout_seconds):
            start = body.first(4)
        if start.lstrip()[:1] == b"<":
            raise Uncertain(NAME, f"{what}: the answer was a page of HTML or XML, not a recording")


def _no_file(answer: Answer, what: str) -> ProviderError:
    """Return the error of a status without a file. The status is a web server's, with HTTP's own
    meaning.
    """
    if answer.status in (429, 503):
        why = f"{what}: the server asks to wait (HTTP {answer.status})"
        return Throttled(NAME, why, retry_after(answer.headers))
    kinds: dict[int, tuple[type[ProviderError], str]] = {
        401: (BadCredentials, "the server asks for credentials, which are never sent for a file"),
        403: (BadCredentials, "the server refuses to send it to this machine"),
        404: (NotFound, "the server has no such file"),
        410: (Gone, "the server no longer has it"),
        408: (Uncertain, "the server timed out"),
    }
    is_refused = 300 <= answer.status < 500
    why = "redirects are not followed" if is_refused and answer.status < 400 else "no file arrived"
    kind, why = kinds.get(answer.status, (Rejected if is_refused else Uncertain, why))
    return kind(NAME, f"{what}: {why} (HTTP {answer.status})")


def _shown(call_id: str) -> str:
    """Return an id as a reason may show it; an id that cannot be sent is refused."""
    if not call_id.strip() or not call_id.isprintable():
        raise Rejected(NAME, "the recording of a call: not done, its call_id is empty or not an id")
    return mask_foreign(call_id)[:80]
