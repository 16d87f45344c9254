"""Messages with ``eta``, ``countdown`` or ``expires``: accepted at once, carried out when due."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from celery.result import AsyncResult

from ledger.core.schema import jobs

from .certified_calls import ASKED, call_house
from .ledgers import pass_time
from .simulators import Simulators
from .test_forged_hints import message
from .test_tasks import DAY, Deploy, opened
from .waiting import eventually

_MANY = 300
_HOUR = 3600


def _later(house: Any, seconds: float) -> None:
    """As if so much time had gone by for every job that waits."""
    pass_time(house.ledger, seconds, jobs.c.next_attempt_at, jobs.c.not_after)


def _nothing_in_hand(app: Any) -> None:
    client = app.backend.client

    def clear() -> bool:
        return not client.llen("earwitness") and not client.hlen("earwitness.unacked")

    eventually(clear, within=60, what="messages are held")


def test_three_hundred_messages_with_a_countdown_are_three_hundred_jobs(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Each is a row that waits as soon as it is sent, and no message is held for it; sent twice, it
    is one job; each is done once when it is due, and none before.
    """
    calling = call_house(deploy, simulators, max_calls_per_day=_MANY)
    worker = calling.house.worker()
    with calling.house.producer() as app:
        asked = [_ask(app, number, countdown=_HOUR) for number in range(_MANY)]
        for number in range(0, _MANY, 3):
            _ask(app, number, countdown=_HOUR)
        eventually(
            lambda: calling.house.ledger.jobs.counts().get("waiting") == _MANY,
            what="not every message became a job that waits",
        )
        _nothing_in_hand(app)
        assert calling.house.ledger.jobs.counts() == {"waiting": _MANY}
        assert calling.placed() == 0
        eventually(lambda: asked[7].state == "RETRY", what="it is not shown as waiting")
        job = calling.job("call-7")
        assert job is not None
        assert str(job.reason).startswith("waits until 20")
        assert job.not_after is not None
        assert job.next_attempt_at is not None
        assert job.not_after - job.next_attempt_at == pytest.approx(900)
        _later(calling.house, _HOUR)
        for one in asked:
            assert one.get(timeout=90)["state"] == "done"
        assert calling.house.ledger.jobs.counts() == {"done": _MANY}
    assert calling.placed() == _MANY
    assert "Traceback" not in worker.log()


def _ask(app: Any, number: int, **options: Any) -> AsyncResult:
    return app.send_task(
        "earwitness.certified_call.request",
        kwargs={**ASKED, "request_id": f"call-{number}"},
        queue="earwitness",
        **options,
    )


def test_the_headers_of_time_are_heeded_or_refused_by_name(
    deploy: Deploy, simulators: Simulators
) -> None:
    """What has passed runs at once; what cannot be read, or lies more than a year ahead, is
    refused under its name; a list does not wait; what expires before it is due ends so at once.
    """
    calling = call_house(deploy, simulators)
    calling.house.worker()
    now = datetime.now(UTC)
    with calling.house.producer() as app:

        def ended(name: str, **headers: Any) -> Any:
            kwargs = {**ASKED, "request_id": name}
            client = app.backend.client
            client.lpush("earwitness", _with(kwargs, "certified_call.request", name, **headers))
            return AsyncResult(name, app=app).get(timeout=30, propagate=False)

        past = (now - timedelta(days=3), "2026-11-10T10:00:00", "1969-01-01T00:00:00Z", "20261110")
        for number, eta in enumerate(past):
            said = eta if isinstance(eta, str) else eta.isoformat()
            assert ended(f"past-{number}", eta=said)["state"] == "done", eta
        strange = ("soon", "", 5, True, [], {}, "2026-13-45T00:00:00", "9" * 400, "\ud800", inf)
        for number, value in enumerate(strange):
            for name in ("eta", "expires"):
                found = ended(f"{name}-{number}", **{name: value})
                assert type(found).__name__ == "InvalidArgument", (name, value, found)
                assert str(found).startswith(f"not done: {name}: "), found
        far = ended("far", eta=(now + timedelta(days=400)).isoformat())
        assert "not done: eta: " in str(far)
        assert "more than a year ahead" in str(far)
        due, over = (now + timedelta(minutes=m) for m in (60, 30))
        void = ended("void", eta=due.isoformat(), expires=over.isoformat())
        assert type(void).__name__ == "Expired"
        assert "before it is due" in str(void)
        late = ended("late", expires=(now - timedelta(minutes=1)).isoformat())
        assert type(late).__name__ == "Expired"
        assert calling.placed() == len(past)
        listed = app.send_task(
            "earwitness.job.status", kwargs={"job_id": "x"}, queue="earwitness", countdown=60
        ).get(timeout=30, propagate=False)
        assert type(listed).__name__ == "InvalidArgument"
        assert str(listed).startswith("not done: eta: job.status opens no job")
        _nothing_in_hand(app)
    assert {job.request_id for job in calling.house.ledger.jobs.jobs()} == {
        *(f"past-{number}" for number in range(len(past))),
        "void",
        "late",
    }


