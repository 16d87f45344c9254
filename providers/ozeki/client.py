"""Ozeki Phone System's HTTP API: record a live call, list the calls, fetch a finished recording.

What the vendor documents and leaves open: docs/providers/ozeki.md. No command stops a recording:
it ends with its call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Any, Literal, Self, get_args

import httpx

from config.accounts import OzekiAccount
from config.masking import mask_foreign
from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)
from providers.http.deadline import Transport, within
from providers.http.headers import retry_after
from providers.http.hidden_urls import Veiled, forgetful, veiled
from providers.http.session import Answer, connected, exchange
from providers.http.streaming import Body, begins_anew, is_strong

from . import answers
from .addresses import recording_address
from .refusals import NAME, NoSuchCall, NotUnderstood
from .requests import command

__all__ = ["Body", "Format", "NoSuchCall", "NotUnderstood", "Ozeki"]

Format = Literal["mp3", "wav"]

_FILE = (200, 206)
_PART = (*_FILE, 416)
#: The words under which commands are measured.
_OPERATIONS = {"Record": "recording_start", "ListActiveCalls": "call_list"}


class Ozeki:
    """One account's client; a context manager, used by one thread.

    Parameters: ``account``; ``transport``, the seam for tests; ``before_call``, called before each
    HTTP call of an operation.

    What every operation raises: Unreachable (nothing was sent), Uncertain (it may have been done),
    Temporary, Rejected, BadCredentials. Each HTTP call has the account's ``timeout_seconds`` in
    all, each piece of a file the same.
    """

    def __init__(
        self,
        account: OzekiAccount,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self._account = account
        self._before_call = before_call or (lambda: None)
        self._http = connected(account, Veiled(transport or Transport(verify=account.verify_tls)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    @forgetful
    def record(
        self,
        call_id: str,
        format: Format = "mp3",  # noqa: A002 - the vendor's word
        finished_url: str | None = None,
    ) -> None:
        """Record a live call until it ends. Its RecordCompleted notification, which alone says
        where the file is, goes to ``finished_url``.

        The answer holds neither an id nor an address, and a second recording of a call looks like
        the first: asked twice, the server makes two files. Raises NoSuchCall where no such call
        is live, NotUnderstood where the server answered in a way that cannot be read.
        """
        what = f"the recording of call {_shown(call_id)}"
        if format not in get_args(Format):
            raise Rejected(NAME, f'{what}: not done, "{format}" is no format; give mp3 or wav')
        asked = {"CallId": call_id, "Format": format, "FinishedURL": finished_url}
        answers.done(*self._commanded("Record", what, asked), what)

    @forgetful
    def active_calls(self) -> list[dict[str, Any]]:
        """The calls that are live: ``call_id, state, source, destination, caller, started_at,
        views``, None where the server does not tell, and no ``views``, which are VoipNow's. Where
        one has the call_id None, no call can be said not to be live.
        """
        what = "the list of calls"
        return answers.calls(*self._commanded("ListActiveCalls", what, {}), what)

    @contextmanager
    def recording(self, url: str, *, etag: str | None = None, offset: int = 0) -> Iterator[Body]:
        """A finished recording from the RecordURL of its notification, from ``offset`` where
        ``etag`` still holds, else from its first byte.

        No credentials are sent: the address came from outside. Whether a server may want them is
        documented nowhere. Raises Rejected where the address is not one of the account's
        (`ozeki_addresses`), NotFound and Gone.
        """
        what = "the recording"
        with self._file(url, what, etag, offset) as answer:
            body = Body(NAME, answer, asked=offset, etag=etag)
            if body.offset == 0:
                self._refuse_page(body, what)
            yield body

    def _commanded(
        self, name: str, what: str, parameters: Mapping[str, str | None]
    ) -> tuple[int, bytes]:
        """Status and body of a command's answer."""
        answer = self._exchanged(
            _OPERATIONS[name],
            command(self._account, {"command": name, **parameters}),
            what,
            streamed=(),
            headers={},
        )
        return answer.status, answer.body

    @contextmanager
    def _file(self, url: str, what: str, etag: str | None, offset: int) -> Iterator[Answer]:
        """An answer whose body is still to come. A part is asked for only with a strong validator;
        where there is none of this file, the whole is asked for.
        """
        part = {"Range": f"bytes={offset}-", "If-Range": etag or ""}
        for headers in (part, {}) if offset and is_strong(etag) else ({},):
            answer = self._opened(url, what, headers)
            with closing(answer.response):
                if headers and begins_anew(answer, etag, offset):
                    continue
                if answer.status not in (_PART if headers else _FILE):
                    raise _no_file(answer, what)
                yield answer
                return

    @forgetful
    def _opened(self, url: str, what: str, headers: Mapping[str, str]) -> Answer:
        address = recording_address(url, self._account.base_url, self._account.recording_hosts)
        return self._exchanged("recording_file", address, what, streamed=_FILE, headers=headers)

    def _exchanged(
        self,
        operation: str,
        target: httpx.URL,
        what: str,
        *,
        streamed: Collection[int],
        headers: Mapping[str, str],
    ) -> Answer:
        self._before_call()
        with within(self._account.timeout_seconds):
            return exchange(
                self._http,
                veiled(self._http, target, headers),
                account=self._account,
                operation=operation,
                what=what,
                streamed=streamed,
            )

    def _refuse_page(self, body: Body, what: str) -> None:
        """The server answers 200 whatever happened: a file that begins like a page is none."""
        with within(self._account.timeout_seconds):
            start = body.first(4)
        if start.lstrip()[:1] == b"<":
            raise Uncertain(NAME, f"{what}: the answer was a page of HTML or XML, not a recording")


def _no_file(answer: Answer, what: str) -> ProviderError:
    """What a status means under which no file comes; a web server's, so they are HTTP's own."""
    if answer.status in (429, 503):
        why = f"{what}: the server asks to wait (HTTP {answer.status})"
        return Throttled(NAME, why, retry_after(answer.headers))
    kinds: dict[int, tuple[type[ProviderError], str]] = {
        401: (BadCredentials, "the server asks for credentials, and none are sent with a file"),
        403: (BadCredentials, "the server does not give it to this machine"),
        404: (NotFound, "the server has no such file"),
        410: (Gone, "the server has it no more"),
        408: (Uncertain, "the server ran out of patience"),
    }
    is_refused = 300 <= answer.status < 500
    why = "redirects are not followed" if is_refused and answer.status < 400 else "no file came"
    kind, why = kinds.get(answer.status, (Rejected if is_refused else Uncertain, why))
    return kind(NAME, f"{what}: {why} (HTTP {answer.status})")


def _shown(call_id: str) -> str:
    """An id as a reason may show it; one that can not be sent is refused."""
    if not call_id.strip() or not call_id.isprintable():
        raise Rejected(NAME, "the recording of a call: not done, its call_id is empty or no id")
    return mask_foreign(call_id)[:80]
