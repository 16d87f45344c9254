"""A recording that is sure: confirmed by the answer or by the list, sent twice at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from providers.errors import Rejected, Throttled, Uncertain, Unreachable
from providers.live_calls import LiveRecording
from providers.voipnow.recording import Recorder, Unconfirmed
from providers.voipnow.refusals import CallRefused, FormatRefused, Refused, ViewRefused
from providers.voipnow.views import NoFittingView

from . import shared_simulators
from .simulators import Simulators
from .simulators.voipnow_door import AppDoor
from .voipnow_accounts import connect

simulators = shared_simulators.simulators


class Clock:
    """Time that passes only where somebody waits, and what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def tell(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def door(simulators: Simulators) -> AppDoor:
    """An App of its own."""
    return simulators.voipnow.account()


@pytest.fixture
def clock() -> Clock:
    """No test waits."""
    return Clock()


@pytest.fixture
def recorder(door: AppDoor, clock: Clock) -> Iterator[Recorder]:
    """The App's client, with that clock."""
    with connect(door) as voipnow:
        yield Recorder(voipnow, clock=clock.tell, sleep=clock.sleep)


def outcomes(door: AppDoor) -> list[str]:
    """What came of every start and stop that reached the server."""
    return [one["outcome"] for one in door.actions()]


def since(door: AppDoor, call_id: str, view_id: str = "01") -> object:
    """Whether the server records the view, and since when."""
    (call,) = (one for one in door.calls() if one["id"] == call_id)
    (view,) = (one for one in call["phoneCallView"] if one["id"] == view_id)
    return view.get("recording")


def test_an_answer_that_shows_the_recording_is_enough(
    simulators: Simulators, door: AppDoor, recorder: Recorder
) -> None:
    """One start, and no list where the view is named."""
    call = door.begin_call()
    told = recorder.start(call["id"], "01", "0003*210", format="wav49")

    assert told.view_id == "01"
    assert told.since is not None
    assert told.since.endswith("Z")
    assert outcomes(door) == ["started"]
    assert door.actions()[0]["format"] == "wav49"
    assert simulators.log.requests("list", door.client_id) == []


def test_without_a_view_the_extensions_own_is_found(door: AppDoor, recorder: Recorder) -> None:
    """In a call inside the house each extension has a view."""
    call = door.begin_call(other="0003*211")
    assert recorder.start(call["id"], extension="0003*211").view_id == "00"
    assert recorder.start(call["id"]).view_id == "01"


def test_what_is_recorded_already_is_a_success(door: AppDoor, recorder: Recorder) -> None:
    """Found in the list before anything is sent; named, it is sent, and nothing changes."""
    call = door.begin_call()
    first = recorder.start(call["id"])
    assert recorder.start(call["id"]) == first
    assert recorder.start(call["id"], "01") == first
    assert outcomes(door) == ["started", "already"]


def test_a_second_start_that_is_refused_is_looked_up(door: AppDoor, recorder: Recorder) -> None:
    """What the server answers to it is documented nowhere; the list shows the recording."""
    door.configure(second_start="refused")
    call = door.begin_call()
    first = recorder.start(call["id"], "01")
    assert recorder.start(call["id"], "01") == first


def test_an_unknown_refusal_stays_one(door: AppDoor, recorder: Recorder) -> None:
    """Where the list shows no recording."""
    call = door.begin_call()
    door.fault("start", "answer", status=400, body={"error": {"code": "new", "message": "?"}})
    with pytest.raises(Refused, match="new"):
        recorder.start(call["id"], "01")


def test_a_refusal_of_a_call_that_ended_meanwhile_stays_one(
    door: AppDoor, recorder: Recorder
) -> None:
    """The server said no: that the list does not know the call any more makes it no "perhaps"."""
    body = {"error": {"code": "new", "message": "?"}}
    door.fault("start", "answer", status=400, body=body)
    with pytest.raises(Refused, match="new"):
        recorder.start("444444", "01")


def test_a_list_that_is_refused_confirms_nothing(
    simulators: Simulators, door: AppDoor, recorder: Recorder
) -> None:
    """The start was taken, so it is unknown; the list is not asked for again and again."""
    door.configure(action_answer="204")
    call = door.begin_call()
    door.fault("list", "answer", times=None, status=403)
    with pytest.raises(Uncertain, match="the server refuses the list that would confirm it"):
        recorder.start(call["id"], "01")
    assert outcomes(door) == ["started"]
    assert len(simulators.log.requests("list", door.client_id)) == 2


@pytest.mark.parametrize("answer", ["204", "silent"])
@pytest.mark.parametrize("lists", [0, 3])
def test_the_list_confirms_what_the_answer_does_not(
    door: AppDoor, recorder: Recorder, clock: Clock, answer: str, lists: int
) -> None:
    """204, or a view without `recording`: within five seconds the list shows it, sent once."""
    door.configure(action_answer=answer, shown_after_lists=lists)
    call = door.begin_call()
    assert recorder.start(call["id"], "01").since is not None
    assert outcomes(door) == ["started"]
    assert clock.now == lists


def test_it_is_sent_once_more(door: AppDoor, recorder: Recorder, clock: Clock) -> None:
    """After five seconds without an effect; switched on meanwhile, the second start works."""
    door.set_terminal("0003*210", records=False)
    call = door.begin_call()

    def switch_on() -> None:
        if clock.now >= 5:
            door.set_terminal("0003*210", records=True)

    clock.meanwhile = switch_on
    assert recorder.start(call["id"], "01").since is not None
    assert outcomes(door) == ["switched_off", "started"]
    assert clock.now == 5


def test_a_phone_that_does_not_record_is_named(
    door: AppDoor, recorder: Recorder, clock: Clock
) -> None:
    """Twice taken and never shown: the error names the switch on the server."""
    door.set_terminal("0003*210", records=False)
    call = door.begin_call()
    with pytest.raises(Unconfirmed, match=r'Phone Terminal Setup .* "Record triggered: When \*1'):
        recorder.start(call["id"])
    assert outcomes(door) == ["switched_off"] * 2
    assert clock.now == 10


@pytest.mark.parametrize("kind", ["reset", "close"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_looked_up(
    door: AppDoor, recorder: Recorder, kind: str, when: str
) -> None:
    """The list shows whether it had begun; else it is sent once more."""
    call = door.begin_call()
    door.fault("start", kind, when=when)
    assert recorder.start(call["id"], "01").since is not None
    assert outcomes(door) == ["started"]
    assert since(door, call["id"])


def test_two_lost_answers_are_unknown(door: AppDoor, recorder: Recorder) -> None:
    """Nothing is known, the switch is not to blame, and a later call finds out."""
    call = door.begin_call()
    door.fault("start", "answer", times=2, status=500, when="before")
    with pytest.raises(Uncertain, match="no answer shows the state") as caught:
        recorder.start(call["id"], "01")
    assert type(caught.value) is Uncertain
    assert recorder.start(call["id"], "01").since is not None


@pytest.mark.parametrize("operation", ["start", "list"])
def test_who_is_told_to_wait_before_anything_was_sent_waits(
    door: AppDoor, recorder: Recorder, operation: str
) -> None:
    """Throttled means surely not done."""
    call = door.begin_call()
    door.fault(operation, "answer", status=429, retry_after=9)
    with pytest.raises(Throttled) as caught:
        recorder.start(call["id"])
    assert caught.value.retry_after == 9
    assert outcomes(door) == []


def test_who_is_told_to_wait_afterwards_knows_nothing(door: AppDoor, recorder: Recorder) -> None:
    """A start may have left: it is never called "not done"."""
    call = door.begin_call()
    door.fault("start", "reset", when="after")
    door.fault("list", "answer", times=None, status=429)
    door.fault("start", "answer", times=None, skip=1, status=503)
    with pytest.raises(Uncertain):
        recorder.start(call["id"], "01")


def test_a_list_that_fails_is_asked_again(door: AppDoor, recorder: Recorder, clock: Clock) -> None:
    """Within the five seconds."""
    door.configure(action_answer="204")
    call = door.begin_call()
    door.fault("list", "reset", times=2)
    assert recorder.start(call["id"], "01").since is not None
    assert clock.now == 2
    assert outcomes(door) == ["started"]


def test_a_transfer_between_list_and_start_is_followed(door: AppDoor, recorder: Recorder) -> None:
    """The view is gone, the call is not: its new view is found once more."""
    call = door.begin_call()
    door.transfer(call["id"])
    told = recorder.start(call["id"], "01", "0003*210")
    assert told.view_id == "02"
    assert outcomes(door) == ["pc_phonecallview_invalid", "started"]


def test_a_transfer_away_from_the_extension_is_none_of_its_views(
    door: AppDoor, recorder: Recorder
) -> None:
    """Its call continues elsewhere: nobody is recorded in its place."""
    call = door.begin_call()
    door.transfer(call["id"], to="0003*299")
    with pytest.raises(NoFittingView, match=r"02 of 0003\*299"):
        recorder.start(call["id"], "01", "0003*210")
    assert outcomes(door) == ["pc_phonecallview_invalid"]


def test_a_view_that_stays_refused_is_told(door: AppDoor, recorder: Recorder) -> None:
    """The list knows the view, the server does not: no endless circle."""
    call = door.begin_call()
    body = {"error": {"code": "pc_phonecallview_invalid", "message": "no"}}
    door.fault("start", "answer", times=None, status=400, body=body)
    with pytest.raises(ViewRefused):
        recorder.start(call["id"], "01")


def test_a_call_that_has_ended_is_told(door: AppDoor, recorder: Recorder) -> None:
    """A call may end between the list and the start (docs/providers/voipnow.md, Q6)."""
    call = door.begin_call()
    door.end_call(call["id"])
    for view_id in (None, "01"):
        with pytest.raises(CallRefused, match="it has ended"):
            recorder.start(call["id"], view_id)


def test_a_call_that_ends_before_it_is_confirmed_is_unknown(
    door: AppDoor, recorder: Recorder, clock: Clock
) -> None:
    """Whether it was recorded at its end nobody can tell any more."""
    door.set_terminal("0003*210", records=False)
    call = door.begin_call()
    clock.meanwhile = lambda: door.end_call(call["id"]) if door.calls() else None
    with pytest.raises(Uncertain, match="ended before its recording was confirmed"):
        recorder.start(call["id"], "01")
    assert outcomes(door) == ["switched_off"]


def test_a_format_that_the_server_refuses_is_told(door: AppDoor, recorder: Recorder) -> None:
    """Sent once."""
    call = door.begin_call()
    body = {"error": {"code": "pc_recformat_invalid", "message": "no"}}
    door.fault("start", "answer", status=400, body=body)
    with pytest.raises(FormatRefused):
        recorder.start(call["id"], "01")
    assert outcomes(door) == []


def test_a_recording_is_ended(door: AppDoor, recorder: Recorder) -> None:
    """Stopped twice it is still a success, with the view found and with the view named."""
    call = door.begin_call()
    recorder.start(call["id"])
    for view_id in (None, None, "01"):
        assert recorder.stop(call["id"], view_id) == LiveRecording("01", None)
    assert outcomes(door) == ["started", "stopped", "not_recording"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_stop_is_looked_up(door: AppDoor, recorder: Recorder, when: str) -> None:
    """The list shows that it ended, else it is sent once more."""
    call = door.begin_call()
    recorder.start(call["id"])
    door.fault("stop", "reset", when=when)
    assert recorder.stop(call["id"], "01") == LiveRecording("01", None)
    assert since(door, call["id"]) is None


def test_a_stop_without_effect_is_told(door: AppDoor, recorder: Recorder) -> None:
    """The server takes it and continues recording."""
    call = door.begin_call()
    recorder.start(call["id"])
    door.set_terminal("0003*210", records=False)
    with pytest.raises(Unconfirmed, match="is still shown as recorded"):
        recorder.stop(call["id"], "01")
    assert outcomes(door)[1:] == ["not_recording"] * 2


def test_the_end_of_the_call_ends_its_recording(
    door: AppDoor, recorder: Recorder, clock: Clock
) -> None:
    """A stop that was on its way is done; one that comes later is told that the call is over."""
    call = door.begin_call()
    recorder.start(call["id"])
    door.set_terminal("0003*210", records=False)
    clock.meanwhile = lambda: door.end_call(call["id"])
    assert recorder.stop(call["id"], "01") == LiveRecording("01", None)
    with pytest.raises(Rejected):
        recorder.stop(call["id"], "01")


def test_a_server_that_is_not_there(door: AppDoor, clock: Clock) -> None:
    """Nothing was sent."""
    with connect(door, base_url="http://127.0.0.1:9") as voipnow:
        recorder = Recorder(voipnow, clock=clock.tell, sleep=clock.sleep)
        with pytest.raises(Unreachable):
            recorder.start("444444", "01")
