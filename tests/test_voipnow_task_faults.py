"""Live recordings while something fails: credentials, tokens, the network, a worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from .deployment import Deployment
from .live_calls import live_house
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually


def test_refused_credentials_end_the_job(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """BadCredentials at once; the secret is told nowhere."""
    live = live_house(deploy, simulators, client_secret="sesame-wrong")
    worker = live.house.worker()
    call = live.app.begin_call()
    with live.house.producer() as caller, pytest.raises(Exception, match="not done: ") as refused:
        live.start(caller, call).get(timeout=60)
    assert type(refused.value).__name__ == "BadCredentials"
    assert "sesame" not in str(refused.value) + worker.log()


def test_an_unreachable_server_is_not_done(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """Tried until not_after, then Expired: surely nothing was sent."""
    nowhere = f"http://127.0.0.1:{free_port()}/voipnow"
    live = live_house(deploy, simulators, base_url=nowhere)
    live.house.worker()
    soon = datetime.now(UTC) + timedelta(seconds=3)
    nothing = pytest.raises(Exception, match=r"not done: .*nothing was sent")
    with live.house.producer() as caller, nothing as late:
        live.start(caller, {"id": "4711"}, not_after=soon.isoformat()).get(timeout=60)
    assert type(late.value).__name__ == "Expired"


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_ends_costs_one_renewal(
    deploy: Callable[..., Deployment], simulators: Simulators, status: int
) -> None:
    """Sixty requests on three workers at once, with a token that the server no longer takes."""
    live = live_house(deploy, simulators, timeout_seconds=20)
    live.app.configure(dead_token_status=status)
    live.app.begin_call()
    for number in range(3):
        live.house.worker(f"worker{number}")
    with live.house.producer() as caller:
        assert len(live.send(caller, "call.list").get(timeout=60)["calls"]) == 1
        live.app.expire_tokens()
        asked = [live.send(caller, "call.list") for _ in range(60)]
        assert all(len(one.get(timeout=60)["calls"]) == 1 for one in asked)
    issued = simulators.log.effects("token_issued", live.app.client_id)
    assert len(issued) == 2


def test_a_worker_that_is_killed_leaves_no_second_recording(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """Killed while the server holds the answer back: another goes on and finds it recording."""
    live = live_house(deploy, simulators)
    first = live.house.worker("first")
    call = live.app.begin_call()
    live.app.fault("start", "hang", when="after", seconds=30)
    with live.house.producer() as caller:
        waiting = live.start(caller, call)
        eventually(lambda: live.outcomes() == ["started"], what="the start never came")
        first.kill()
        live.house.worker("another")
        assert waiting.get(timeout=60)["recording_since"] is not None
    assert live.outcomes() == ["started"]


def test_a_worker_that_is_told_to_stop_ends_what_has_left(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """SIGTERM while the list is asked for the effect: the start is followed to its end, once."""
    live = live_house(deploy, simulators)
    worker = live.house.worker()
    call = live.app.begin_call()
    live.app.configure(action_answer="204", shown_after_lists=3)
    with live.house.producer() as caller:
        asked = live.start(caller, call, request_id="r1")
        eventually(lambda: live.outcomes() == ["started"], what="the start never came")
        assert worker.stop() == 0
        assert asked.get(timeout=5)["recording_since"] is not None
    job = live.job("r1")
    assert job is not None
    assert (job.state, job.attempts) == ("done", 1)
