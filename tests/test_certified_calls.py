"""Certified calls through a real worker: what callers are told, and what is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery

from .certified_calls import ASKED, CallHouse, call_house
from .deployment import Deployment
from .recent_days import ZONE
from .servers import free_port
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually


@pytest.fixture
def calling(deploy: Callable[..., Deployment], simulators: Simulators) -> CallHouse:
    """A house with one worker that runs."""
    made = call_house(deploy, simulators)
    made.house.worker()
    return made


@pytest.fixture
def caller(calling: CallHouse) -> Iterator[Celery]:
    """Another application, which enqueues."""
    with calling.house.producer() as app:
        yield app


def test_a_call_is_placed_and_its_receipt_is_chained(calling: CallHouse, caller: Celery) -> None:
    """The caller is given the platform's number; the receipt holds the request and the answer's
    bytes, and lies under the chain.
    """
    told = calling.ask(caller, "r1").get(timeout=LOADED_SECONDS)
    job = calling.in_state("r1", "done")
    call = calling.platform.calls()[0]
    assert told == {
        "job_id": job.job_id,
        "state": "done",
        "platform_phone": call["platform_phone"],
    }
    assert (call["country"].upper(), call["phone"], call["max_seconds"]) == ("ES", "660111222", 120)
    assert (call["company_name"], call["company_id"]) == ("MyCompany", "A4562154")
    receipt = eventually(calling.receipts)[0]
    assert receipt["outcome"] == "placed"
    assert receipt["phone"] == "+34660111222"
    assert receipt["platform_phone"] == call["platform_phone"]
    assert receipt["http_status"] == 200
    eventually(lambda: not calling.house.ledger.outbox.waiting())
    verified = calling.house.run("verify", str(calling.house.archive))
    assert verified.returncode == 0, verified.stdout


def test_the_same_request_again_replays_the_first_outcome(
    calling: CallHouse, caller: Celery
) -> None:
    """Under any task id, in another notation of the same number, whatever the first outcome was."""
    first = calling.ask(caller, "r1").get(timeout=LOADED_SECONDS)
    again = calling.ask(caller, "r1", phone="+34 660 111 222", country="es").get(
        timeout=LOADED_SECONDS
    )
    assert again == first
    calling.platform.fault("call", "ko", message="no credit")
    for _ in range(2):
        with pytest.raises(Exception, match=r"not done: .*no credit") as refused:
            calling.ask(caller, "r2").get(timeout=60)
        assert type(refused.value).__name__ == "Rejected"
    assert calling.placed() == 1


def test_the_same_id_with_other_parameters_is_a_conflict(
    calling: CallHouse, caller: Celery
) -> None:
    """Nothing is sent, and the first job stays as it is."""
    calling.ask(caller, "r1").get(timeout=60)
    with pytest.raises(Exception, match=r"not done: .*other parameters") as refused:
        calling.ask(caller, "r1", max_seconds=60).get(timeout=60)
    assert type(refused.value).__name__ == "RequestConflict"
    assert calling.placed() == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"phone": "0611"}, "phone: "),
    ({"phone": "+351 912 345 678"}, "phone: the phone belongs to another country (PT), not to ES"),
    (
        {"country": "FR", "phone": "+34660111222"},
        "country, phone: the phone belongs to another country (ES), not to FR",
    ),
    (
        {"country": "FR", "phone": "0034 660 111 222"},
        "country, phone: the phone belongs to another country (ES), not to FR",
    ),
    ({"country": "PT", "phone": "+34660111222"}, "country, phone: "),
    ({"country": "AD", "phone": "312345"}, "country: account 'legal' may call ES, FR, PT only"),
    ({"country": "XX"}, "country: the country is unknown"),
    ({"country": "ESP"}, "country: "),
    ({"max_seconds": 901}, "max_seconds: account 'legal' allows at most 900"),
    ({"max_seconds": 0}, "max_seconds: "),
    ({"max_seconds": "120"}, "max_seconds: "),
    ({"company_name": None}, "company_name: neither the task nor account 'legal'"),
    ({"account": "nobody"}, "account: no account is called 'nobody'"),
    ({"request_id": "day:1"}, "request_id: "),
    ({"wrong": 1}, "wrong: "),
    ({"not_after": "2026-11-21T10:00:00"}, "not_after: "),
]


def test_a_bad_argument_is_named_and_changes_nothing(calling: CallHouse, caller: Celery) -> None:
    """The error names the argument without the number; no job is opened."""
    for given, named in BAD:
        with pytest.raises(Exception, match=r"^not done: ") as refused:
            calling.ask(caller, **{"request_id": "bad", **given}).get(timeout=60)
        assert type(refused.value).__name__ == "InvalidArgument", given
        assert named in str(refused.value)
        assert str(given.get("phone", "nothing")) not in str(refused.value)
    assert calling.house.ledger.jobs.jobs() == []
    assert calling.placed() == 0


def test_an_account_calls_its_countries_only(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """``countries`` and the account's own company hold for every task."""
    calling = call_house(deploy, simulators, countries=["PT"], company_name="Ours", company_id="B1")
    calling.house.worker()
    with calling.house.producer() as app:
        with pytest.raises(Exception, match="country: account 'legal' may call PT only, not ES"):
            calling.ask(app, "r1").get(timeout=60)
        kept = {"phone": "912345678", "country": "pt", "company_name": None, "company_id": None}
        calling.ask(app, "r2", **kept).get(timeout=60)
    call = calling.platform.calls()[0]
    assert (call["company_name"], call["company_id"], call["phone"]) == ("Ours", "B1", "912345678")


