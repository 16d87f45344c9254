"""Webhooks by the Standard Webhooks convention, checked by its reference library."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from config.exported import exported_settings, secrets_left_out
from config.reloading import reload_accounts
from config.settings import ConfigurationError, settings
from ledger.alerts import Alert
from ledger.core.outbox import NOTIFY
from ledger.core.schema import obligations
from ledger.ledger import Ledger
from tasks.runtime import context
from tasks.runtime.alerts import deliver_due
from tasks.runtime.arguments import NotifyWebhook
from tasks.runtime.deliveries import deliver_notifications
from tasks.runtime.outbox import discharge_due

from .alert_receiver import AlertReceiver
from .deployment import Deployment, account_toml
from .ledgers import pass_time
from .result_schemas import check
from .simulators import Simulators
from .test_notifications import refused_since
from .waiting import eventually

DAY_SECONDS = 86_400
SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes in all").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of thirty-two bytes!").decode()
KWARGS = {
    "job_id": "j",
    "request_id": "order-1",
    "kind": "recording.download",
    "state": "failed",
    "result": None,
    "error": {"type": "Rejected", "message": "not done: gone"},
}
Set = Callable[..., Ledger]


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    """An application that hears of jobs."""
    with AlertReceiver() as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Set]:
    """The process of the test as a worker with these settings."""
    (tmp_path / "accounts.toml").write_text("")
    monkeypatch.setenv("EARWITNESS_ARCHIVE_URL", str(tmp_path / "archive"))
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    monkeypatch.setenv("EARWITNESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")

    def configured(**given: str) -> Ledger:
        for name, value in given.items():
            monkeypatch.setenv(f"EARWITNESS_{name}", value)
        settings.cache_clear()
        context.ledger.cache_clear()
        context.ledger().identity.prepare()
        return context.ledger()

    yield configured
    context.ledger().close()
    context.ledger.cache_clear()
    settings.cache_clear()


def webhook(name: str, url: str, secret: str = SECRET) -> dict[str, str]:
    """The settings of a webhook."""
    return {f"WEBHOOKS__{name}__URL": url, f"WEBHOOKS__{name}__SECRET": secret}


def owe(ledger: Ledger, name: str, job_id: str = "j") -> None:
    """A job's end, of which a webhook is to hear."""
    payload = {**NotifyWebhook.model_construct(webhook=name).stored(), "kwargs": KWARGS}
    ledger.outbox.owe(job_id, "india", NOTIFY, payload)


def verified(one: tuple[Any, Any, bytes], secret: str | bytes = SECRET) -> Any:
    """The body of a request that the reference library finds genuine."""
    _, headers, body = one
    return Webhook(secret).verify(body, dict(headers))


@pytest.mark.parametrize("secret", [SECRET, "any words of old"])
def test_an_alert_is_signed_by_the_convention(
    here: Set, receiver: AlertReceiver, secret: str
) -> None:
    """The reference library finds an alert genuine, under its secret alone, and its id is the
    body's; a secret of another form is the key itself. The earlier headers stay.
    """
    ledger = here(ALERT_URL=receiver.url, ALERT_SECRET=secret)
    ledger.alerts.open(Alert("credentials:india", "credentials", "india", "refused"))
    ledger.alerts.close("credentials:india")
    discharge_due()
    while deliver_due():
        pass_time(ledger, 700, obligations.c.due_at)
    assert len(receiver.received) == 2
    key = secret if secret is SECRET else secret.encode()
    for one in receiver.received:
        body = verified(one, key)
        check("alert", body)
        assert one[1]["webhook-id"] == body["id"]
        assert one[1]["Earwitness-Signature"].startswith("v1=")
        with pytest.raises(WebhookVerificationError):
            verified(one, OTHER)


def test_a_webhook_hears_of_a_job_as_a_task_would(here: Set, receiver: AlertReceiver) -> None:
    """The same body as a notify task's arguments, signed; sent again after a failure, a redirect
    and a refusal under the same id, and no more once it was taken.
    """
    ledger = here(**webhook("ORDERS", receiver.url))
    owe(ledger, "orders")
    assert discharge_due() == 1
    receiver.meets = [500, 307, 400, 204]
    for shown in ("HTTP 500", "HTTP 307", "HTTP 400"):
        assert deliver_notifications() == 0
        (waiting,) = ledger.outbox.waiting()
        assert waiting["kind"] == "delivery"
        assert f"the webhook orders at 127.0.0.1 answered {shown}" in waiting["reason"]
        pass_time(ledger, 700, obligations.c.due_at)
    assert deliver_notifications() == 1
    assert deliver_notifications() == 0
    assert ledger.outbox.waiting() == []
    for one in receiver.received:
        assert verified(one) == KWARGS
        assert "Earwitness-Signature" not in one[1]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 1
    (told,) = ledger.notifications.of_job("j")
    assert (told.queue, told.state, told.attempts) == ("webhook:orders", "sent", 4)


