"""Starts of recordings whose answers cannot be read: looked up, and not started again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tasks.errors import Uncertain

from .deployment import Deployment
from .live_calls import live_house
from .ozeki_house import ozeki_house
from .simulators import Simulators

Deploy = Callable[..., Deployment]
UTF16 = (
    '<?xml version="1.0" encoding="utf-16"?><Response><Code>200</Code><Message>é</Message>'
    "</Response>"
)


def soon(seconds: float) -> str:
    """A ``not_after`` that a test can wait for."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_an_answer_that_declares_another_encoding_is_a_success(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Ozeki's answer says UTF-16 and is UTF-8: the call is recorded once, and the start knows."""
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call()
    office.pbx.fault("record", "answer", times=None, body=UTF16, when="after")
    with office.house.producer() as app:
        assert office.ask(app, call_id).get(timeout=60)["collected"] is True
    assert len(office.pbx.recordings()) == 1
    office.pbx.end(call_id)
    office.one_file()


@pytest.mark.parametrize(
    "body", ["html", "empty", "<Response><Code>200</Code>", "<Response><Code>999</Code></Response>"]
)
def test_an_answer_that_cannot_be_read_is_not_asked_for_again(
    deploy: Deploy, simulators: Simulators, body: str
) -> None:
    """The list of Ozeki's calls does not tell of recordings: the start ends unknown after one
    request, and what was recorded is collected.
    """
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call()
    office.pbx.fault("record", "answer", times=None, body=body, when="after")
    with office.house.producer() as app, pytest.raises(Uncertain, match="not sent again"):
        office.ask(app, call_id).get(timeout=60)
    assert len(office.pbx.recordings()) == 1
    office.pbx.end(call_id)
    office.one_file()


def test_lost_answers_make_two_recordings_at_most(deploy: Deploy, simulators: Simulators) -> None:
    """However long the call goes on, and however late the start may be."""
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call()
    office.pbx.fault("record", "reset", times=None, when="after")
    with office.house.producer() as app, pytest.raises(Uncertain, match="unknown"):
        office.ask(app, call_id, not_after=soon(3600)).get(timeout=60)
    assert len(office.pbx.recordings()) == 2


@pytest.mark.parametrize("body", ["html", "empty", '{"id": "x", "phoneCallView": "none"}'])
def test_voipnow_s_list_tells_what_the_answer_does_not(
    deploy: Deploy, simulators: Simulators, body: str
) -> None:
    """One start, and its recording is confirmed by the list of calls."""
    live = live_house(deploy, simulators)
    live.house.worker()
    call = live.app.begin_call()
    live.app.fault("start", "answer", times=None, body=body, when="after")
    with live.house.producer() as caller:
        assert live.start(caller, call).get(timeout=60)["recording_since"] is not None
    assert live.outcomes() == ["started"]


@pytest.mark.parametrize("given", [{}, {"view_id": "01"}])
def test_without_answer_and_without_list_nothing_more_is_sent(
    deploy: Deploy, simulators: Simulators, given: dict[str, str]
) -> None:
    """VoipNow answers neither the start nor the list in words: one start until ``not_after``, then
    unknown; once the list can be read, the same is done.
    """
    live = live_house(deploy, simulators)
    live.house.worker()
    call = live.app.begin_call()
    live.app.fault("start", "answer", times=None, body="html", when="after")
    live.app.fault("list", "answer", times=None, skip=0 if given else 1, body="html")
    with live.house.producer() as caller:
        late = live.start(caller, call, not_after=soon(12), request_id="late", **given)
        with pytest.raises(Exception, match="unknown") as unknown:
            late.get(timeout=60)
        assert type(unknown.value).__name__ == "Uncertain"
        assert live.outcomes() == ["started"]
        simulators.voipnow.clear_faults()
        again = live.start(caller, call, request_id="again")
        assert again.get(timeout=60)["recording_since"] is not None
    assert live.outcomes() == ["started"]
