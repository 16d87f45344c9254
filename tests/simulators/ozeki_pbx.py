"""One simulated Ozeki server: calls that continue, what is recorded of them, and what it tells of
it.

Time passes only when it is told to (`advance`): nothing here waits, and no test depends on a clock.
"""

from __future__ import annotations

import secrets
import string
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from .ozeki_state import STATES, Call, Command, Limits, Notice, Recording, Switches

LETTERS = string.ascii_letters + string.digits
MOST_SECONDS = 86400
#: The notifications that an OzML document may answer, by who controls the calls.
ANSWERED = {
    "http": (),
    "ozml_third_party": ("CallChanged", "RecordCompleted"),
    "ozml_extension": ("CallConnected", "IncomingCall", "DtmfEntered", "RecordCompleted"),
}


class NoSuchCall(ValueError):
    """No call with this id is live."""


class Pbx:
    """A server under a name; `note` hears of every effect, `numbers` count recordings."""

    def __init__(
        self,
        name: str,
        credentials: tuple[str, str],
        switches: Switches,
        numbers: Iterator[int],
        note: Callable[..., None],
    ) -> None:
        self.name = name
        self.username, self.password = credentials
        self.switches = switches
        self.calls: dict[str, Call] = {}
        self.recordings: list[Recording] = []
        self.outbox: deque[Notice] = deque()
        self.origin = ""
        self._numbers = numbers
        self._note = note
        self._lock = threading.RLock()

    def begin(self, state: str = "InCall", **told: Any) -> Call:
        """A call begins; what is not told of it is made up."""
        _check_state(state)
        call_id = told.pop("call_id", None) or "".join(secrets.choice(LETTERS) for _ in range(5))
        made: dict[str, Any] = {
            "source": "1000",
            "destination": "1001",
            "caller": "John Smith",
            "started_at": datetime.now(UTC),
            **told,
        }
        call = Call(call_id, state, **made)
        with self._lock:
            self.calls[call_id] = call
            self._tell(call, "IncomingCall" if state == "Ringing" else "CallConnected")
        return call

    def change(self, call_id: str, state: str) -> None:
        """A call goes over to another state; an end ends its recordings."""
        _check_state(state)
        with self._lock:
            call = self.live(call_id)
            call.state = state
            self._tell(call, "CallConnected" if state == "InCall" else "")
            if not call.is_live:
                call.script.clear()
                for recording in self._running(call_id):
                    self._finish(recording, "call ended")

    def press(self, call_id: str, digits: str) -> None:
        """Keys are pressed in a call."""
        with self._lock:
            call = self.live(call_id)
            for recording in self._running(call_id):
                if set(digits) & set(recording.limits.finish_digits):
                    self._finish(recording, "key pressed")
            self._go_on(call)

    def advance(self, call_id: str, seconds: int, *, silent: bool = False) -> None:
        """Seconds of a call pass, with voices or without; ends early where the call does."""
        if not 0 <= seconds <= MOST_SECONDS:
            raise ValueError(f"at most {MOST_SECONDS} seconds pass at once, not {seconds}")
        with self._lock:
            call = self.live(call_id)
            for _ in range(seconds):
                if call.is_live:
                    call.seconds += 1
                    call.silent = call.silent + 1 if silent else 0
                    self._time_out(call)
                    self._go_on(call)

    def record(
        self, call_id: str, form: str, finished_url: str | None, via: str, limits: Limits
    ) -> Recording:
        """A recording of a call begins, one of several or not; NoSuchCall where it is not live."""
        with self._lock:
            call = self.live(call_id)
            recording = Recording(
                number=next(self._numbers),
                call_id=call_id,
                format=form,
                finished_url=finished_url,
                via=via,
                began=call.seconds,
                limits=limits,
                size_bytes=self.switches.recording_bytes,
            )
            self.recordings.append(recording)
        self._note("recording_started", **recording.facts())
        return recording

    def finish(self, recording: Recording, why: str) -> None:
        """A recording ends, and RecordCompleted is due."""
        with self._lock:
            self._finish(recording, why)

    def answered(self, notice: Notice, document: bytes) -> None:
        """Carries out the OzML that a notification was answered with, as far as it may be."""
        if notice.name not in ANSWERED[self.switches.control] or not document.strip():
            return
        try:
            commands = _commands(document)
        except (ParseError, DefusedXmlException, ValueError):
            self._note("document_refused", call_id=notice.call_id, notification=notice.name)
            return
        with self._lock:
            call = self.calls.get(notice.call_id)
            if call is None or not call.is_live:
                self._note("document_refused", call_id=notice.call_id, notification=notice.name)
                return
            call.script[:] = commands
            call.resumes = call.seconds
            self._go_on(call)

    def live(self, call_id: str) -> Call:
        """The call with this id; NoSuchCall where none is live."""
        call = self.calls.get(call_id)
        if call is None or not call.is_live:
            raise NoSuchCall(f"{self.name} has no live call {call_id!r}")
        return call

    def _running(self, call_id: str) -> list[Recording]:
        return [r for r in self.recordings if r.call_id == call_id and r.ended is None]

    def _time_out(self, call: Call) -> None:
        for recording in self._running(call.call_id):
            limits = recording.limits
            if limits.duration and call.seconds - recording.began >= limits.duration:
                self._finish(recording, "duration")
            elif limits.inactivity and call.silent >= limits.inactivity:
                self._finish(recording, "inactivity")

    def _finish(self, recording: Recording, why: str) -> None:
        recording.ended = why
        self._note("recording_finished", **recording.facts())
        if recording.finished_url is not None:
            origin = self.switches.recording_origin or self.origin
            fields = {"RecordURL": f"{origin}/HttpRecordings/{recording.file_name}"}
            if self.switches.call_id_field != "absent":
                fields[self.switches.call_id_field] = recording.call_id
            self.outbox.append(
                Notice("RecordCompleted", recording.finished_url, recording.call_id, fields)
            )

    def _tell(self, call: Call, as_extension: str) -> None:
        """CallChanged to a third party; to an extension what it hears of the same, if anything."""
        switches = self.switches
        third_party = switches.control == "ozml_third_party"
        name = "CallChanged" if third_party else as_extension
        if switches.control == "http" or switches.notify_url is None or not name:
            return
        fields = {"CallId": call.call_id, "CallerID": call.caller}
        fields |= {"CallState": call.state} if third_party else {"CalledNumber": call.destination}
        self.outbox.append(Notice(name, switches.notify_url, call.call_id, fields))

    def _go_on(self, call: Call) -> None:
        """Carries out a call's commands up to one that takes time."""
        while call.script and call.is_live and call.seconds >= call.resumes:
            if self.switches.record_blocks and self._running(call.call_id):
                return
            command = call.script.pop(0)
            self._note(
                "command",
                call_id=call.call_id,
                command=command.name,
                text=command.text,
                attributes=dict(command.attributes),
            )
            if command.name == "delay":
                call.resumes = call.seconds + int(command.text)
            elif command.name == "hangup":
                self.change(call.call_id, "Completed")
            elif command.name == "record":
                self._record_as_told(call, command.attributes)

    def _record_as_told(self, call: Call, told: Mapping[str, str]) -> None:
        """Record in OzML: each control reads other attributes and ignores the rest."""
        form = told.get("format", "mp3").lower()
        if self.switches.control == "ozml_third_party":
            call_id, limits = told.get("callid", call.call_id), Limits()
        else:
            call_id = call.call_id
            limits = Limits(
                duration=int(told.get("duration", 0)) or None,
                inactivity=int(told.get("inactivity", 0)) or None,
                finish_digits=told.get("finishdigits", ""),
            )
        try:
            self.record(call_id, form, told.get("finishedurl"), "ozml", limits)
        except NoSuchCall:
            self._note("record_refused", call_id=call_id)


def _check_state(state: str) -> None:
    if state not in STATES:
        raise ValueError(f"no state {state!r}; there are {STATES}")


def _commands(document: bytes) -> list[Command]:
    """The commands of an OzML document; ValueError for one that this server does not know."""
    root = fromstring(document, forbid_dtd=True)
    if root.tag.lower() != "response":
        raise ValueError("no document of OzML")
    found = [
        Command(
            one.tag.lower(),
            (one.text or "").strip(),
            {name.lower(): value for name, value in one.attrib.items()},
        )
        for one in root
    ]
    for command in found:
        if command.name not in ("speak", "record", "delay", "hangup"):
            raise ValueError(f"no command {command.name}")
        numbers = [command.attributes.get(name, "0") for name in ("duration", "inactivity")]
        for number in [*numbers, *([command.text] if command.name == "delay" else [])]:
            int(number)
        if command.attributes.get("format", "mp3").lower() not in ("mp3", "wav"):
            raise ValueError("no such format")
    return found
