"""Sealing a run twice writes the same bytes, wherever the first worker died."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from ledger.core.schema import jobs

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]


@pytest.mark.parametrize("lost", [["manifest.json"], ["manifest.json", "recordings.jsonl"], []])
def test_a_run_sealed_again_is_the_same_run(
    deploy: Deploy, simulators: Simulators, lost: list[str]
) -> None:
    """A worker that died before the manifest, before the list, or after both, just before its
    commit: the worker that takes over writes the same bytes, though another recording was listed
    since.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    seeded = account.seed(DAY, ZONE, 4)
    account.withhold(seeded[2]["id"])  # from the ZIP alone: it is fetched singly
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    house.worker()
    with house.producer() as app:
        run = house.send(app, "export.run", account="india", day=DAY.isoformat())
        result = run.get(timeout=60)
    folder = (house.archive / result["manifest"]).parent
    sealed = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in lost:
        (folder / name).unlink()
    if "recordings.jsonl" not in lost:
        account.add({"start": datetime.combine(DAY, datetime.min.time(), ZoneInfo(ZONE))})
    again = {"state": "waiting", "next_attempt_at": 0, "result": None, "hinted_at": None}
    with house.ledger.database.engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.job_id == result["job_id"]).values(**again))
    job = eventually(
        lambda: found if (found := house.ledger.jobs.job(result["job_id"])).ended else None,
        what="the run was not sealed again",
    )
    assert job.state == "done", job.reason
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == sealed
    assert (job.result or {})["archived"] == 4
    eventually(lambda: not house.ledger.outbox.waiting())
    verified = house.run("verify", str(house.archive))
    assert verified.returncode == 0, verified.stdout + verified.stderr
