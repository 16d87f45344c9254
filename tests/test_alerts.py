"""Alerts as people receive them: signed, once a cause, and never in the way of anything else."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, current_app
from sqlalchemy import update

from archive.errors import Contradiction, Damaged
from config import logging as our_logging
from config.settings import settings
from ledger.alerts import Alert
from ledger.core.schema import obligations
from ledger.ledger import Ledger
from tasks import registry
from tasks.nights import tasks as nightly
from tasks.runtime import context
from tasks.runtime.alerts import deliver_due
from tasks.runtime.error_policy import as_job_error
from tasks.runtime.outbox import discharge_due

from .alert_receiver import AlertReceiver
from .certificates import unknown
from .deployment import ROOT, Deployment, account_toml
from .ledger_calls import SAID_OK, owed, sending
from .ledgers import pass_time
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .test_nights import DAY, planner, settled
from .waiting import eventually

registry.load()

SECRET = "signed-with-this"
PARAMETERS = {
    "country": "ES",
    "phone": "+34660111222",
    "max_seconds": 60,
    "company_name": "MyCompany",
    "company_id": "A4562154",
}
VONAGE = {
    "provider": "vonage",
    "username": "john.doe@vbc.prod",
    "password": "p",
    "client_id": "c",
    "client_secret": "s",
}
REFUSED = Alert("credentials:india", "credentials", "india", "refused for +34600123456")


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    """Somebody on call."""
    with AlertReceiver() as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ledger]]:
    """The process of the test as a worker whose alerts go to an address."""

    def configured(url: str | None, accounts: str = "") -> Ledger:
        (tmp_path / "accounts.toml").write_text(accounts)
        monkeypatch.setenv("EARWITNESS_ARCHIVE_URL", str(tmp_path / "archive"))
        monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
        monkeypatch.setenv("EARWITNESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
        for name, value in (("ALERT_URL", url), ("ALERT_SECRET", SECRET)):
            if url is None:
                monkeypatch.delenv(f"EARWITNESS_{name}", raising=False)
            else:
                monkeypatch.setenv(f"EARWITNESS_{name}", value or "")
        settings.cache_clear()
        context.ledger.cache_clear()
        context.ledger().identity.prepare()
        return context.ledger()

    yield configured
    context.ledger().close()
    context.ledger.cache_clear()


def due_again(ledger: Ledger) -> None:
    """Let every wait be over."""
    pass_time(ledger, 3600, obligations.c.due_at)


def reason(ledger: Ledger) -> str:
    """Why something is pending, as `status` shows it."""
    (owed,) = ledger.outbox.waiting()
    assert owed["kind"] == "webhook"
    return str(owed["reason"])


def genuine() -> Callable[[Any, bytes, str], bool]:
    """The check of the signature as the documentation has it."""
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n([^`]*?def is_genuine.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    check: Callable[[Any, bytes, str], bool] = names["is_genuine"]
    return check


def test_an_alert_is_signed_and_says_what_it_is_about(
    here: Callable[..., Ledger], receiver: AlertReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Log line and webhook, once each; the documentation's own code finds the signature right, and
    refuses another secret, another body and an old timestamp. Numbers lose their digits.
    """
    ledger = here(receiver.url)
    ledger.alerts.open(REFUSED)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            discharge_due()
            deliver_due()
    assert [one.name for one in caplog.records].count("earwitness.alerts") == 1
    ((_, headers, body),) = receiver.received
    told = json.loads(body)
    assert told.pop("id")
    assert abs(datetime.fromisoformat(told.pop("since")).timestamp() - time.time()) < 60
    assert told.pop("version")
    assert told == {
        "schema": 1,
        "state": "open",
        "cause": "credentials:india",
        "kind": "credentials",
        "account": "india",
        "job_id": None,
        "message": "refused for ***456",
        "repeated": 0,
        "deployment": ledger.identity.identity(),
    }
    check = genuine()
    assert check(headers, body, SECRET)
    assert not check(headers, body, "another")
    assert not check(headers, body.replace(b"india", b"spain"), SECRET)
    old = {**headers, "Earwitness-Timestamp": str(int(headers["Earwitness-Timestamp"]) - 301)}
    assert not check(old, body, SECRET)