def test_a_webhook_that_hangs_delays_no_other(here: Set, receiver: AlertReceiver) -> None:
    """One that does not answer is asked once in a round, however much waits for it; the others'
    notifications, and the alerts, are sent.
    """
    with AlertReceiver() as slow:
        slow.meets = ["hang"]
        ledger = here(**webhook("SLOW", slow.url), **webhook("ORDERS", receiver.url, OTHER))
        for number in range(5):
            owe(ledger, "slow", f"j{number}")
        owe(ledger, "orders")
        discharge_due()
        assert deliver_notifications() == 1
        assert len(slow.received) == 1
        assert verified(receiver.received[0], OTHER)["request_id"] == "order-1"
        (waiting,) = ledger.outbox.waiting()
        assert waiting["count"] == 5


def test_what_a_webhook_refuses_for_a_day_is_given_up_with_an_alert(
    here: Set, receiver: AlertReceiver
) -> None:
    """One alert names the webhook, which was removed from the settings; the next notification that
    is taken closes it.
    """
    ledger = here(**webhook("ORDERS", receiver.url))
    owe(ledger, "gone")
    discharge_due()
    deliver_notifications()
    assert receiver.received == []
    refused_since(ledger, DAY_SECONDS, kind="delivery")
    pass_time(ledger, 700, obligations.c.due_at)
    deliver_notifications()
    (opened,) = ledger.alerts.all_open()
    assert opened["cause"] == "notification:webhook:gone"
    assert "the settings define no webhook 'gone'" in opened["message"]
    assert "repair the webhook" in opened["message"]
    given_up = ledger.notifications.given_up()
    assert given_up is not None
    assert given_up["count"] == 1
    here(**webhook("GONE", receiver.url))
    owe(context.ledger(), "gone")
    discharge_due()
    assert deliver_notifications() == 1
    assert context.ledger().alerts.all_open() == []


def test_webhooks_are_read_anew_with_the_accounts(
    here: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new webhook is there after a reload, which names it and no secret; a wrong one changes
    nothing.
    """
    here(**webhook("ORDERS", "https://orders.example.com/hook"))
    for name, value in webhook("BILLING", "https://bills.example.com/hook?key=s3cr3t").items():
        monkeypatch.setenv(f"EARWITNESS_{name}", value)
    done = reload_accounts()
    assert done.webhooks == ("billing",)
    assert done.need_restart == ()
    shown = exported_settings(settings())
    assert "# EARWITNESS_WEBHOOKS__BILLING__SECRET=left out of this backup" in shown
    assert "EARWITNESS_WEBHOOKS__BILLING__URL" in secrets_left_out(settings())
    assert "bills.example.com" not in shown
    assert str(done) == "accounts reloaded: nothing changed; webhooks reloaded: billing"
    assert set(settings().webhooks) == {"billing", "orders"}
    assert {SECRET, "https://bills.example.com/hook?key=s3cr3t"} <= set(settings().secret_values())
    monkeypatch.setenv("EARWITNESS_WEBHOOKS__BILLING__SECRET", "whsec_c2hvcnQ=")
    with pytest.raises(ConfigurationError, match="WEBHOOKS__BILLING__SECRET does not hold 24"):
        reload_accounts()
    assert settings().webhooks["billing"].secret.get_secret_value() == SECRET


def test_an_application_without_a_worker_hears_of_a_job_s_end(
    deploy: Callable[..., Deployment], simulators: Simulators, receiver: AlertReceiver
) -> None:
    """A real worker: the end of a download reaches the webhook, with the head of the chain, which
    an earlier one has begun. A webhook that the settings do not define, and an address in a
    message, are refused.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    earlier = str(account.add({"start": "2026-11-12T05:00:00+00:00"})["id"])
    recording = str(account.add({"start": "2026-11-12T06:00:00+00:00"})["id"])
    house = deploy(
        account_toml("india", account.configuration()), settings=webhook("ORDERS", receiver.url)
    )
    worker = house.worker()
    asked = {"account": "india", "recording_id": recording}
    with house.producer() as app:
        first = house.send(app, "recording.download", account="india", recording_id=earlier)
        first.get(timeout=60)
        eventually(lambda: not house.ledger.outbox.waiting(), what="there is no chain yet")
        house.send(
            app, "recording.download", **asked, request_id="r1", notify={"webhook": "orders"}
        )
        for wrong in ("nowhere", receiver.url):
            refused = house.send(app, "recording.download", **asked, notify={"webhook": wrong})
            ended = refused.get(timeout=30, propagate=False)
            assert str(ended).startswith("not done: notify.webhook: is not the name of a webhook")
        eventually(lambda: receiver.received, within=60, what="the webhook heard nothing")
        result = house.send(app, "recording.download", **asked, request_id="r1").get(timeout=60)
    told = verified(receiver.received[0])
    check("notify", told)
    assert (told["request_id"], told["state"], told["error"]) == ("r1", "done", None)
    assert told["job_id"] == result.pop("job_id")
    assert len(told["result"].pop("chain_head")) == 64
    assert told["result"] == result
    assert "webhook:orders" in house.run("show", told["job_id"]).stdout
    assert "k3y-of-chat" not in worker.log()
    assert SECRET not in json.dumps(house.ledger.jobs.history(told["job_id"])) + worker.log()
