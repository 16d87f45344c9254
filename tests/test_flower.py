"""Flower: who may look, what may be done there, what it keeps, and how it reads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from celery.states import READY_STATES

from worker.flower.dashboard import show_reason

from .dashboards import LOGIN, Dashboard, addresses, caller, dashboard, started
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]
DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
#: What Flower serves to anybody: whether it lives, its own pictures and scripts, and a farewell.
OPEN = ("/healthcheck", "/static/", "/log")
EXPOSED: list[tuple[dict[str, str], str]] = [
    ({"FLOWER_ADDRESS": "0.0.0.0"}, "0.0.0.0 without authentication"),
    ({"FLOWER_ADDRESS": ""}, "every address without authentication"),
    ({"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_BASIC_AUTH": ""}, "user:password"),
    ({"FLOWER_BASIC_AUTH": "ops:one,two:"}, "user:password"),
]


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators) -> Deployment:
    """Two accounts: exports of `india` come whole, those of `mumbai` are never ready."""
    sections = []
    for name in ("india", "mumbai"):
        account = simulators.vonage.account(username=f"{name}@vbc.prod")
        account.seed(DAY, ZONE, 3)
        account.configure(ready_after_polls=10_000 if name == "mumbai" else 1)
        sections.append(account_toml(name, account.configuration(), {}))
    return deploy("\n".join(sections), settings={"POLL_MAX_SECONDS": "600"})


@pytest.fixture
def bare(deploy: Deploy) -> Deployment:
    """No account, no worker."""
    return deploy("")


def test_nobody_looks_without_the_password(bare: Deployment) -> None:
    """Every address that Flower serves, pages, API and metrics, read and written: refused without
    the password and with a wrong one, but for the sign of life and Flower's own files.
    """
    with dashboard(bare) as shown:
        for method in ("get", "post"):
            for address in addresses("a-task", "celery@worker", method=method):
                if address.startswith(OPEN):
                    continue
                for login in (None, (LOGIN[0], "wrong"), ("", "")):
                    answer = shown.stranger.request(method, address, auth=login)
                    assert answer.status_code == 401, (method, address, answer.status_code)
        assert shown.stranger.get("/healthcheck").text == "OK"
        assert shown.client.get("/metrics").status_code == 200
        assert shown.client.get("/tasks").status_code == 200


def test_only_the_machine_itself_is_served_without_a_password(bare: Deployment) -> None:
    """Without a login it listens on this machine alone, and neither API nor metrics are open."""
    with dashboard(bare, FLOWER_BASIC_AUTH=None) as shown:
        listening = psutil.Process(shown.process.pid).net_connections()
        assert {one.laddr.ip for one in listening if one.status == "LISTEN"} == {"127.0.0.1"}
        assert shown.stranger.get("/tasks").status_code == 200
        assert shown.stranger.get("/api/tasks").status_code == 401
        assert shown.stranger.get("/metrics").status_code == 401


def test_it_does_not_open_itself_to_the_network(bare: Deployment) -> None:
    """Told to listen on a network without a login, or with half of one, it ends with a sentence."""
    ended = [(started(bare, **said)[0], why) for said, why in EXPOSED]
    for process, why in ended:
        assert process.popen.wait(timeout=60) != 0
        sentence = process.log().strip().splitlines()[-1]
        assert sentence.startswith("earwitness: ")
        assert why in sentence
        assert "not started" in sentence
        assert "FLOWER_BASIC_AUTH" in sentence


def test_with_a_password_it_serves_the_network(bare: Deployment) -> None:
    """Flower's own names of the environment keep their meaning."""
    with dashboard(bare, FLOWER_ADDRESS="0.0.0.0", FLOWER_TASKS_COLUMNS="uuid") as shown:
        listening = psutil.Process(shown.process.pid).net_connections()
        assert {one.laddr.ip for one in listening if one.status == "LISTEN"} == {"0.0.0.0"}
        assert 'data-column="name"' not in shown.client.get("/tasks").text
        assert shown.stranger.get("/tasks").status_code == 401


def test_it_takes_orders_only_where_it_is_told_to(house: Deployment) -> None:
    """Every order that Flower knows is refused, and queues and jobs are as they were; with
    FLOWER_READ_ONLY=false a task can be revoked, by who has the password.
    """
    house.worker()
    with caller(house) as app:
        with dashboard(house) as shown:
            waiting = house.send(app, "export.run", account="mumbai", day=DAY.isoformat())
            shown.task(waiting.id, "RETRY")
            (worker,) = eventually(shown.workers)
            orders = addresses(waiting.id, worker, method="post")
            assert len([one for one in orders if one.startswith("/api/")]) == 14
            for order in orders:
                if order.startswith("/api/"):
                    assert shown.client.post(order).status_code == 403, order
            assert shown.tasks()[waiting.id]["state"] not in READY_STATES
            assert app.control.inspect(timeout=20, limit=1).revoked() == {worker: []}
        with dashboard(house, FLOWER_READ_ONLY="false") as shown:
            assert shown.stranger.post(f"/api/task/revoke/{waiting.id}").status_code == 401
            assert shown.client.post(f"/api/task/revoke/{waiting.id}").status_code == 200
            inspection = app.control.inspect(timeout=20, limit=1)
            eventually(lambda: inspection.revoked() == {worker: [waiting.id]})


