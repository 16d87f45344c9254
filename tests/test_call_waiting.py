"""A call whose connection does not stand yet, and one whose worker is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ledger.core.held import ACCOUNT, NOTE
from ledger.core.schema import jobs

from .certified_calls import call_house
from .deployment import Deployment
from .gates import gate
from .ledgers import pass_time
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]


@pytest.mark.parametrize("opens", [True, False])
def test_a_connection_that_never_stands_is_tried_again_until_not_after(
    deploy: Deploy, simulators: Simulators, opens: bool
) -> None:
    """A connect timeout is no request: the call is placed when the platform answers in time, and
    ends *failed* (Expired), with no call, when it does not.
    """
    with gate(simulators.url) as held:
        calling = call_house(
            deploy,
            simulators,
            timeout_seconds=8 if opens else 1,  # the answer has to come in that time too
            base_url=f"{held.url}/gsmblockchain",
        )
        calling.house.worker()
        until = datetime.now(UTC) + timedelta(seconds=60 if opens else 12)
        with calling.house.producer() as app:
            asked = calling.ask(app, "r1", not_after=until.isoformat())
            job = calling.in_state("r1", "waiting")
            assert "ConnectTimeout" in str(job.reason)
            if opens:
                held.open()
                assert asked.get(timeout=60)["state"] == "done"
            else:
                with pytest.raises(Exception, match=r"^not done: not_after has passed") as expired:
                    asked.get(timeout=60)
                assert type(expired.value).__name__ == "Expired"
                calling.in_state("r1", "failed")
                held.open()
    assert calling.placed() == int(opens)


def test_a_worker_that_is_told_to_stop_hears_the_answer_first(
    deploy: Deploy, simulators: Simulators
) -> None:
    """SIGTERM during a call: the worker ends after the outcome is stored, and nobody has to
    decide.
    """
    calling = call_house(deploy, simulators, timeout_seconds=30)
    calling.platform.configure(answer_seconds=2.0)
    worker = calling.house.worker()
    with calling.house.producer() as app:
        asked = calling.ask(app, "r1")
        eventually(lambda: calling.placed() == 1)
        assert worker.stop() == 0
        calling.in_state("r1", "done")
        assert asked.get(timeout=60)["state"] == "done"
    assert calling.placed() == 1


def test_a_call_that_waits_for_its_platform_is_no_longer_held_by_an_unknown_account(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A worker that knows the account takes it after its start: alerts name no other obstacle from
    then on.
    """
    calling = call_house(deploy, simulators)
    ledger = calling.house.ledger
    ledger.accounts.postpone("legal", 600, "the provider asked to wait")
    worker = calling.house.worker("first")
    with calling.house.producer() as app:
        asked = calling.ask(app, "r1")
        job = calling.in_state("r1", "waiting")
        worker.stop()
        ledger.wakeups.put_back(job.job_id, seconds=600, held_by=ACCOUNT)
        assert ledger.held_jobs.held()
        calling.house.worker("second")
        eventually(lambda: NOTE not in ledger.jobs.job(job.job_id).work, what="still held")
        calling.in_state("r1", "waiting")
        ledger.accounts.resume("legal")
        pass_time(ledger, 600, jobs.c.next_attempt_at)
        asked.get(timeout=60)
    assert calling.placed() == 1
