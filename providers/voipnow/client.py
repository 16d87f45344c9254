"""4PSA VoipNow, UnifiedAPI: list the live calls, start and stop recording one of them.

What the vendor documents and leaves open: docs/providers/voipnow.md. The server keeps the
recordings: none of its requests gives a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from config.accounts import VoipnowAccount
from config.masking import mask_foreign
from providers.errors import Uncertain
from providers.http.tokens import Shelf

from . import answers, fields
from .answers import Recorded
from .refusals import NAME, CallRefused, Refused
from .requests import Requests

__all__ = ["NoFittingView", "Recorded", "Voipnow", "fitting_view"]

#: Calls in a page; servers allow 4999 or 5000 (docs/providers/voipnow.md, C16).
_COUNT = 500
#: The words under which actions are measured.
_OPERATIONS = {"StartRecording": "recording_start", "StopRecording": "recording_stop"}
_LAST_START = 4999


class NoFittingView(Refused):
    """None or several of the call's views are of the extension: the reason lists them."""


class Voipnow:
    """One account's client; a context manager, used by one thread.

    Parameters: ``account``; ``shelf``, where its token lies for all workers; ``transport``, the
    seam for tests; ``before_call``, called before each HTTP call of an operation.

    What every operation raises: WrongField (a value that is not sent), Unreachable (nothing was
    sent), Throttled, Uncertain (it may have been done), Refused with the server's code,
    BadCredentials. Each HTTP call has the account's ``timeout_seconds`` in all.
    """

    def __init__(
        self,
        account: VoipnowAccount,
        shelf: Shelf,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self._requests = Requests(account, shelf, transport, before_call)

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
        self._requests.close()

    @property
    def provider_time(self) -> datetime | None:
        """The server's own time in UTC, from the Date of the newest answer."""
        return self._requests.provider_time

    def calls(
        self,
        user_id: str = "@me",
        extension: str = "@self",
        *,
        filters: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """The calls there are now of the user and extension, over all pages, each once.

        A call: ``call_id, state, source, destination, caller, started_at, extension, views``. A
        view: ``view_id, extension, state, direction, source, destination, caller, answered_at,
        recording``, the last one the time when its recording began, or None. Times are ISO 8601
        in UTC, what is not told is None; states are unknown, off_hook, trying, ringing,
        other_side_ringing and on_call. ``filters``: the vendor's filterBy, filterOp, filterValue
        and sortOrder. A call whose id cannot be read has the call_id None, a view the view_id
        None. Raises Uncertain when fewer come than the server counts.
        """
        fields.check(user_id=user_id, extension=extension)
        found: dict[str, dict[str, Any]] = {}
        start = 0
        while True:
            page = self._page(user_id, extension, {**(filters or {}), "startIndex": start})
            listed = {one["call_id"] or repr(one): one for one in page.calls}
            fresh = {name: one for name, one in listed.items() if name not in found}
            found.update(fresh)
            start += len(page.calls)
            if not fresh or (page.total and start >= page.total):
                break
            if start > _LAST_START:
                raise Uncertain(
                    NAME, "there are more calls than the server lists: name an extension"
                )
        if page.total and len(found) < page.total:
            raise Uncertain(NAME, f"the server counts {page.total} calls but lists {len(found)}")
        return list(found.values())

    def _page(self, user_id: str, extension: str, query: Mapping[str, str | int]) -> answers.Page:
        answer = self._requests.answer(
            "call_list",
            "GET",
            _path(user_id, extension),
            "the list of calls",
            params={"count": _COUNT, **query},
        )
        # 204: the server has no calls to return (docs/providers/voipnow.md).
        return answers.Page([], 0) if answer.status == 204 else answers.page(answer.body)

    def start_recording(
        self,
        call_id: str,
        view_id: str,
        extension: str = "@self",
        user_id: str = "@me",
        format: str = "wav",  # noqa: A002 - the vendor's name
    ) -> Recorded:
        """Record a view of a call, as ``wav`` or ``wav49``; what the answer says of the view.

        Confirmed is what the answer shows with a time in ``since``, one that was being recorded
        before included. Without it the server may not have begun: it has no error for an extension
        on which call recording is off (docs/providers/voipnow.md, Q3).
        Raises FormatRefused, CallRefused and ViewRefused.
        """
        fields.check(format=format)
        action = {"action": "StartRecording", "format": format}
        return self._act(action, call_id, view_id, extension, user_id)

    def stop_recording(
        self, call_id: str, view_id: str, extension: str = "@self", user_id: str = "@me"
    ) -> Recorded:
        """End the recording of a view; confirmed is what the answer shows without a time in
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
        answer = self._requests.answer(
            _OPERATIONS[action["action"]],
            "PUT",
            f"{_path(user_id, extension)}/{call_id}",
            what,
            json={**action, "phoneCallViewId": view_id},
        )
        if answer.status == 204:
            return Recorded(known=False)
        return answers.recorded(answer.body, view_id, what)


def fitting_view(
    calls: Iterable[Mapping[str, Any]], call_id: str, extension: str = "@self"
) -> dict[str, Any]:
    """The view of a listed call that belongs to the extension; with ``@self``, to the one that the
    call itself names.

    Raises CallRefused when the call is not listed, Uncertain when it may be one whose id could not
    be read, NoFittingView when none or several views fit.
    """
    listed = {one["call_id"]: one for one in calls}
    call = listed.get(call_id)
    if call is None and None in listed:
        raise Uncertain(
            NAME, f"call {call_id} is not listed, but the id of a listed call could not be read"
        )
    if call is None:
        raise CallRefused(
            NAME,
            f"call {call_id} is not among the user's calls: it has ended, or call_id, user_id or "
            "extension is wrong; list the calls",
        )
    wanted = call["extension"] if extension == "@self" else extension
    fitting: list[dict[str, Any]] = [
        one
        for one in call["views"]
        if wanted is not None and one["extension"] == wanted and one["view_id"] is not None
    ]
    if len(fitting) == 1:
        return fitting[0]
    views = ", ".join(f"{one['view_id']} of {one['extension']}" for one in call["views"])
    raise NoFittingView(
        NAME,
        f"{'several views' if fitting else 'no view'} of call {call_id} "
        f"{'are' if fitting else 'is'} of extension {mask_foreign(str(wanted or 'unknown'))}; "
        f"its views: {mask_foreign(views) or 'none'}; give view_id",
    )


def _path(user_id: str, extension: str) -> str:
    """The stars and at signs stand as they are, as in the vendor's examples."""
    return f"/phoneCalls/{quote(user_id, safe='@')}/{quote(extension, safe='@*')}"