def test_a_restart_keeps_the_tasks(house: Deployment) -> None:
    """What it knew before it was killed, some time after it last saved, and before it was stopped,
    it shows again, and what happens then it puts to it.
    """
    house.worker()

    def listed(shown: Dashboard) -> str:
        """One more task; its id."""
        asked = str(house.send(app, "recording.list", account="india").id)
        shown.task(asked, "SUCCESS")
        return asked

    with caller(house) as app:
        with dashboard(house, FLOWER_STATE_SAVE_INTERVAL="200") as shown:
            first = listed(shown)
            since = time.time_ns()
            eventually(lambda: saved(house) > since, what="it did not save")
            shown.process.kill()
        with dashboard(house) as shown:
            assert shown.tasks()[first]["state"] == "SUCCESS"
            second = listed(shown)
            assert shown.process.stop() == 0
        with dashboard(house) as shown:
            third = listed(shown)
            assert set(shown.rows()) == {first, second, third}


def saved(house: Deployment) -> int:
    """When Flower's file, whatever its database calls it, was last written as a whole."""
    files = [house.folder / f"flower{ending}" for ending in ("", ".db", ".dir", ".dat")]
    return min((path.stat().st_mtime_ns for path in files if path.is_file()), default=0)


def test_workers_that_are_gone_are_purged(house: Deployment) -> None:
    """A worker that has ended is off the Workers page and out of the metrics in the time that was
    set; one that works stays.
    """
    house.worker("stays")
    leaving = house.worker("leaves")
    with dashboard(house, FLOWER_PURGE_OFFLINE_WORKERS="1") as shown:

        def seen() -> set[str]:
            return {worker.partition("@")[0] for worker in shown.workers()}

        eventually(lambda: seen() == {"stays", "leaves"}, what="the workers were not seen")
        leaving.stop()
        eventually(lambda: seen() == {"stays"}, what="the worker was not purged")

        def measured() -> set[str]:
            return set(re.findall(r'worker="(\w+)@', shown.client.get("/metrics").text))

        eventually(lambda: measured() == {"stays"}, what="the worker's metrics were not purged")


def test_a_waiting_job_and_a_failed_one_say_why(house: Deployment) -> None:
    """A job that waits is RETRY with the reason; one that failed and one that is done say what came
    of them; each says of which account and day it is, after its hints too; a reason that is over
    is not shown.
    """
    house.worker()
    with dashboard(house) as shown, caller(house) as app:
        day = DAY.isoformat()
        waits = house.send(app, "export.run", account="mumbai", day=day)
        done = house.send(app, "export.run", account="india", day=day)
        failed = house.send(app, "recording.download", account="india", recording_id="404404")
        eventually(
            lambda: shown.task(waits.id, "RETRY")["exception"] == "waits for 1 part",
            what="the reason was not shown",
        )
        assert shown.tasks()[waits.id]["kwargs"] == f"{{account: mumbai, day: {day}}}"
        task = shown.task(done.id, "SUCCESS")
        assert task["name"] == "earwitness.export.run"
        assert task["kwargs"] == f"{{account: india, day: {day}}}"
        assert task["result"].startswith("{listed: 3, archived: 3, missing: 0, manifest: india/")
        assert not task["exception"]
        task = shown.task(failed.id, "FAILURE")
        assert task["kwargs"] == "{account: india, recording_id: ...}"
        assert task["exception"].startswith("Rejected('not done: recording 404404: HTTP 404")

        def part() -> str | None:
            rows = [one for one in shown.rows().values() if one["name"].endswith("retrieve")]
            rows = [one for one in rows if one["kwargs"] == f"{{account: mumbai, day: {day}}}"]
            return str(rows[0]["result"]) if rows and rows[0]["state"] == "RETRY" else None

        assert "not ready" in str(eventually(part, what="the part's reason was not shown"))
        rows = shown.rows()
        assert rows[waits.id]["result"] == "waits for 1 part"
        assert rows[failed.id]["result"].startswith("Rejected: not done: recording 404404: HTTP")
        page = shown.client.get("/tasks").text
        columns = ["state", "name", "kwargs", "result", "received", "worker", "uuid"]
        places = [page.index(f'data-column="{name}"') for name in columns]
        assert places == sorted(places)


def test_a_configuration_of_ones_own_is_read_from_anywhere(
    bare: Deployment, tmp_path: Path
) -> None:
    """Started in another folder, with the operator's own flowerconfig.py there: what that says is
    so, what it does not say is as ever, and what it gets wrong is refused.
    """
    (tmp_path / "flowerconfig.py").write_text('tasks_columns = "uuid"\nread_only = False\n')
    with dashboard(bare, folder=tmp_path) as shown:
        page = shown.client.get("/tasks").text
        assert 'data-column="uuid"' in page
        assert 'data-column="name"' not in page
        assert shown.stranger.get("/metrics").status_code == 401
    (tmp_path / "flowerconfig.py").write_text('address = "0.0.0.0"\n')
    process, _ = started(bare, folder=tmp_path)
    assert process.popen.wait(timeout=60) != 0
    assert "without authentication" in process.log()


def test_a_decision_that_waits_is_seen_in_the_column() -> None:
    """A call that needs a decision says so first, where the column of the Tasks page ends early;
    whatever else failed says why it did.
    """
    told = "Uncertain('unknown: the certified call may have been placed: no answer came')"

    def read(name: str) -> str:
        task = SimpleNamespace(name=name, state="FAILURE", exception=told, result=None)
        return str(show_reason(task).result)

    assert read("earwitness.certified_call.request").startswith("NEEDS A DECISION: Uncertain: unk")
    assert read("earwitness.recording.start").startswith("Uncertain: unknown: the certified")