#: What the platform does, and whether the call was counted by it.
UNKNOWN = {
    "hang before": (("hang", {"seconds": 60.0, "when": "before"}), None),
    "hang after": (("hang", {"seconds": 60.0, "when": "after"}), None),
    "reset before": (("reset", {"when": "before"}), None),
    "reset after": (("reset", {"when": "after"}), None),
    "closed": (("close", {"when": "after"}), None),
    "cut": (("cut", {"after_bytes": 5}), 200),
    "html": (("answer", {"status": 200, "body": "html", "when": "after"}), 200),
    "nothing": (("answer", {"status": 200, "body": "empty", "when": "after"}), 200),
    **{
        str(status): (("answer", {"status": status, "body": "empty", "when": "after"}), status)
        for status in (201, 301, 302, 303, 307, 308, 400, 401, 403, 404, 429, *range(500, 512), 599)
    },
}


def test_what_nobody_can_know_waits_for_a_decision_and_is_never_tried_again(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """Timeouts, resets, redirects, 429, every 5xx and unreadable answers: one request each, then
    *needs decision*, after ten sweeps, a restart of the worker and a flush as well.
    """
    # Two of the requests hang for this long. An answer that takes longer does not count.
    calling = call_house(deploy, simulators, timeout_seconds=8)
    worker = calling.house.worker()
    with calling.house.producer() as app:
        for name, ((kind, parameters), _) in UNKNOWN.items():
            request_id = name.replace(" ", "-")
            calling.platform.fault("call", kind, **parameters)
            asked = calling.ask(app, request_id)
            with pytest.raises(
                Exception, match=r"^unknown: the certified call may have been placed"
            ) as uncertain:
                asked.get(timeout=60)
            assert type(uncertain.value).__name__ == "Uncertain", name
            assert "not retried" in str(uncertain.value)
            calling.house.ledger.accounts.resume("legal")
        sent = len(_requests(simulators))
        worker.stop()
        calling.house.valkey.client().flushall()
        calling.house.worker("again")
        _sweeps(calling, 10)
    for name, (_, status) in UNKNOWN.items():
        job = calling.in_state(name.replace(" ", "-"), "needs_decision")
        known = calling.house.ledger.calls.of_job(job.job_id)
        assert known is not None
        assert (known["outcome"], known["http_status"]) == ("unknown", status), name
    assert len(_requests(simulators)) == sent == len(UNKNOWN)
    eventually(lambda: len(calling.receipts()) == len(UNKNOWN))
    assert {receipt["outcome"] for receipt in calling.receipts()} == {"unknown"}


def test_a_platform_that_asks_to_wait_rests_for_every_call(
    calling: CallHouse, caller: Celery
) -> None:
    """After a 429 the other calls of the account are held back, and placed when it is over."""
    answer = {"status": 429, "body": "empty", "retry_after": 12, "when": "before"}
    calling.platform.fault("call", "answer", **answer)
    with pytest.raises(Exception, match="429"):
        calling.ask(caller, "r1").get(timeout=60)
    pause = calling.house.ledger.accounts.pause("legal")
    assert pause is not None
    waiting = calling.ask(caller, "r2")
    calling.in_state("r2", "waiting")
    assert calling.placed() == 0
    waiting.get(timeout=60)
    assert calling.house.ledger.accounts.pause("legal") is None
    assert calling.placed() == 1


def test_wrong_credentials_fail_and_are_not_tried_again(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """The caller learns that it was not done, and whose fault it was; the password stays away."""
    calling = call_house(deploy, simulators, password="mistyped-secret")
    worker = calling.house.worker()
    with (
        calling.house.producer() as app,
        pytest.raises(Exception, match=r"^not done: ") as refused,
    ):
        calling.ask(app, "r1").get(timeout=60)
    assert type(refused.value).__name__ == "BadCredentials"
    calling.in_state("r1", "failed")
    assert eventually(calling.receipts)[0]["outcome"] == "refused"
    assert "mistyped-secret" not in worker.log()


@pytest.mark.parametrize("ready_first", [True, False])
def test_a_platform_that_can_not_be_reached_is_tried_again_until_not_after(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Any, ready_first: bool
) -> None:
    """Refused connections are no requests: the call is placed once the platform is back, and ends
    *failed* (Expired) without a call where that is too late.
    """
    port = free_port()
    calling = call_house(deploy, simulators)
    address = f"http://127.0.0.1:{port}/gsmblockchain"
    text = calling.house.accounts_file.read_text()
    calling.house.accounts_file.write_text(
        text.replace(calling.platform.configuration()["base_url"], address)
    )
    calling.house.worker()
    later = datetime.now(UTC) + timedelta(seconds=60 if ready_first else 12)
    with calling.house.producer() as app:
        asked = calling.ask(app, "r1", not_after=later.isoformat())
        assert "tried again" in str(calling.in_state("r1", "waiting").reason)
        if ready_first:
            back = Simulators(port=port, data=tmp_path / "other")
            # The account exists before the platform answers: an earlier call would be refused.
            account = back.gsmblockchain.account(
                username=calling.platform.username, password=calling.platform.password
            )
            with back:
                assert asked.get(timeout=60)["state"] == "done"
                assert len(account.calls()) == 1
        else:
            with pytest.raises(Exception, match=r"^not done: not_after has passed") as expired:
                asked.get(timeout=60)
            assert type(expired.value).__name__ == "Expired"
            calling.in_state("r1", "failed")
    assert calling.placed() == 0
    assert (calling.receipts() == []) is not ready_first or ready_first


def test_expires_of_a_message_is_its_not_after(calling: CallHouse, caller: Celery) -> None:
    """Celery would drop such a message without a word; here the job is there, and has failed."""
    asked = calling.ask(caller, "r1", expires=datetime.now(UTC) - timedelta(seconds=5))
    with pytest.raises(Exception, match=r"^not done: not_after has passed"):
        asked.get(timeout=60)
    calling.in_state("r1", "failed")
    assert calling.placed() == 0


def test_a_cancelled_call_is_not_placed(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """While it waits it is cancelled at once; its place under the cap is free again."""
    calling = call_house(
        deploy,
        simulators,
        max_calls_per_day=1,
        timezone=ZONE,
        base_url=f"http://127.0.0.1:{free_port()}",
    )
    calling.house.worker()
    with calling.house.producer() as app:
        calling.ask(app, "r1")
        job = calling.in_state("r1", "waiting")
        with pytest.raises(Exception, match="has reached its 1 certified call for"):
            calling.ask(app, "r2").get(timeout=60)
        calling.house.ledger.operator_actions.cancel(job.job_id, by="test")
        calling.ask(app, "r2")
        calling.in_state("r2", "waiting")


def test_the_task_is_told_to_notify_at_its_end_and_at_a_decision(
    calling: CallHouse, caller: Celery
) -> None:
    """``notify`` is sent at *needs decision*, and again at the end that a person decides."""
    calling.platform.fault("call", "answer", status=500, body="empty", when="after")
    notify = {"task": "crm.told", "queue": "crm"}
    with pytest.raises(Exception, match=r"^unknown"):
        calling.ask(caller, "r1", notify=notify).get(timeout=60)
    eventually(lambda: calling.house.valkey.client().llen("crm") == 1)
    job = calling.in_state("r1", "needs_decision")
    calling.house.ledger.operator_actions.resolve(job.job_id, placed=True, by="ana", note="seen")
    eventually(lambda: calling.house.valkey.client().llen("crm") == 2)


def test_defaults_are_part_of_what_is_asked(calling: CallHouse, caller: Celery) -> None:
    """The job's id is known beforehand, and its parameters are canonical."""
    calling.ask(caller, "r1", phone="+34660111222").get(timeout=60)
    job = calling.job("r1")
    assert job is not None
    assert job.parameters["phone"] == "+34660111222"
    assert job.parameters["company_name"] == ASKED["company_name"]
    assert job.not_after is not None
    assert 890 < job.not_after - job.created_at < 910


def _requests(simulators: Simulators) -> list[Any]:
    return [
        record
        for record in simulators.log
        if record.get("provider") == "gsmblockchain" and record.get("operation") == "call"
    ]


def _sweeps(calling: CallHouse, rounds: int) -> None:
    """Wait until a worker has swept so many times: each round discharges what is owed."""
    for number in range(rounds):
        job = calling.house.ledger.jobs.jobs()[0]
        calling.house.ledger.outbox.owe(
            job.job_id, "legal", "alert", {"message": f"round {number}"}
        )
        eventually(lambda: not calling.house.ledger.outbox.waiting())
        time.sleep(0)
