"""Starting or stopping a recording on a VoipNow server, and confirming that it runs or has ended.

The server's answer may be lost or inconclusive. The list of calls is conclusive: a view has
`recording` while it is recorded (docs/providers/voipnow.md, Q3).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from providers import errors
from providers.errors import Rejected, Temporary, Uncertain
from providers.live_calls import LiveRecording

from .answers import Recorded
from .refusals import NAME, CallRefused, Refused, ViewRefused
from .views import NoFittingView, fitting_view

if TYPE_CHECKING:
    from .client import Voipnow

#: How long after a request the list of calls is checked for its effect, and how often.
CONFIRM_SECONDS = 5.0
_PAUSE_SECONDS = 1.0

_SWITCH = (
    "switch on Call recording in the extension's Phone Terminal Setup and set "
    '"Record triggered: When *1 is pressed"'
)


class Unconfirmed(errors.Unconfirmed):
    """The server accepted the request twice, and the view shows no effect of it."""


class _Unseen(Exception):
    """The list of calls could not be read, or not for this call."""


@dataclass(frozen=True)
class _Target:
    """The view to record and the recording's format; the format None ends the view's recording."""

    call_id: str
    view_id: str
    extension: str
    user_id: str
    format: str | None

    def reached(self, since: str | None) -> bool:
        """Return whether the view is in the wanted state."""
        return (since is not None) == (self.format is not None)


class Recorder:
    """Starts and stops recordings and confirms the effect.

    ``clock`` returns seconds and ``sleep`` waits for them; ``before_action`` is called before each
    request that starts or stops, as the list of calls does not.

    Both operations find the view of the extension if ``view_id`` is None, and once more if the
    server no longer knows the view: a transfer changes it (docs/providers/voipnow.md, Q4). Raises
    the client's errors for the first request, NoFittingView, and Uncertain for every error once a
    request may have left: Unconfirmed if the server accepted the request twice without effect.
    After Uncertain the same may be requested again with ``looks_first``: an effect that is visible
    already is a success, and nothing is sent while no list of calls can be read.
    """

    def __init__(
        self,
        voipnow: Voipnow,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> None:
        self._voipnow = voipnow
        self._looks_first = looks_first
        self._before_action = before_action or (lambda: None)
        self._clock = clock
        self._sleep = sleep

    def start(
        self,
        call_id: str,
        view_id: str | None = None,
        extension: str = "@self",
        user_id: str = "@me",
        format: str = "wav",  # noqa: A002 - the vendor's name
    ) -> LiveRecording:
        """Record a view of a call, as ``wav`` or ``wav49``, unless it is being recorded already."""
        return self._done(_Target(call_id, view_id or "", extension, user_id, format))

    def stop(
        self,
        call_id: str,
        view_id: str | None = None,
        extension: str = "@self",
        user_id: str = "@me",
    ) -> LiveRecording:
        """End the recording of a view of a call, unless it is not being recorded."""
        return self._done(_Target(call_id, view_id or "", extension, user_id, None))

    def _done(self, target: _Target) -> LiveRecording:
        if not target.view_id:
            view = self._fitting(target)
            if target.reached(view["recording"]):
                return LiveRecording(view["view_id"], view["recording"])
            target = replace(target, view_id=view["view_id"])
        elif self._looks_first and (recording := self._seen(self._shown, target)) is not None:
            return recording
        try:
            return self._sent(target)
        except ViewRefused:
            view = self._fitting(target)
            if view["view_id"] == target.view_id:
                raise
        return self._sent(replace(target, view_id=view["view_id"]))

    def _fitting(self, target: _Target) -> Mapping[str, Any]:
        calls = self._voipnow.calls(target.user_id, target.extension)
        return fitting_view(calls, target.call_id, target.extension)

    def _sent(self, target: _Target) -> LiveRecording:
        """Send the request at most twice: each time the list has five seconds to show the
        effect.
        """
        taken = self._taken(target)
        if isinstance(taken, LiveRecording):
            return taken
        if (recording := self._seen(self._confirmed, target)) is not None:
            return recording
        try:
            again = self._taken(target)
        except Temporary:
            again = False
        except CallRefused:
            return self._ended(target)
        if isinstance(again, LiveRecording):
            return again
        if (recording := self._seen(self._confirmed, target)) is not None:
            return recording
        raise self._unknown(target, is_taken=taken and again)

    def _seen(
        self, look: Callable[[_Target], LiveRecording | None], target: _Target
    ) -> LiveRecording | None:
        """Return what ``look`` finds in the list of calls. If the list cannot be read, nothing more
        is sent, because each start may make another recording.
        """
        try:
            return look(target)
        except _Unseen:
            failure = self._unknown(target, is_taken=False)
        raise failure

    def _taken(self, target: _Target) -> LiveRecording | bool:
        """Return the recording if the answer confirms it, otherwise whether there was an answer."""
        try:
            answer = self._request(target)
        except Uncertain:
            return False
        except Refused as refused:
            # The answer to a second start is not documented (docs/providers/voipnow.md, Q3).
            if type(refused) is not Refused or (recording := self._shown_anyway(target)) is None:
                raise
            return recording
        if answer.known and target.reached(answer.since):
            return LiveRecording(target.view_id, answer.since)
        return True

    def _request(self, target: _Target) -> Recorded:
        view = (target.call_id, target.view_id, target.extension, target.user_id)
        self._before_action()
        if target.format is None:
            return self._voipnow.stop(*view)
        return self._voipnow.start(*view, target.format)

    def _confirmed(self, target: _Target) -> LiveRecording | None:
        """Return the recording once the list shows the wanted state, or None if the list does not
        within its time. Raises _Unseen if no list could be read.
        """
        until = self._clock() + CONFIRM_SECONDS
        is_seen = False
        while True:
            with suppress(_Unseen):
                recording = self._shown(target)
                is_seen = True
                if recording is not None:
                    return recording
            if self._clock() + _PAUSE_SECONDS > until:
                break
            self._sleep(_PAUSE_SECONDS)
        if not is_seen:
            raise _Unseen
        return None

    def _shown_anyway(self, target: _Target) -> LiveRecording | None:
        """Return the same as `_shown`, for a request that was refused: errors of the list are not
        reported.
        """
        try:
            return self._shown(target)
        except (Uncertain, _Unseen):
            return None

    def _shown(self, target: _Target) -> LiveRecording | None:
        """Return the recording if the list shows the wanted state. Raises _Unseen if the list
        cannot be read, Uncertain if no list will ever show the state.
        """
        try:
            calls = self._voipnow.calls(target.user_id, target.extension)
        except (Temporary, Uncertain):
            raise _Unseen from None
        except Rejected as error:
            raise Uncertain(
                NAME, f"the server refuses the list that would confirm it: {error}"
            ) from None
        listed = {one.call_id: one for one in calls}
        call = listed.get(target.call_id)
        if call is None and None in listed:
            raise _Unseen
        if call is None:
            return self._ended(target)
        view = next((one for one in call.views if one["view_id"] == target.view_id), None)
        try:
            view = view or fitting_view([call], target.call_id, target.extension)
        except NoFittingView:
            return None
        if not target.reached(view["recording"]):
            return None
        return LiveRecording(view["view_id"], view["recording"])

    @staticmethod
    def _ended(target: _Target) -> LiveRecording:
        """Return the result for a call that is over, which is not being recorded. Raises Uncertain
        if it should be.
        """
        if target.format is None:
            return LiveRecording(target.view_id, None)
        raise Uncertain(
            NAME,
            f"call {target.call_id} ended before its recording was confirmed",
        )

    @staticmethod
    def _unknown(target: _Target, *, is_taken: bool) -> Uncertain:
        view = f"view {target.view_id} of call {target.call_id}"
        if not is_taken:
            return Uncertain(
                NAME, f"no answer shows the state of {view}; the same request may be sent again"
            )
        shows = "is not shown as recorded" if target.format else "is still shown as recorded"
        return Unconfirmed(
            NAME, f"the server accepted the request twice, but {view} {shows}; {_SWITCH}"
        )