def test_the_end_says_by_whose_word_it_is(
    here: Callable[..., Ledger], receiver: AlertReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a cause names who closed it and why, without the numbers of people, and nobody
    where it ended by itself, was told by a version that knew of nobody, or begins.
    """
    ledger = here(receiver.url)
    ledger.alerts.open(REFUSED)
    ledger.alerts.close(REFUSED.cause)
    ledger.alerts.open(REFUSED)
    ledger.alerts.close_by_hand(REFUSED.cause, by="ana", note="+34600123456 has paid")
    before = {**owed(ledger, "alert")[1], "id": "before", "cause": "a"}
    del before["closed_by"], before["note"]
    ledger.outbox.owe("", "india", "alert", before)
    with caplog.at_level(logging.INFO):
        discharge_due()
    said = [one.getMessage() for one in caplog.records if one.name == "earwitness.alerts"]
    over = f"resolved: {REFUSED.message}"
    assert said[1] == said[4] == over
    assert said[3] == f"{over}; closed by ana: +34600123456 has paid"
    while deliver_due():
        due_again(ledger)
    bodies = [json.loads(body) for _, _, body in receiver.received]
    assert len(bodies) == 5
    named = {(one["state"], one.get("closed_by", "-"), one.get("note", "-")) for one in bodies}
    assert named == {
        ("open", "-", "-"),
        ("resolved", None, None),
        ("resolved", "ana", "***456 has paid"),
    }


def test_what_is_not_taken_is_sent_again_as_the_same(
    here: Callable[..., Ledger], receiver: AlertReceiver
) -> None:
    """A failure and a redirect are no answer: it stays pending with the reason, without the
    address' key; each attempt has a signature of its own, the same id, and the end waits for it.
    """
    ledger = here(receiver.url)
    ledger.alerts.open(REFUSED)
    ledger.alerts.close(REFUSED.cause)
    discharge_due()
    receiver.meets = [500, 307, 204]
    for shown in ("127.0.0.1 answered HTTP 500", "127.0.0.1 answered HTTP 307"):
        assert deliver_due() == 0
        assert shown in reason(ledger)
        assert "k3y" not in reason(ledger)
        due_again(ledger)
    assert deliver_due() == 2
    assert ledger.outbox.waiting() == []
    bodies = [json.loads(body) for _, _, body in receiver.received]
    assert [one["state"] for one in bodies] == ["open"] * 3 + ["resolved"]
    assert len({one["id"] for one in bodies}) == 2
    check = genuine()
    assert all(check(headers, body, SECRET) for _, headers, body in receiver.received)


def test_without_an_address_nothing_is_owed_to_anybody(
    here: Callable[..., Ledger], receiver: AlertReceiver
) -> None:
    """The log has it. What was pending for an address that is not set any more is forgotten."""
    ledger = here(receiver.url)
    ledger.alerts.open(REFUSED)
    discharge_due()
    here(None)
    deliver_due()
    ledger.alerts.close(REFUSED.cause)
    discharge_due()
    assert ledger.outbox.waiting() == []
    assert receiver.received == []


def test_nobody_else_is_told(here: Callable[..., Ledger], tmp_path: Path) -> None:
    """A certificate that nobody vouches for, and a port on which nobody listens: nothing is sent,
    and the reason names the kind of failure alone.
    """
    with AlertReceiver(unknown(tmp_path, "127.0.0.1")) as stranger:
        ledger = here(stranger.url)
        ledger.alerts.open(REFUSED)
        discharge_due()
        assert deliver_due() == 0
        assert stranger.received == []
        assert "did not answer (ConnectError)" in reason(ledger)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        here(f"http://127.0.0.1:{closed.getsockname()[1]}/?token=k3y-of-chat")
        due_again(ledger)
        assert deliver_due() == 0
    assert "did not answer (ConnectError)" in reason(ledger)


def test_a_receipt_that_differs_is_told_once(
    here: Callable[..., Ledger], caplog: pytest.LogCaptureFixture
) -> None:
    """Where another file stands in a receipt's place it stays; the receipt stays pending, and
    people are told once, however often it is tried.
    """
    ledger = here(None)
    context.store.cache_clear()
    _, lease = sending(ledger, parameters=PARAMETERS)
    job = ledger.calls.store_outcome(lease, SAID_OK, own_task=None)
    discharge_due()
    (receipt,) = context.store().root.glob("legal/certified-calls/*/*/*.json")
    receipt.write_text("{}")
    _owe_it_again(ledger)
    for _ in range(3):
        discharge_due()
        due_again(ledger)
    path = str(receipt.relative_to(context.store().root))
    (alert,) = ledger.alerts.all_open()
    assert alert["cause"] == f"contradiction:archive:{path}"
    assert (alert["job_id"], alert["account"]) == (job.job_id, "legal")
    assert [one.name for one in caplog.records].count("earwitness.alerts") == 1
    assert receipt.read_text() == "{}"


def _owe_it_again(ledger: Ledger) -> None:
    receipts = update(obligations).where(obligations.c.kind == "receipt")
    ledger.database.write(
        lambda connection: connection.execute(receipts.values(discharged_at=None, due_at=0))
    )


def test_the_job_that_met_another_object_says_where() -> None:
    """What an archive's contradiction means for a job keeps its place, for the alert of its end."""
    assert as_job_error(Contradiction("india/a.zip", "another one stands there")).contradicts == (
        "india/a.zip"
    )
    assert as_job_error(Damaged("india/a.zip", "cut")).contradicts is None


def test_nights_that_can_not_be_planned_are_told(here: Callable[..., Ledger]) -> None:
    """Once for the account, however often beat ticks, and once more when they are planned again."""
    ledger = here(None, account_toml("india", VONAGE, {"timezone": ZONE, "catchup_days": 1}))
    # No day is before the first of the calendar: what can not be planned.
    never, now = datetime(1, 1, 1, tzinfo=UTC), datetime.now(UTC)
    before = current_app._get_current_object()
    Celery(broker="memory://").set_current()
    try:
        for at, opened in ((never, []), (never, []), (now, ["india"])):
            assert list(nightly.plan(at)["opened"]) == opened
    finally:
        before.set_current()
    assert [one["state"] for one in owed(ledger, "alert")] == ["open", "resolved"]
    assert owed(ledger, "alert")[1]["cause"] == "day:india:planning"


def test_the_address_is_a_secret(
    here: Callable[..., Ledger], receiver: AlertReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that quotes the whole address loses it."""
    here(receiver.url)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        our_logging.configure(secrets=settings().secret_values())
        logging.getLogger("x").error("at %s", receiver.url)
    finally:
        our_logging.configure()
        root.handlers[:], root.level = handlers, level
        logging.captureWarnings(False)
    assert "k3y" not in capsys.readouterr().err


def test_three_nights_of_one_incomplete_day(
    deploy: Callable[..., Deployment],
    simulators: Simulators,
    receiver: AlertReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real worker, a receiver that hangs, then fails, then takes: while it hangs the chain is
    written; three nights with the same day incomplete are one alert, its completion is another.
    """
    day = YESTERDAY - 3 * DAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    withheld = account.seed(day, ZONE, 3)[1]["id"]
    account.withhold(withheld, from_="everywhere")
    house = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 5}),
        settings={"ALERT_URL": receiver.url, "ALERT_SECRET": SECRET, "LOG_FORMAT": "json"},
    )
    receiver.meets = ["hang"]
    worker = house.worker()

    def kinds_owed() -> set[str]:
        return {one["kind"] for one in house.ledger.outbox.waiting()}

    with planner(house, monkeypatch) as plan:
        plan(day)
        settled(house, "india", day, "incomplete")
        eventually(lambda: receiver.received, what="nothing was sent")
        eventually(lambda: kinds_owed() == {"webhook"}, what="the chain waits for the receiver")
        assert house.run("verify", str(house.archive)).returncode == 0
        receiver.meets = [500]
        due_again(house.ledger)
        eventually(lambda: 500 in [met for met, *_ in receiver.received], what="not sent again")
        receiver.meets = [200]
        for night in (1, 2):
            plan(day + night * DAY)
            settled(house, "india", day + night * DAY, "complete")
            eventually(lambda count=night + 1: len(_runs(house, day)) == count)  # type: ignore[misc]
            settled(house, "india", day, "incomplete")
        account.release(withheld)
        plan(day + 3 * DAY)
        settled(house, "india", day, "complete")

    def nothing_owed() -> bool:
        due_again(house.ledger)
        return kinds_owed() == set()

    eventually(nothing_owed, what="something stayed owed")
    cause = f"day:india:{day}"
    taken = receiver.taken()
    assert [(one["state"], one["cause"]) for one in taken] == [("open", cause), ("resolved", cause)]
    assert [one["repeated"] for one in taken] == [0, 2]
    lines = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    alerts = [one for one in lines if one["logger"] == "earwitness.alerts"]
    assert [one["message"][:14] for one in alerts] == [
        f"day {day}"[:14],
        f"resolved: day {day}"[:14],
    ]
    assert {(one["account"], one["cause"]) for one in alerts} == {("india", cause)}
    assert all(one["job_id"] for one in alerts)
    assert "k3y-of-chat" not in worker.log()
    assert any("answered HTTP 500" in one["message"] for one in lines)


def _runs(house: Deployment, day: Any) -> list[Any]:
    jobs = house.ledger.jobs.jobs(kind="export.run", limit=500)
    return [job for job in jobs if job.parameters["day"] == day.isoformat() and job.ended]
