"""4PSA VoipNow, UnifiedAPI: list the live calls, start and stop recording one of them.

The documented facts and the open questions: docs/providers/voipnow.md. The server keeps the
recordings: none of its requests gives a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from providers.arguments import refuse_ignored
from providers.errors import Uncertain
from providers.http.client import HttpClient
from providers.http.session import Session
from providers.http.tokens import TokenStore
from providers.interface import StopsRecordings
from providers.live_calls import LiveCall, LiveRecording, going_on

from . import answers, fields
from .account import VoipnowAccount
from .answers import Recorded
from .login import login
from .recording import Recorder
from .refusals import NAME, refusal

__all__ = ["Recorded", "Voipnow"]

_SUCCESS = (200, 204)
_STOP = ("call_id", "view_id", "extension", "user_id")
_START = (*_STOP, "format")
#: Calls in a page; servers allow 4999 or 5000 (docs/providers/voipnow.md, C16).
_COUNT = 500
#: The words under which actions are measured.
_OPERATIONS = {"StartRecording": "recording_start", "StopRecording": "recording_stop"}
_LAST_START = 4999


class Voipnow(HttpClient, StopsRecordings):
    """One account's client.

    Parameters: ``account``; ``token_store``, the token's storage, shared by all workers;
    ``transport``, the seam for tests; ``before_call``, called before each HTTP call of an
    operation.

    Every operation also raises WrongField for a value that is not sent, and Refused with the
    server's code.
    """

    not_collected_because = "VoipNow offers no way to fetch a file"

    def __init__(
        self,
        account: VoipnowAccount,
        token_store: TokenStore | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            Session(
                account,
                refusal,
                transport=transport,
                before_call=before_call,
                login=login(account),
                token_store=token_store,
            )
        )
        self._api_path = account.api_path

    def probe(self) -> str:
        """List the calls in progress."""
        return going_on(self.calls())

    def calls(
        self,
        user_id: str | None = None,
        extension: str | None = None,
        *,
        filters: Mapping[str, str] | None = None,
    ) -> list[LiveCall]:
        """Return the calls in progress of the user and extension, over all pages, each once.

        A call: ``call_id, state, source, destination, caller, started_at, extension, views``. A
        view: ``view_id, extension, state, direction, source, destination, caller, answered_at,
        recording``; ``recording`` is the time when its recording began, or None. Times are ISO 8601
        in UTC, missing values are None; states are unknown, off_hook, trying, ringing,
        other_side_ringing and on_call. ``filters``: the vendor's filterBy, filterOp, filterValue
        and sortOrder. A call whose id cannot be read has the call_id None, a view the view_id None.
        Raises Uncertain when fewer arrive than the server counts.
        """
        user_id, extension = user_id or "@me", extension or "@self"
        fields.check(user_id=user_id, extension=extension)
        found: dict[str, LiveCall] = {}
        start = 0
        while True:
            page = self._page(user_id, extension, {**(filters or {}), "startIndex": start})
            listed = {one.call_id or repr(one.result()): one for one in page.calls}
            fresh = {name: one for name, one in listed.items() if name not in found}
            found.update(fresh)
            start += len(page.calls)
            if not fresh or (page.total and start >= page.total):
                break
            if start > _LAST_START:
                raise Uncertain(NAME, "the server has more calls than it lists: give an extension")
        if page.total and len(found) < page.total:
            calls = f"{page.total} call{'s' * (page.total != 1)}"
            raise Uncertain(NAME, f"the server counts {calls} but lists {len(found)}")
        return list(found.values())

    def _page(self, user_id: str, extension: str, query: Mapping[str, str | int]) -> answers.Page:
        answer = self._session.answer(
            "call_list",
            "GET",
            self._path(user_id, extension),
            "the list of calls",
            success=_SUCCESS,
            params={"count": _COUNT, **query},
        )
        # 204: the server has no calls to return (docs/providers/voipnow.md).
        return answers.Page([], 0) if answer.status == 204 else answers.page(answer.body)

    @staticmethod
    def start_parameters(account: VoipnowAccount, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a start, with defaults. Raises WrongField."""
        refuse_ignored(account, given, _START)
        return _checked({**_view(given), "format": given.get("format") or "wav"})

    @staticmethod
    def stop_parameters(account: VoipnowAccount, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a stop, with defaults. Raises WrongField."""
        refuse_ignored(account, given, _STOP)
        return _checked(_view(given))

    def start_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """Record a view of a call until the answer or the list of calls shows that the recording
        runs (`Recorder`).
        """
        return self._recorder(before_action, looks_first).start(**parameters)

    def stop_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """End the recording of a view of a call until the recording is shown to have ended
        (`Recorder`).
        """
        return self._recorder(before_action, looks_first).stop(**parameters)

    def _recorder(self, before_action: Callable[[], None] | None, looks_first: bool) -> Recorder:
        return Recorder(self, before_action=before_action, looks_first=looks_first)

    def start(
        self,
        call_id: str,
        view_id: str,
        extension: str = "@self",
        user_id: str = "@me",
        format: str = "wav",  # noqa: A002 - the vendor's name
    ) -> Recorded:
        """Record a view of a call, as ``wav`` or ``wav49``; return the answer's content about the
        view.

        A recording is confirmed if the answer shows a time in ``since``, including one that ran
        before. Without a time the server may not have begun: it has no error for an extension on
        which call recording is off (docs/providers/voipnow.md, Q3). Raises FormatRefused,
        CallRefused and ViewRefused.
        """
        fields.check(format=format)
        action = {"action": "StartRecording", "format": format}
        return self._act(action, call_id, view_id, extension, user_id)

    def stop(
        self, call_id: str, view_id: str, extension: str = "@self", user_id: str = "@me"
    ) -> Recorded:
        """End the recording of a view. The end is confirmed if the answer shows no time in
        ``since``. Raises CallRefused and ViewRefused.
        """
        return self._act({"action": "StopRecording"}, call_id, view_id, extension, user_id)

    def _act(
        self,
        action: dict[str, str],
        call_id: str,
        view_id: str,
        extension: str,
        user_id: str,
    ) -> Recorded:
        fields.check(call_id=call_id, view_id=view_id, extension=extension, user_id=user_id)
        what = f"{action['action']} of view {view_id} of call {call_id}"
        answer = self._session.answer(
            _OPERATIONS[action["action"]],
            "PUT",
            f"{self._path(user_id, extension)}/{call_id}",
            what,
            success=_SUCCESS,
            json={**action, "phoneCallViewId": view_id},
        )
        if answer.status == 204:
            return Recorded(known=False)
        return answers.recorded(answer.body, view_id, what)

    def _path(self, user_id: str, extension: str) -> str:
        """Return the path; stars and at signs stay unescaped, as in the vendor's examples."""
        named = f"{quote(user_id, safe='@')}/{quote(extension, safe='@*')}"
        return f"{self._api_path}/phoneCalls/{named}"


def _view(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "call_id": given["call_id"],
        "extension": given.get("extension") or "@self",
        "user_id": given.get("user_id") or "@me",
    }
    return {**found, "view_id": given["view_id"]} if "view_id" in given else found


def _checked(parameters: dict[str, Any]) -> dict[str, Any]:
    fields.check(**parameters)
    return parameters
