"""``resolve``, and how ``status``, ``show`` and ``doctor`` say what waits for a decision."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.call_outcomes import PLACED, UNKNOWN, Outcome
from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.schema import audit
from ledger.daily_quota import Cap
from ledger.ledger import Ledger

from .deployment import Deployment, account_toml
from .ledgers import pass_time, running
from .waiting import LOADED_SECONDS

CAP = Cap(100, "Europe/Madrid")
PHONE = "+34660111222"
PLATFORM_PHONE = "912080202"
NOBODY_KNOWS = "unknown: certified call: HTTP 500 with an answer that is neither OK nor KO"
PARAMETERS = {
    "country": "ES",
    "phone": PHONE,
    "max_seconds": 120,
    "company_name": "Gil y Asociados",
    "company_id": "A4562154",
}
DECIDED = ("--by", "ana", "--note", "the panel shows it")
Asked = tuple[str, ...]


@pytest.fixture
def house(deploy: Callable[..., Deployment]) -> Deployment:
    """A deployment without a worker: an account for certified calls, a ledger of its own."""
    table = {
        "provider": "gsmblockchain",
        "base_url": "http://127.0.0.1:1/none",
        "username": "myuser",
        "password": "sesame-open",
        "timezone": "Europe/Madrid",
        "max_calls_per_day": 100,
        "max_seconds_per_call": 900,
        "countries": ["ES", "FR", "PT"],
    }
    return deploy(account_toml("legal", table))


def sent(house: Deployment, request_id: str) -> Lease:
    """A call whose request has left and whose answer is still to come: its sender's lease."""
    given = {"kind": "certified_call.request", "account": "legal", "parameters": PARAMETERS}
    _, lease = running(house.ledger, request_id, details=CAP, **given)
    house.ledger.calls.send(lease, CAP)
    return lease


def unknown(http_status: int = 500) -> Outcome:
    """What a sender stores that can not know whether the call was placed."""
    failure = {"type": "Uncertain", "message": NOBODY_KNOWS}
    answer = f"<html>call {PLATFORM_PHONE}\x1b[2J</html>".encode()
    return Outcome(
        states.NEEDS_DECISION,
        UNKNOWN,
        NOBODY_KNOWS,
        failure,
        http_status=http_status,
        answer=answer,
    )


def undecided(house: Deployment, request_id: str = "r1") -> Job:
    """A call of which nobody knows whether it was placed."""
    return house.ledger.calls.store_outcome(sent(house, request_id), unknown(), own_task=None)


def since(house: Deployment, job: Job) -> str:
    """When the job came to need a decision, by its history."""
    history = house.ledger.jobs.history(job.job_id)
    return next(str(one["at"]) for one in history if one["to"] == states.NEEDS_DECISION)


