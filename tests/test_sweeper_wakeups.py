"""What a round of the sweeper announces when more is due than it may."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ledger.core import states
from ledger.core.schema import waiters
from worker.sweeper import Rounds

from .deployment import Deployment, account_toml
from .ledgers import pass_time, request, running
from .simulators import Simulators
from .test_nights import planner

Deploy = Callable[..., Deployment]


def test_a_backlog_of_jobs_does_not_hold_up_answers(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more jobs are due than a round announces: who waits for a job that has ended is answered
    in the same round all the same.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    ledger = house.ledger
    for task_id in ("first", "second"):
        job, _ = ledger.opening.open(request("done", task_id=task_id), by="test")
    claimed = ledger.execution.claim(job.job_id)
    assert claimed is not None
    ledger.execution.finish(claimed[1], states.DONE, own_task="first")
    ledger.waiters.mark_answered("first")
    pass_time(ledger, 1, waiters.c.due_at)
    for number in range(12):
        _, lease = running(ledger, f"job-{number}")
        ledger.execution.postpone(lease, "waits", seconds=0)
    with planner(house, monkeypatch), house.producer() as app:
        Rounds(app, slots=1).sweep()
        announced = [
            json.loads(message)["headers"]["id"]
            for message in app.backend.client.lrange("earwitness.due", 0, -1)
        ]
    assert len(announced) == 4
    assert "second" in announced
