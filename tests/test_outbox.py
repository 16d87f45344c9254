"""What is pending is discharged one by one: nothing that cannot be done holds up the rest."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from celery import Celery, current_app

from config.settings import settings
from ledger.alerts import DAY, Alert
from ledger.core.outbox import Obligation
from ledger.ledger import Ledger
from tasks import registry
from tasks.runtime import context, metrics
from tasks.runtime.outbox import Handler, discharge_due, register

from .callers import close_connections


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The process of the test as a worker's."""
    registry.load()
    (tmp_path / "accounts.toml").write_text("")
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    monkeypatch.setenv("EARWITNESS_ARCHIVE_URL", str(tmp_path / "archive"))
    monkeypatch.setenv("EARWITNESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    settings.cache_clear()
    context.ledger.cache_clear()
    context.store.cache_clear()
    context.ledger().identity.prepare()
    yield context.ledger()
    context.ledger().close()
    context.ledger.cache_clear()
    context.store.cache_clear()


@pytest.fixture
def silent_broker() -> Iterator[None]:
    """A Redis that takes connections and says nothing."""
    before = current_app._get_current_object()
    with socket.create_server(("127.0.0.1", 0)) as server:
        app = Celery(broker=f"redis://127.0.0.1:{server.getsockname()[1]}/0", set_as_current=True)
        app.conf.broker_transport_options = {"socket_timeout": 0.2, "max_retries": 0}
        yield
        close_connections(app)
    before.set_current()


def owe_notification(ledger: Ledger, job_id: str) -> None:
    """That a caller is to be told of a failed job."""
    kwargs = {"job_id": job_id, "result": None}
    ledger.outbox.owe(job_id, "india", "notify", {"task": "t", "queue": "q", "kwargs": kwargs})


def tried(kind: str) -> float:
    """How often it was tried in vain."""
    return float(metrics.obligations_tried.labels(kind, "failed")._value.get())


def test_what_this_version_does_not_know_stays_owed_alone(
    here: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """A later version owes something else before it is rolled back: people are alerted of an alert
    in the same round all the same, and what is unknown stays pending, with the reason.
    """
    here.outbox.owe("", "india", "aerogram", {"to": "somebody"})
    here.alerts.open(Alert("cause", DAY, "india", "a day is missing"))
    assert discharge_due() == 1
    assert "a day is missing" in caplog.text
    (left,) = here.outbox.waiting()
    assert left["kind"] == "aerogram"
    assert "unexpected error" in left["reason"]


def test_a_flow_s_handler_discharges_what_its_jobs_owe(here: Ledger) -> None:
    """Together where it says so, one by one else, and an account at a time; what it raises leaves
    these alone owed.
    """
    seen: list[tuple[str, list[int]]] = []

    def discharge(account: str, owed: Sequence[Obligation]) -> None:
        seen.append((account, [one.payload["n"] for one in owed]))
        if owed[0].payload["n"] == 4:
            raise OSError("no wind")

    register({"weather": Handler(discharge, together=lambda one: one.payload["n"] < 3)})
    for n, account in ((1, "india"), (2, "india"), (3, "india"), (4, "spain"), (5, "spain")):
        here.outbox.owe("", account, "weather", {"n": n})

    assert discharge_due() == 4
    assert seen == [("india", [1, 2]), ("india", [3]), ("spain", [4]), ("spain", [5])]
    (left,) = here.outbox.waiting()
    assert (left["kind"], left["count"], left["reason"]) == ("weather", 1, "no wind")


def test_two_handlers_for_one_kind_are_refused() -> None:
    """One of them would never be called."""
    registry.load()
    with pytest.raises(ValueError, match="receipt have two handlers"):
        register({"receipt": Handler(lambda *_: None)})


@pytest.mark.usefixtures("silent_broker")
def test_who_does_not_answer_is_asked_once_in_a_round(here: Ledger) -> None:
    """Fifty notifications for a frozen Redis cost a round of the sweeper one time limit, not fifty:
    dead workers and hints wait for it. All stay pending, with the reason.
    """
    for number in range(50):
        owe_notification(here, f"job-{number}")
    before = tried("notify")
    assert discharge_due() == 0
    assert tried("notify") - before == 1
    (left,) = here.outbox.waiting()
    assert left["count"] == 50
    assert left["reason"]
