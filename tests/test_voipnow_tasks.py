"""Recordings of live calls at VoipNow through real workers: what callers are told, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery

from . import shared_simulators
from .deployment import Deployment, account_toml
from .live_calls import LiveHouse
from .simulators import Simulators

simulators = shared_simulators.simulators


@pytest.fixture(scope="module")
def shared(
    simulators: Simulators, deploy_for_module: Callable[..., Deployment]
) -> Iterator[LiveHouse]:
    """A house with one worker and an account for each test that takes the next."""
    apps = {f"pbx{number}": simulators.voipnow.account() for number in range(20)}
    sections = [
        account_toml(alias, {**app.configuration(), "timeout_seconds": 3})
        for alias, app in apps.items()
    ]
    house = deploy_for_module("\n".join(sections))
    house.worker()
    return (LiveHouse(house, app, alias) for alias, app in apps.items())


@pytest.fixture
def live(shared: Iterator[LiveHouse]) -> LiveHouse:
    """An account of its own in a house with one worker that runs."""
    return next(shared)


@pytest.fixture
def caller(live: LiveHouse) -> Iterator[Celery]:
    """Another application, which enqueues."""
    with live.house.producer() as app:
        yield app


def _soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_recording_is_begun_confirmed_and_ended(live: LiveHouse, caller: Celery) -> None:
    """The start tells view, format and since when; asked for again it is a success without a second
    request; the stop ends it, and nothing is collected at VoipNow, which is said.
    """
    call = live.app.begin_call()
    begun = live.start(caller, call, format="wav49", request_id="r1").get(timeout=60)
    assert begun["call_id"] == call["id"]
    assert (begun["view_id"], begun["format"], begun["collected"]) == ("01", "wav49", False)
    assert "no way to fetch a file" in begun["not_collected_because"]
    assert datetime.fromisoformat(begun["recording_since"]).tzinfo is not None
    assert live.recorded() == ["01"]
    job = live.job("r1")
    assert job is not None
    assert (job.state, begun["job_id"]) == ("done", job.job_id)
    again = live.start(caller, call, request_id="r2").get(timeout=60)
    assert again["recording_since"] == begun["recording_since"]
    assert live.start(caller, call, format="wav49", request_id="r1").get(timeout=60) == begun
    ended = live.send(caller, "recording.stop", call_id=call["id"]).get(timeout=60)
    assert (ended["view_id"], ended["recording_since"]) == ("01", None)
    assert live.recorded() == []
    assert live.outcomes() == ["started", "stopped"]


def test_what_is_not_recorded_is_not_told_as_recorded(live: LiveHouse, caller: Celery) -> None:
    """A server that answers 200 while the extension's terminal does not record: asked twice, then
    Uncertain with the switch to set.
    """
    call = live.app.begin_call()
    live.app.set_terminal("0003*210", records=False)
    with pytest.raises(Exception, match=r"unknown: .*Phone Terminal Setup.*\*1 is pressed") as told:
        live.start(caller, call, request_id="r1").get(timeout=60)
    assert type(told.value).__name__ == "Uncertain"
    assert live.outcomes() == ["switched_off", "switched_off"]
    job = live.job("r1")
    assert job is not None
    assert job.state == "failed"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_looked_up(live: LiveHouse, caller: Celery, when: str) -> None:
    """A connection that breaks before or after the server acted ends in one recording."""
    call = live.app.begin_call()
    live.app.fault("start", "reset", when=when)
    begun = live.start(caller, call).get(timeout=60)
    assert begun["recording_since"] is not None
    assert live.outcomes() == ["started"]


def test_an_unknown_outcome_is_tried_on(live: LiveHouse, caller: Celery) -> None:
    """A server that fails for a while, at starts and lists, is asked again until it records."""
    call = live.app.begin_call()
    live.app.fault("start", "answer", status=500, times=2)
    begun = live.start(caller, call, request_id="r1").get(timeout=60)
    assert begun["recording_since"] is not None
    job = live.job("r1")
    assert job is not None
    assert job.attempts >= 2


def test_views_change_on_transfer(live: LiveHouse, caller: Celery) -> None:
    """A view that the call no longer has is looked up once more."""
    call = live.app.begin_call()
    live.app.transfer(call["id"])
    begun = live.start(caller, call, view_id="01").get(timeout=60)
    assert begun["view_id"] != "01"
    assert live.recorded() == [begun["view_id"]]


@pytest.mark.parametrize("view", [{}, {"view_id": "01"}])
def test_a_call_that_is_gone_fails_at_once(
    live: LiveHouse, caller: Celery, view: dict[str, str]
) -> None:
    """Rejected, and never tried again."""
    call = live.app.begin_call()
    live.app.end_call(call["id"])
    with pytest.raises(Exception, match=r"not done: .*list the calls") as refused:
        live.start(caller, call, request_id="r1", **view).get(timeout=60)
    assert type(refused.value).__name__ == "Rejected"
    job = live.job("r1")
    assert job is not None
    assert (job.state, job.attempts) == ("failed", 1)


def test_without_a_view_that_fits_the_views_are_listed(live: LiveHouse, caller: Celery) -> None:
    """Where no view is of the call's own extension, the failure lists them; with view_id or the
    right extension it is recorded.
    """
    call = live.app.begin_call(other="0003*211")
    live.app.transfer(call["id"], to="0003*300")
    with pytest.raises(Exception, match=r"not done: no view .*its views: .*give view_id"):
        live.start(caller, call).get(timeout=60)
    begun = live.start(caller, call, extension="0003*211").get(timeout=60)
    named = live.start(caller, call, view_id=live.app.calls()[0]["phoneCallView"][0]["id"])
    assert {begun["view_id"], named.get(timeout=60)["view_id"]} == set(live.recorded())
    assert len(live.recorded()) == 2


def test_past_not_after_nothing_is_sent(live: LiveHouse, caller: Celery) -> None:
    """Neither for a start that comes too late, nor for one that waits for a busy server."""
    call = live.app.begin_call()
    with pytest.raises(Exception, match=r"not done: .*nothing was sent") as late:
        live.start(caller, call, not_after=_soon(-1)).get(timeout=60)
    assert type(late.value).__name__ == "Expired"
    live.app.fault("list", "answer", status=503, retry_after=1, times=None)
    with pytest.raises(Exception, match=r"not done: not_after.*nothing was sent") as busy:
        live.start(caller, call, not_after=_soon(12)).get(timeout=60)
    assert type(busy.value).__name__ == "Expired"
    assert "wait" in str(busy.value)
    assert live.outcomes() == []


def test_an_unknown_outcome_past_not_after_is_said_to_be_unknown(
    live: LiveHouse, caller: Celery
) -> None:
    """What may have left is not called not done."""
    call = live.app.begin_call()
    live.app.fault("start", "answer", status=500, times=None)
    with pytest.raises(Exception, match=r"unknown: an earlier request may") as told:
        live.start(caller, call, not_after=_soon(12)).get(timeout=60)
    assert type(told.value).__name__ == "Uncertain"


def test_a_server_that_asks_to_wait_is_waited_for(live: LiveHouse, caller: Celery) -> None:
    """429 at the start: later the same job records."""
    call = live.app.begin_call()
    live.app.fault("start", "answer", status=429, retry_after=1)
    begun = live.start(caller, call, request_id="r1").get(timeout=60)
    assert begun["recording_since"] is not None
    assert live.outcomes() == ["started"]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("recording.start", {"format": "mp3"}, "format"),
    ("recording.start", {"call_id": "../4711"}, "call_id"),
    ("recording.start", {"extension": "210"}, "extension"),
    ("recording.start", {"user_id": "john"}, "user_id"),
    ("recording.start", {"finished_url": "https://example.com/told"}, "finished_url"),
    ("recording.start", {"announcement": "recorded"}, "announcement"),
    ("recording.start", {"max_seconds": 60}, "max_seconds"),
    ("recording.start", {"silence_seconds": 5}, "silence_seconds"),
    ("recording.start", {"finish_digits": "#"}, "finish_digits"),
    ("recording.start", {"hang_up_after_seconds": 0}, "hang_up_after_seconds"),
    ("recording.start", {"max_seconds": "60"}, "max_seconds"),
    ("recording.start", {"account": "legal"}, "account"),
    ("recording.start", {"account": "nobody"}, "account"),
    ("recording.stop", {"view_id": "\n"}, "view_id"),
    ("recording.stop", {"format": "wav"}, "format"),
    ("recording.stop", {"account": "legal"}, "account"),
]


def test_a_wrong_argument_is_named_and_nothing_is_opened(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """What VoipNow ignores is refused as what is wrong: no job, no request."""
    app = simulators.voipnow.account()
    legal = simulators.gsmblockchain.account().configuration()
    sections = {"pbx": app.configuration(), "legal": legal}
    house = deploy("\n".join(account_toml(alias, table) for alias, table in sections.items()))
    house.worker()
    live = LiveHouse(house, app)
    with house.producer() as caller:
        for task, given, named in WRONG:
            asked = live.send(caller, task, **{"call_id": "4711", **given})
            with pytest.raises(Exception, match=f"not done: {named}: ") as refused:
                asked.get(timeout=60)
            assert type(refused.value).__name__ == "InvalidArgument"
    assert house.ledger.jobs.counts() == {}
    assert app.actions() == []
