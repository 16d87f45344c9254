"""A task's name that no worker knows: its caller, the log, a metric and an alert say so, and which
name is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from celery import Celery
from celery.exceptions import NotRegistered

from earwitness_client.stored import exception
from worker.redis.unknown_tasks import meaning, nearest, refusal

from .deployment import Deployment, account_toml
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

KNOWN = [
    "celery.ping",
    "earwitness.certified_call.request",
    "earwitness.export.create",
    "earwitness.export.retrieve",
    "earwitness.export.run",
    "earwitness.job.status",
    "earwitness.recording.start",
    "earwitness.recording.stop",
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("earwitness.export.runn", "earwitness.export.run"),
        ("export.runn", "earwitness.export.run"),
        ("export.run", "earwitness.export.run"),
        ("Earwitness.Export.Run", "earwitness.export.run"),
        ("earwitness.exports.run", "earwitness.export.run"),
        ("earwitness.certified_calls.request", "earwitness.certified_call.request"),
        ("certified-call.request", "earwitness.certified_call.request"),
        ("earwitness.recording.starts", "earwitness.recording.start"),
        ("earwitness.job.state", "earwitness.job.status"),
    ],
)
def test_the_nearest_name_is_suggested(name: str, meant: str) -> None:
    """With our prefix and without it, in any case."""
    assert nearest(name, KNOWN) == meant
    assert f"did you mean {meant}?" in str(refusal(name, KNOWN))


@pytest.mark.parametrize("name", ["crm.invoice", "", "x" * 5_000, "celery.ping2", None, 7, ["a"]])
def test_nothing_is_suggested_for_what_is_like_none(name: Any) -> None:
    """Another application's task, a later version's, and what is no name at all."""
    assert nearest(name, KNOWN) is None
    assert "no task is called" in meaning(name, KNOWN)
    assert len(meaning(name, KNOWN)) < 300


def test_a_name_with_a_number_or_a_control_character_is_not_repeated() -> None:
    """A reader of logs and alerts sees three digits at most, and no line is forged."""
    assert "660111222" not in meaning("call.660111222", KNOWN)
    assert "\n" not in meaning("a\nERROR b", KNOWN)


def test_the_typed_client_says_it_in_one_sentence() -> None:
    """A newer client asks an older worker for a task that it does not know."""
    error = refusal("earwitness.export.erase", KNOWN)
    stored = {"exc_type": "NotRegistered", "exc_message": list(error.args)}
    raised = exception({"status": "FAILURE", "result": stored})
    assert type(raised).__name__ == "JobFailed"
    assert str(raised).startswith("not done: no task is called 'earwitness.export.erase'")


def test_a_misspelt_task_is_told_everywhere(deploy: Deploy, simulators: Simulators) -> None:
    """Its caller has a failure at once; log, metric and alert follow; the worker goes on."""
    port = free_port()
    account = simulators.gsmblockchain.account()
    house = deploy(
        account_toml("legal", account.configuration()),
        settings={"METRICS_BIND": f"127.0.0.1:{port}"},
    )
    worker = house.worker()
    with house.producer() as app:
        for name in ("earwitness.export.runn", "export.run"):
            with pytest.raises(NotRegistered, match=r"did you mean earwitness\.export\.run\?"):
                _sent(app, name).get(timeout=60)
        with pytest.raises(NotRegistered, match="later version"):
            _sent(app, "earwitness.zzz").get(timeout=60)
    said = "no task is called 'export.run': did you mean earwitness.export.run?"
    eventually(lambda: said in worker.log(), what="the log does not say it")
    alert = eventually(house.ledger.alerts.all_open)[0]
    assert alert["cause"] == "message:unknown_task"
    alerted = eventually(
        lambda: re.search(r"no task is called .*correct the name", worker.log()),
        what="the alert was not logged",
    )
    assert alerted
    shown = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text
    assert "earwitness_unknown_tasks_total 3.0" in shown


def _sent(app: Celery, name: str) -> Any:
    return app.send_task(name, kwargs={"account": "legal"}, queue="earwitness")