@pytest.mark.parametrize(
    ("outcome", "state"), [("--placed", states.DONE), ("--not-placed", states.FAILED)]
)
def test_resolve_ends_the_call_as_a_person_says(
    house: Deployment, outcome: str, state: str
) -> None:
    """With Redis away too: the job is done or failed, its history says by whom and why, a receipt
    is owed, and deciding the same once more changes nothing.
    """
    job = undecided(house)
    house.valkey.stop()
    done = house.run("resolve", "r1", outcome, *DECIDED, "--json", within=LOADED_SECONDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == state
    last = house.ledger.jobs.history(job.job_id)[-1]
    assert (last["from"], last["to"], last["by"]) == (states.NEEDS_DECISION, state, "ana")
    assert "the panel shows it" in last["why"]
    owed = {one["kind"]: one["count"] for one in house.ledger.outbox.waiting()}
    assert owed["receipt"] == 2
    history = house.ledger.jobs.history(job.job_id)
    again = house.run("resolve", job.job_id, outcome, *DECIDED)
    assert again.returncode == 0
    assert f"job {job.job_id} is {state}: " in again.stdout
    assert "decided by ana" in again.stdout
    assert ("use a new request id" in again.stdout) == (state == states.FAILED)
    assert house.ledger.jobs.history(job.job_id) == history
    other = "--placed" if outcome == "--not-placed" else "--not-placed"
    refused = house.run("resolve", "r1", other, *DECIDED)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert f"is {state}; only a call that needs a decision" in refused.stderr


def test_resolve_refuses_what_needs_no_decision(house: Deployment) -> None:
    """A call that is being sent, one that is placed, another kind of job, no job at all: one
    sentence, status 1, and nothing has changed.
    """
    placed = Outcome(states.DONE, PLACED, result={"platform_phone": None}, http_status=200)
    sent(house, "sending")
    house.ledger.calls.store_outcome(sent(house, "placed"), placed, own_task=None)
    running(house.ledger, "export")
    before = house.ledger.jobs.counts()
    for name, said in (
        ("sending", "is sending; only a call that needs a decision can be resolved"),
        ("placed", "is done; only a call"),
        ("export", "is running; only a call"),
        ("nobody", "no job has the id or request id 'nobody'"),
    ):
        refused = house.run("resolve", name, "--placed", *DECIDED)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
        assert said in refused.stderr
    assert house.ledger.jobs.counts() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (DECIDED, "either --placed or --not-placed"),
        (("--placed", "--not-placed", *DECIDED), "either --placed or --not-placed"),
        (("--placed", "--note", "seen"), "--by"),
        (("--placed", "--by", "ana"), "--note"),
        (("--placed", "--by", " ", "--note", "seen"), "--by"),
        (("--placed", "--by", "ana", "--note", "x" * 1001), "--note"),
    ],
)
def test_a_decision_is_whole_or_refused(house: Deployment, arguments: Asked, said: str) -> None:
    """Which of the two, who and why are all asked for; without one of them nothing is decided."""
    job = undecided(house)
    refused = house.run("resolve", "r1", *arguments)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert said in refused.stderr
    assert house.ledger.jobs.job(job.job_id).state == states.NEEDS_DECISION


def test_the_ledger_lists_what_waits_the_oldest_first(ledger: Ledger) -> None:
    """On either database: every undecided call with the moment at which it came to be one."""
    given = {"kind": "certified_call.request", "account": "legal", "parameters": PARAMETERS}
    waiting = []
    for request_id in ("r1", "r2"):
        pass_time(ledger, 60, audit.c.at)
        _, lease = running(ledger, request_id, details=CAP, **given)
        ledger.calls.send(lease, CAP)
        waiting.append(ledger.calls.store_outcome(lease, unknown(), own_task=None))
    found = ledger.jobs.undecided()
    assert [job for job, _ in found] == waiting
    assert 59 < found[1][1] - found[0][1] < 90
    ledger.operator_actions.resolve(waiting[0].job_id, placed=False, by="ana", note="seen")
    assert [job for job, _ in ledger.jobs.undecided()] == waiting[1:]


def test_status_begins_with_what_waits_for_a_decision(house: Deployment) -> None:
    """Each with its id, since when, and what to run; the oldest first, above the table. A late
    answer that says no more does not make it younger. Decided, it is not spoken of any more.
    """
    assert "DECISION" not in house.run("status").stdout
    lease = sent(house, "old")
    house.ledger.calls.store_outcome(lease, unknown(), own_task=None)
    pass_time(house.ledger, 7200, audit.c.at)
    late = undecided(house, "late")
    old = house.ledger.calls.store_outcome(lease, unknown(http_status=503), own_task=None)
    lines = house.run("status").stdout.splitlines()
    assert lines[0].startswith("NEEDS A DECISION: 2")
    assert f"{old.job_id} (certified_call.request of legal, old)" in lines[1]
    assert lines[1].endswith(f"since {since(house, old)}")
    assert lines[2].endswith(f"since {since(house, late)}")
    assert since(house, old) < since(house, late)
    above = lines[: next(n for n, line in enumerate(lines) if line.startswith("job "))]
    assert any("earwitness resolve JOB --placed|--not-placed" in line for line in above)
    printed = json.loads(house.run("status", "--state", "needs_decision", "--json").stdout)
    assert {job["job_id"] for job in printed} == {late.job_id, old.job_id}
    for job in (late, old):
        house.ledger.operator_actions.resolve(job.job_id, placed=True, by="ana", note="seen")
    assert "DECISION" not in house.run("status").stdout


def test_status_names_ten_and_counts_the_rest(house: Deployment) -> None:
    """Twelve that wait: ten lines, the number of the others, and how to see them."""
    for n in range(12):
        undecided(house, f"r{n}")
    said = house.run("status", "--limit", "1").stdout
    assert "NEEDS A DECISION: 12" in said
    assert said.count("of legal, r") == 10
    assert "and 2 more: earwitness status --state needs_decision" in said


