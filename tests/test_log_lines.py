"""The log of a real worker, line by line: which task, which job, whose account."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from ledger.core.job import job_id

from .deployment import Deployment, account_toml
from .ledgers import running
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


DAY = date(2026, 11, 10)
CELERY = ("celery.worker.strategy", "celery.app.trace")
PHONE = "660111222"
Line = dict[str, str]


def _everything(house: Deployment, abandoned: str) -> dict[str, str]:
    """A night, a call, lists, refusals and a takeover are done; the name of each task by its id."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("export.run", {"account": "india", "day": DAY.isoformat()}),
        ("recording.list", {"account": "india"}),
        ("recording.list", {"account": "wrong"}),
        ("recording.list", {"account": "nobody"}),
        ("export.create", {"account": "wrong", "filters": {"extension": "101"}}),
        ("archive.verify", {"account": "india"}),
        (
            "certified_call.request",
            {
                "account": "legal",
                "request_id": "contract-4711",
                "country": "ES",
                "phone": PHONE,
                "max_seconds": 60,
                "company_name": "MyCompany",
                "company_id": "A4562154",
            },
        ),
        ("job.status", {"job_id": abandoned}),
    ]
    with house.producer() as app:
        sent = [(name, house.send(app, name, **kwargs)) for name, kwargs in asked]
        waits = [one for name, one in sent if name == "export.create"]
        for _, one in sent:
            if one not in waits:
                one.get(timeout=60, propagate=False)
        eventually(lambda: house.ledger.jobs.job(abandoned).ended, what="nobody took the job over")
        eventually(
            lambda: {one["kind"] for one in house.ledger.outbox.waiting()} == set(),
            what="something stayed owed",
        )
        return {one.id: name for name, one in sent}


def test_every_line_says_whose_it_is(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A night with a recording withheld, a certified call, lists, refusals, a job whose worker is
    dead: in JSON every line is one object; a task's has its id, a job's its id and account, also
    those that Celery writes and those of the sweeper; none has a number or a secret.
    """
    india = simulators.vonage.account(username="john.doe@vbc.prod")
    withheld = india.seed(DAY, "Asia/Kolkata", 3)[1]["id"]
    india.withhold(withheld, from_="everywhere")
    legal = simulators.gsmblockchain.account()
    wrong = simulators.vonage.account(username="wrong@vbc.prod")
    mistyped = {**wrong.configuration(), "password": "mistyped-by-all"}
    house = deploy(
        "\n".join(
            [
                account_toml("india", india.configuration(), {"catchup_days": 1}),
                account_toml("wrong", mistyped),
                account_toml("legal", legal.configuration()),
            ]
        ),
        settings={"LOG_FORMAT": "json"},
    )
    # Held by a process that gives no sign of life any more: this one.
    abandoned, _ = running(house.ledger, "r1", task_id=str(uuid.uuid4()))
    worker = house.worker()
    tasks = _everything(house, abandoned.job_id)
    assert worker.stop() == 0

    log = worker.log()
    lines = _lines(log)
    jobs = {job.job_id: job.account for job in house.ledger.jobs.jobs(limit=500)}
    of_jobs = {job.task_id: job for job in house.ledger.jobs.jobs(limit=500)}
    names = {**tasks, **{task_id: job.kind for task_id, job in of_jobs.items()}}
    for line in lines:
        _says_whose(line, names, jobs)
    for task_id, job in of_jobs.items():
        mine = [line for line in lines if line.get("task_id") == task_id]
        assert any(line.get("logger") == "celery.app.trace" for line in mine), (job.kind, mine)
        told = [line for line in mine if "received" not in line["message"]]
        assert {line.get("job_id") for line in told} == {job.job_id}, told
        assert {line["account"] for line in mine} == {job.account}, mine
    listed = [task_id for task_id, name in tasks.items() if name == "recording.list"]
    accounts = [{one.get("account") for one in lines if one.get("task_id") == t} for t in listed]
    # No account is called so: nothing is known of it before the arguments were looked at.
    assert accounts == [{"india"}, {"wrong"}, {None, "nobody"}]
    assert any("takeover" in line["message"] for line in lines)
    assert any("chain head" in line["message"] for line in lines)
    causes = sorted(line["cause"] for line in lines if line["logger"] == "earwitness.alerts")
    call = job_id("legal", "earwitness.certified_call.request", "contract-4711")
    assert call in jobs
    assert causes == ["credentials:wrong", f"day:india:{DAY}"]
    for secret in (PHONE, "mistyped-by-all", india.password, legal.password, "httpx", "httpcore"):
        assert secret not in log


def _lines(log: str) -> list[Line]:
    """The log, parsed; before it Celery shows its banner, and prints a word when it is stopped."""
    _, first, rest = log.partition("\n{")
    written = f"{first}{rest}".replace("\nworker: Warm shutdown (MainProcess)\n", "\n")
    return [json.loads(line) for line in written.splitlines() if line.strip()]


def _says_whose(line: Line, tasks: dict[str, str], jobs: dict[str, str]) -> None:
    """A line that names a job has its fields, and every line of Celery's has its task's."""
    if line["logger"] in CELERY:
        assert line.get("task_id"), line
        name = line["message"].partition("[")[0].removeprefix("Task earwitness.")
        assert name == tasks[line["task_id"]], line
    for known in re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", line["message"]):
        if known in tasks and line["logger"] in CELERY:
            assert line["task_id"] == known, line
        if known in jobs and known not in tasks:
            assert line.get("job_id") in jobs, line
            assert line.get("account") == jobs[line["job_id"]], line
