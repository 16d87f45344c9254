"""A worker dies, or sleeps and wakes, at every step of a certified call's life: one call at most,
and never silently.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger.core import states

from .call_steps import STEPS, Stage, act_out
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

HOWS = ("kill", "sleep")
CASES = [(step, how) for step in STEPS for how in HOWS]
#: How long after the end the platform's counter is looked at once more.
LATER_SECONDS = 90


@pytest.fixture
def stack(valkey: Valkey) -> Iterator[ExitStack]:  # noqa: ARG001 - to be closed before it is emptied
    """Closes whatever a test opened."""
    with ExitStack() as opened:
        yield opened


def test_every_state_has_a_step() -> None:
    """A state that the history knows and no step holds a worker in fails here."""
    assert {step.state for step in STEPS.values()} == set(states.ALL)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("step", "how"), CASES)
def test_a_worker_that_dies_or_sleeps_at_a_step_places_no_second_call(
    step: str, how: str, stack: ExitStack, tmp_path: Path, valkey: Valkey, simulators: Simulators
) -> None:
    """The message comes again, another worker continues: the job ends as it should, the caller is
    told, and the platform counted at most one call.
    """
    folder = tmp_path / "house"
    folder.mkdir()
    stage = act_out(STEPS[step], how, stack, folder, valkey, simulators)
    _ended_well(stage, step, how)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_no_second_call_comes_later(tmp_path: Path, simulators: Simulators) -> None:
    """All of it once more, at Redis' own pace of redelivery: 90 seconds after the last end the
    counters stand where they stood.
    """
    with ExitStack() as outer, ThreadPoolExecutor(4) as threads:

        def play(case: tuple[str, str]) -> Stage:
            step, how = case
            folder = tmp_path / f"{step}-{how}"
            folder.mkdir()
            valkey = outer.enter_context(Valkey())
            stage = act_out(STEPS[step], how, outer, folder, valkey, simulators)
            _ended_well(stage, step, how)
            return stage

        stages = dict(zip(CASES, threads.map(play, CASES), strict=True))
        time.sleep(LATER_SECONDS)
        for (step, how), stage in stages.items():
            _ended_well(stage, step, how)


def _ended_well(stage: Stage, step: str, how: str) -> None:
    state, calls = STEPS[step].killed if how == "kill" else STEPS[step].slept
    job = stage.state(state)
    # Whoever was told that nobody knows is told once more when somebody does.
    due = {"SUCCESS"} if state == "done" else {"FAILURE", "REVOKED"}
    told = eventually(
        lambda: found if (found := stage.told()).state in due else None,
        within=90,
        what="the caller was not told",
    )
    if state == "done":
        assert told.result["job_id"] == job.job_id
    # A request that hangs at the platform is counted when it goes on, asked for or not.
    eventually(lambda: stage.calling.placed() == calls, what="the platform has not counted so")
    # What is owed comes once the archive can be written; where nothing left, nothing is.
    eventually(lambda: not stage.calling.house.ledger.outbox.waiting(), within=60)
    outcomes = [receipt["outcome"] for receipt in stage.calling.receipts()]
    last = {"done": ["placed"], "failed": ["refused"], "needs_decision": ["unknown"]}
    assert outcomes[-1:] == last.get(state, [])
