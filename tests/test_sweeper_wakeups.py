"""What a round of the sweeper announces when more is due than it may."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from celery import Celery

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
        announced = hints(app)
    assert len(announced) == 4
    assert "second" in announced


def hints(app: Celery) -> list[str]:
    """Take the hints out of their queue; the ids of their tasks."""
    client = app.backend.client
    taken = client.lpop("earwitness.due", 1_000) or []
    return [json.loads(message)["headers"]["id"] for message in taken]


def test_rounds_follow_each_other_while_hints_are_taken(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers take the hints as fast as they come: the sweeper does not pause until all are
    published, and each job is announced once. Where nobody takes any, it pauses.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    accounts = account_toml("india", account.configuration(), {"catchup_days": 1})
    # However slow the machine, only the first and the last of these rounds are whole.
    house = deploy(accounts, settings={"SWEEP_SECONDS": "600"})
    ids = []
    for number in range(10):
        job, lease = running(house.ledger, f"job-{number}")
        house.ledger.execution.postpone(lease, "waits", seconds=0)
        ids.append(job.task_id)
    with planner(house, monkeypatch), house.producer() as app:
        rounds = Rounds(app, slots=1)
        seen: list[str] = []
        go_on = []
        for _ in range(4):
            go_on.append(rounds.sweep())
            seen += hints(app)
        assert sorted(seen) == sorted(ids)
        assert go_on == [True, True, True, False]

        house.ledger.wakeups.put_back(job.job_id, seconds=0)
        for number in range(4):
            _, lease = running(house.ledger, f"more-{number}")
            house.ledger.execution.postpone(lease, "waits", seconds=0)
        assert rounds.sweep() is True
        assert rounds.sweep() is True, "a whole round follows the last"
        assert rounds.sweep() is False
