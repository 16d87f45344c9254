"""A decision made in quarantine outlives the ledger that it was made in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from celery import Celery

from ledger.core import states

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]
WHO = ("--by", "ana", "--note", "looked into the panel")


def lose_the_ledger(calls: CallHouse) -> None:
    """Every process is killed, the ledger deleted and rebuilt from the archive."""
    for process in calls.house.processes:
        process.kill()
    calls.house.without_ledger()
    for path in calls.house.folder.glob("ledger.sqlite3*"):
        path.unlink()
    done = calls.house.run("rebuild")
    assert done.returncode == 0, done.stdout + done.stderr


def lift(calls: CallHouse) -> None:
    """The operator ends the quarantine."""
    done = calls.house.run("quarantine", "--lift", *WHO)
    assert done.returncode == 0, done.stderr


def told(calls: CallHouse, app: Celery, request_id: str) -> str:
    """How a call ends for its caller."""
    answer = calls.ask(app, request_id).get(timeout=30, propagate=False)
    return type(answer).__name__ if isinstance(answer, Exception) else "done"


def owes_nothing(calls: CallHouse) -> None:
    """Wait until every receipt is written and under the chain."""
    eventually(lambda: not calls.house.ledger.outbox.waiting(), what="something is owed")


def test_a_decision_made_in_quarantine_is_known_to_the_next_ledger(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The ledger is lost, and calls that the next one does not know are decided in its quarantine.
    That ledger is lost too: sent again after the quarantine, none is placed.
    """
    calls = call_house(deploy, simulators)
    with calls.house.producer() as app:
        calls.house.worker("first")
        assert told(calls, app, "known") == "done"
        owes_nothing(calls)
        lose_the_ledger(calls)

        calls.house.worker("second")
        for request_id in ("placed", "not-placed"):
            assert told(calls, app, request_id) == "Uncertain"
        for request_id, outcome in (("placed", "--placed"), ("not-placed", "--not-placed")):
            done = calls.house.run("resolve", request_id, outcome, *WHO)
            assert done.returncode == 0, done.stderr
        owes_nothing(calls)
        assert calls.house.run("verify").returncode == 0
        lose_the_ledger(calls)

        lift(calls)
        calls.house.worker("third")
        ends = {name: told(calls, app, name) for name in ("placed", "not-placed")}
        assert ends == {"placed": "done", "not-placed": "Rejected"}
        job = calls.in_state("placed", states.DONE)
        assert "decided by ana" in str(job.reason)
        assert calls.placed() == 1
        assert told(calls, app, "new") == "done"
        owes_nothing(calls)


def test_a_decision_of_a_restored_ledger_follows_the_receipts_of_the_archive(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A call was placed after the copy was made: asked for again, it is in doubt for the copy, and
    the archive has its receipt. A decision about it follows that receipt, and is no contradiction.
    """
    calls = call_house(deploy, simulators)
    with calls.house.producer() as app:
        calls.house.worker("first")
        assert told(calls, app, "before") == "done"
        owes_nothing(calls)
        calls.house.processes[-1].stop()
        calls.house.without_ledger()
        copy = calls.house.folder / "ledger.sqlite3"
        kept = {path: path.read_bytes() for path in calls.house.folder.glob(f"{copy.name}*")}
        calls.house.worker("second")
        assert told(calls, app, "since") == "done"
        owes_nothing(calls)
        calls.house.processes[-1].stop()
        calls.house.without_ledger()
        for path in calls.house.folder.glob(f"{copy.name}*"):
            path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)
        with calls.house.valkey.client() as redis:
            redis.flushall()

        calls.house.worker("restored")
        assert told(calls, app, "since") == "Uncertain"
        done = calls.house.run("resolve", "since", "--placed", *WHO)
        assert done.returncode == 0, done.stderr
        owes_nothing(calls)
        kinds = {one["kind"] for one in calls.house.ledger.alerts.all_open()}
        assert "contradiction" not in kinds
    outcomes = [
        json.loads(calls.house.store.read(path))["outcome"]
        for path in calls.house.store.paths("legal/certified-calls/")
        if calls.in_state("since", states.DONE).job_id in path
    ]
    assert sorted(outcomes) == ["placed", "resolved"]
    assert calls.placed() == 2


@pytest.mark.parametrize("outcome", ["--placed", "--not-placed"])
def test_a_call_whose_receipts_are_damaged_can_be_decided(
    deploy: Deploy, simulators: Simulators, outcome: str
) -> None:
    """What was asked for is not known any more; the decision is kept all the same, and known to the
    next ledger.
    """
    calls = call_house(deploy, simulators)
    with calls.house.producer() as app:
        calls.house.worker("first")
        assert told(calls, app, "call") == "done"
        owes_nothing(calls)
        job_id = calls.in_state("call", states.DONE).job_id
        (path,) = calls.house.store.paths("legal/certified-calls/")
        (calls.house.archive / path).chmod(0o644)
        (calls.house.archive / path).write_bytes(b"not readable")
        for process in calls.house.processes:
            process.kill()
        calls.house.without_ledger()
        for file in calls.house.folder.glob("ledger.sqlite3*"):
            file.unlink()
        assert calls.house.run("rebuild").returncode == 1
        done = calls.house.run("resolve", job_id, outcome, *WHO)
        assert done.returncode == 0, done.stderr
        calls.house.worker("second")
        owes_nothing(calls)
        calls.house.processes[-1].kill()
        calls.house.without_ledger()
        for file in calls.house.folder.glob("ledger.sqlite3*"):
            file.unlink()
        calls.house.run("rebuild")
        calls.in_state("call", states.DONE if outcome == "--placed" else states.FAILED)
        lift(calls)
        calls.house.worker("third")
        told(calls, app, "call")
    assert calls.placed() == 1