def _with(kwargs: dict[str, Any], task: str, task_id: str, **headers: Any) -> str:
    """A message with these arguments and headers."""
    made = json.loads(message(task, task_id, **headers))
    made["properties"]["body_encoding"] = None
    made["body"] = json.dumps([[], kwargs, {}])
    return json.dumps(made)


def test_a_call_that_waits_is_one_call_whoever_asks_again(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Asked again without a countdown it goes on waiting for its time. Two that wait are cancelled,
    one of them by Celery's revoke, long before they are due; one that is due in two seconds is
    placed by itself. The cap counts each on the day on which it is due.
    """
    calling = call_house(deploy, simulators, max_calls_per_day=3)
    calling.house.worker()
    in_a_week = datetime.now(UTC) + timedelta(days=7)
    with calling.house.producer() as app:
        first = _ask(app, 1, countdown=_HOUR)
        calling.in_state("call-1", "waiting")
        again = _ask(app, 1)
        eventually(lambda: again.state == "RETRY", what="it did not join")
        _ask(app, 2, countdown=_HOUR)
        waiting = calling.in_state("call-2", "waiting")
        stopped = app.send_task(
            "earwitness.job.cancel", kwargs={"job_id": waiting.job_id}, queue="earwitness"
        )
        assert stopped.get(timeout=60)["state"] == "cancelled"
        revoked = _ask(app, 8, countdown=_HOUR)
        calling.in_state("call-8", "waiting")
        revoked.revoke()
        calling.in_state("call-8", "cancelled")
        assert _ask(app, 3, countdown=2).get(timeout=60)["state"] == "done"
        for number in range(4, 7):
            _ask(app, number, eta=in_a_week)
            calling.in_state(f"call-{number}", "waiting")
        refused = _ask(app, 7, eta=in_a_week).get(timeout=30, propagate=False)
        assert type(refused).__name__ == "CapReached"
        assert str(refused).endswith("for another day")
        assert calling.placed() == 1
        calling.house.ledger.database.write(
            lambda connection: connection.execute(
                jobs.update()
                .where(jobs.c.request_id == "call-1")
                .values(next_attempt_at=jobs.c.next_attempt_at - _HOUR)
            )
        )
        assert first.get(timeout=60)["platform_phone"] == again.get(timeout=60)["platform_phone"]
    assert calling.placed() == 2


def test_exports_downloads_and_verifications_wait_too(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Tasks of every kind that opens a job, a day's export too: nothing is asked of the provider
    before they are due, `status` says until when they wait, and then each is done.
    """
    with opened(deploy, simulators) as house:

        def ask(task: str, **kwargs: Any) -> AsyncResult:
            return house.app.send_task(
                f"earwitness.{task}", kwargs=kwargs, queue="earwitness", countdown=_HOUR
            )

        asked = [
            ask("export.run", account="india", day=DAY.isoformat()),
            ask("recording.download", account="india", recording_id=house.ids[0]),
            ask("export.create", account="india", filters={}),
            ask("archive.verify"),
        ]
        ledger = house.house.ledger
        eventually(lambda: ledger.jobs.counts().get("waiting") == 4, what="not all wait")
        _nothing_in_hand(house.app)
        assert "waits until 20" in house.house.run("status").stdout
        assert {job.attempts for job in ledger.jobs.jobs()} == {0}
        _later(house.house, _HOUR)
        for one in asked:
            assert one.get(timeout=60)["job_id"]


def test_no_night_passes_over_a_day_that_was_asked_for_later(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A day's export is asked for in ten days: the next night exports it all the same."""
    with opened(deploy, simulators) as house:
        house.app.send_task(
            "earwitness.export.run",
            kwargs={"account": "india", "day": DAY.isoformat()},
            queue="earwitness",
            countdown=10 * 86_400,
        )
        ledger = house.house.ledger
        (job,) = eventually(lambda: ledger.jobs.jobs(state="waiting"), what="it does not wait")
        (row,) = ledger.days.of("india", DAY, DAY)
        tonight = datetime.now(UTC).date() + timedelta(days=2)
        nothing: Any = None
        planned = {"catchup_days": 9_999, "request_for": nothing, "by": "night"}
        assert ledger.days.plan("india", [], night=DAY, **planned) == []
        assert ledger.jobs.job(job.job_id).state == "waiting"
        assert ledger.days.plan("india", [row], night=tonight, **planned) == []
        eventually(lambda: ledger.jobs.job(job.job_id).state == "done", what="it was not exported")
