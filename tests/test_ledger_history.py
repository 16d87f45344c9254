"""What the ledger says about a span of time, on both databases."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ledger.alerts import EVERY_ACCOUNT, Alert
from ledger.call_outcomes import UNKNOWN, Outcome
from ledger.core import states
from ledger.core.schema import alerts, audit
from ledger.daily_quota import Cap
from ledger.ledger import Ledger

from .ledgers import claim_job, ended, opened, pass_time, running, with_parts

CAP = Cap(100, "Europe/Madrid")
DAY = 86_400
CALL = {"kind": "certified_call.request", "account": "legal"}


def decided(ledger: Ledger, request_id: str, *, placed: bool) -> str:
    """A call about which a person has decided; its job."""
    _, lease = running(ledger, request_id, details=CAP, **CALL)
    ledger.calls.send(lease, CAP)
    unknown = Outcome(
        states.NEEDS_DECISION, UNKNOWN, "why", {"type": "Uncertain", "message": "why"}
    )
    job = ledger.calls.store_outcome(lease, unknown, own_task=None)
    ledger.operator_actions.resolve(job.job_id, placed=placed, by="ana", note="in the panel")
    return job.job_id


@pytest.mark.parametrize("noise", [0, 1, 7])
def test_decisions_of_a_span(ledger: Ledger, noise: int) -> None:
    """Those made within it alone, in order, whatever else happened between them."""
    for number in range(noise):
        ended(ledger, f"before-{number}")
    decided(ledger, "early", placed=True)
    pass_time(ledger, 10 * DAY, audit.c.at)
    first, second = decided(ledger, "a", placed=True), decided(ledger, "b", placed=False)
    for number in range(noise):
        ended(ledger, f"between-{number}")
    pass_time(ledger, 10 * DAY, audit.c.at)
    decided(ledger, "late", placed=True)
    now = ledger.database.time()

    found = ledger.history.decisions(now - 15 * DAY, now - 5 * DAY)
    assert [(one.job.job_id, one.job.state, one.by) for one in found] == [
        (first, states.DONE, "ana"),
        (second, states.FAILED, "ana"),
    ]
    assert len(ledger.history.decisions(0, now + DAY)) == 4
    assert ledger.history.decisions(0, now + DAY, "another") == []
    assert ledger.history.decisions(now + DAY, now + 2 * DAY) == []


def test_a_ledger_that_was_never_used_has_no_history(ledger: Ledger) -> None:
    """Nothing is found, and nothing fails."""
    history = ledger.history
    assert history.decisions(0, 2e9) == []
    assert history.alerts(0) == []
    assert history.certified_calls(date(2026, 1, 1), date(2026, 12, 31)) == []
    assert history.waiting() == []
    assert history.stored_bytes([]) == {}
    assert history.last_verification() is None
    assert history.chain_heads() == []


def test_alerts_of_a_span(ledger: Ledger) -> None:
    """Those that are open, however old, and those closed since; an account's with those of all."""
    for cause, account in (("a", "india"), ("b", "india"), ("c", "india"), ("d", EVERY_ACCOUNT)):
        ledger.alerts.open(Alert(cause, "day", account, "message"))
    ledger.alerts.close("a")
    pass_time(ledger, 10 * DAY, alerts.c.closed_at, alerts.c.opened_at)
    ledger.alerts.close("b")
    begin = ledger.database.time() - DAY
    assert {one["cause"] for one in ledger.history.alerts(begin)} == {"b", "c", "d"}
    assert [one["closed_at"] is None for one in ledger.history.alerts(begin)] == [True, True, False]
    assert {one["cause"] for one in ledger.history.alerts(begin, "other")} == {"d"}


def test_open_jobs_certified_calls_and_stored_bytes(ledger: Ledger) -> None:
    """Counted by account, kind and state; by day; and by the job whose parts stored them."""
    opened(ledger, "waits")
    running(ledger, "runs")
    ended(ledger, "over")
    parent, parts = with_parts(ledger, 4)
    for number, part in enumerate(parts[:2]):
        _, lease = claim_job(ledger, part.job_id)
        ledger.execution.finish(lease, states.DONE, result={"bytes": 5_000_000_000 + number})
    _, lease = claim_job(ledger, parts[2].job_id)
    ledger.execution.note(lease, {"bytes": 7})
    ledger.execution.finish(lease, states.DONE, result={"archived": 2})
    running(ledger, "call", details=CAP, **CALL)

    counted = {(one.kind, one.state): one.jobs for one in ledger.history.waiting()}
    assert counted == {
        ("export.create", states.PENDING): 1,
        ("export.create", states.RUNNING): 1,
        ("export.run", states.WAITING): 1,
        ("export.retrieve", states.PENDING): 1,
        ("certified_call.request", states.RUNNING): 1,
    }
    today = CAP.day(ledger.database.time())
    (row,) = ledger.history.certified_calls(today - timedelta(days=1), today)
    assert (row.account, row.day, row.calls) == ("legal", today, 1)
    many = [parent.job_id, *(f"none-{number}" for number in range(1200))]
    assert ledger.history.stored_bytes(many) == {parent.job_id: 10_000_000_008}


def test_the_last_verification(ledger: Ledger) -> None:
    """The one of the whole archive that ended last, whether it found anything or not."""
    verification = {"kind": "archive.verify", "account": EVERY_ACCOUNT}
    ended(ledger, "first", **verification)
    last = ended(ledger, "second", states.FAILED, **verification)
    opened(ledger, "third", **verification)
    ended(ledger, "of one", kind="archive.verify")
    found = ledger.history.last_verification()
    assert found is not None
    assert found.job_id == last.job_id