def test_show_says_what_is_known_and_what_to_run(house: Deployment) -> None:
    """When it was sent and answered, with which status, and both commands; neither a number nor
    the answer's bytes without --reveal, which is noted.
    """
    job = undecided(house)
    shown = json.loads(house.run("show", "r1", "--json").stdout)
    known = house.ledger.calls.of_job(job.job_id)
    assert known is not None
    call = shown["call"]
    assert call == {**known, "answer": "***"}
    assert (call["outcome"], call["http_status"]) == ("unknown", 500)
    assert call["sent_at"]
    assert call["answered_at"]
    assert shown["decide"] == [
        f"earwitness resolve {job.job_id} {outcome} --by WHO --note WHY"
        for outcome in ("--placed", "--not-placed")
    ]
    said = house.run("show", "r1").stdout
    for value in ("unknown", call["sent_at"], call["answered_at"], "500", *shown["decide"]):
        assert value in said
    assert not_shown(said + json.dumps(shown))
    open_json = json.loads(house.run("show", "r1", "--reveal", "--json").stdout)
    assert open_json["call"] == known
    assert open_json["parameters"]["phone"] == PHONE
    revealed = house.run("show", "r1", "--reveal").stdout
    assert f"call {PLATFORM_PHONE}" in revealed
    assert "\x1b" not in revealed
    assert house.ledger.jobs.history(job.job_id)[-1]["why"] == "personal data revealed"


def not_shown(said: str) -> bool:
    """Whether none of the parties and none of their numbers is in what was said."""
    secrets = (PHONE, PHONE[3:], PLATFORM_PHONE, "Gil", "A4562154", "<html>")
    return not any(secret in said for secret in secrets)


def test_the_platforms_number_is_masked_wherever_a_job_is_shown(house: Deployment) -> None:
    """A placed call: ``status --json`` and ``show`` have its last three digits, --reveal all."""
    result: dict[str, Any] = {"state": "done", "platform_phone": PLATFORM_PHONE}
    placed = Outcome(
        states.DONE, PLACED, result=result, http_status=200, answer=b"{}",
        platform_phone=PLATFORM_PHONE,
    )  # fmt: skip
    house.ledger.calls.store_outcome(sent(house, "r1"), placed, own_task=None)
    (listed,) = json.loads(house.run("status", "--json").stdout)
    assert listed["result"] == {"state": "done", "platform_phone": "***202"}
    shown = json.loads(house.run("show", "r1", "--json").stdout)
    assert shown["result"] == listed["result"]
    assert shown["call"]["platform_phone"] == "***202"
    assert shown["decide"] == []
    said = house.run("show", "r1").stdout
    assert "resolve" not in said
    assert not_shown(said)
    revealed = json.loads(house.run("show", "r1", "--reveal", "--json").stdout)
    assert revealed["result"] == result
    assert revealed["call"]["platform_phone"] == PLATFORM_PHONE


def test_show_says_that_nothing_was_sent(house: Deployment) -> None:
    """A call that has not left says so; a job of another kind has nothing to say of a call."""
    given = {"kind": "certified_call.request", "account": "legal", "parameters": PARAMETERS}
    running(house.ledger, "r1", details=CAP, **given)
    running(house.ledger, "r2")
    assert "nothing was sent" in house.run("show", "r1").stdout
    assert json.loads(house.run("show", "r2", "--json").stdout)["call"] is None


def test_doctor_counts_what_waits_for_a_decision(house: Deployment) -> None:
    """How many, the oldest with its time, what that means, and what to do; without any, ok."""

    def decisions() -> dict[str, Any]:
        found = json.loads(house.run("doctor", "--json").stdout)
        (one,) = [one for one in found if one["subject"] == "decisions"]
        return dict(one)

    house.ledger.identity.prepare()
    assert decisions()["level"] == "ok"
    old = undecided(house, "old")
    pass_time(house.ledger, 7200, audit.c.at)
    undecided(house, "late")
    found = decisions()
    assert found["level"] == "warning"
    assert found["meaning"].startswith("2 wait")
    assert f"since {since(house, old)} ({old.job_id})" in found["meaning"]
    assert "they are not retried" in found["meaning"]
    assert "earwitness resolve" in found["advice"]
