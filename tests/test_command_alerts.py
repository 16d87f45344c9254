"""``alerts``: what is open and what closes it, and the word of a person that something is over."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.alert_rules import missed_days
from ledger.alerts import Alert
from ledger.call_outcomes import KIND, UNKNOWN, Outcome
from ledger.core import states
from ledger.daily_quota import Cap

from .deployment import Deployment, account_toml
from .ledger_calls import owed
from .ledgers import running
from .waiting import LOADED_SECONDS

PHONE = "+34660111222"
WHO = ("--by", "ana", "--note", f"exported by hand; {PHONE} was told")
MISSED = missed_days("india", "2026-11-01", "2026-11-03")
CAP = Cap(9, "Europe/Madrid")
Shown = dict[str, dict[str, Any]]


@pytest.fixture
def house(deploy: Callable[..., Deployment]) -> Deployment:
    """A deployment without a worker, with a ledger of its own."""
    table = {"provider": "vonage", "username": "john", "password": "sesame-open"}
    login = {"client_id": "our-client", "client_secret": "sesame-shut"}
    made = deploy(account_toml("india", {**table, **login}))
    made.ledger.identity.prepare()
    return made


def shown(house: Deployment) -> Shown:
    """What the command tells programs, by cause."""
    done = house.run("alerts", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == int(bool(found)), done.stderr
    return {one["cause"]: one for one in found}


def failed(house: Deployment, request_id: str, error: str = "Damaged", **given: Any) -> str:
    """The id of a job that failed."""
    job, lease = running(house.ledger, request_id, **given)
    failure = {"type": error, "message": "not done: no"}
    house.ledger.execution.finish(lease, states.FAILED, reason="not done: no", error=failure)
    return job.job_id


def undecided(house: Deployment) -> str:
    """The id of a call of which nobody knows whether it was placed."""
    given = {"kind": KIND, "account": "legal", "parameters": {}}
    job, lease = running(house.ledger, "call", details=CAP, **given)
    house.ledger.calls.send(lease, CAP)
    outcome = Outcome(states.NEEDS_DECISION, UNKNOWN, "unknown: no answer")
    house.ledger.calls.store_outcome(lease, outcome, own_task=None)
    return job.job_id


def test_each_says_what_closes_it(house: Deployment) -> None:
    """The oldest first, each with what ends it, and its job's command where one does; numbers lose
    their digits. ``status`` and ``doctor`` name the command.
    """
    assert shown(house) == {}
    assert house.run("alerts").stdout == "no alert is open\n"
    refused = Alert("credentials:india", "credentials", "india", f"refused for {PHONE}")
    house.ledger.alerts.open(refused)
    house.ledger.alerts.open(refused)
    call, job = undecided(house), failed(house, "export")
    gone = failed(house, "late call", "Expired", kind=KIND, account="legal")
    day = {"day": "2026-11-09"}
    failed(house, "d", kind="recording.delete", parameters=day)
    night = failed(house, "day:2026-11-09#1", kind="export.run", parameters=day)
    house.ledger.identity.quarantine()
    house.ledger.alerts.open(MISSED)
    for cause in ("identity:redis", "late:c0ffee", "archive:india/a.zip"):
        told = Alert(f"contradiction:{cause}", "contradiction", "*", "other")
        house.ledger.alerts.open(told)
    house.ledger.alerts.open(Alert("day:india:planning", "day", "india", "not planned"))
    house.ledger.alerts.open(Alert("day:india:2026-10-01", "day", "india", "missed"))
    house.ledger.alerts.open(Alert("verification:*:ended", "verification", "*", "damage"))

    found = shown(house)

    first = next(iter(found.values()))
    assert (first["cause"], first["kind"], first["account"]) == (
        refused.cause,
        "credentials",
        "india",
    )
    assert (first["repeated"], first["message"]) == (1, "refused for ***222")
    assert first["since"] <= first["last_at"]
    said = {cause: one["closes"] for cause, one in found.items()}
    by_hand = "only --close"
    for cause, end in {
        refused.cause: "the provider accepts them",
        f"decision:{call}": f"earwitness resolve {call} --placed|--not-placed",
        f"job:{job}": f"earwitness retry {job}",
        f"job:{gone}": by_hand,
        "job:deletion:india:2026-11-09": by_hand,
        "day:india:2026-11-09": f"earwitness retry {night}",
        "quarantine": "earwitness quarantine --lift",
        MISSED.cause: "--account india --from 2026-11-01 --to 2026-11-03",
        "contradiction:identity:redis": "this deployment's mark",
        "contradiction:late:c0ffee": "earwitness retry c0ffee",
        "contradiction:archive:india/a.zip": by_hand,
        "day:india:planning": "are planned again",
        "day:india:2026-10-01": "--account india --from 2026-10-01 --to 2026-10-01",
        "verification:*:ended": "a later verification",
    }.items():
        assert end in said.pop(cause), cause
    assert said == {}
    people = house.run("alerts")
    assert people.returncode == 1
    assert all(cause in people.stdout for cause in found)
    assert PHONE not in people.stdout
    assert "earwitness alerts --close CAUSE" in people.stdout.splitlines()[-1]
    assert f"open alerts: {len(found)} since {first['since']}; see: earwitness alerts" in (
        house.run("status").stdout
    )
    (alerts,) = [
        one
        for one in json.loads(house.run("doctor", "--json").stdout)
        if one["subject"] == "alerts"
    ]
    assert alerts["meaning"].endswith("; see: earwitness alerts")


def test_a_person_closes_what_nothing_else_will(house: Deployment) -> None:
    """With Redis away too: it is gone from the list, the word is owed with who and why, and the
    same once more is refused, as is a cause that never was. Numbers in the note are not shown.
    """
    house.ledger.alerts.open(MISSED)
    house.valkey.stop()
    done = house.run("alerts", "--close", MISSED.cause, *WHO, within=LOADED_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    expected = f"alert {MISSED.cause} is closed by ana: exported by hand; ***222 was told\n"
    assert done.stdout == expected
    assert shown(house) == {}
    assert "open alerts" not in house.run("status").stdout
    assert [one["state"] for one in owed(house.ledger, "alert")] == ["open", "resolved"]
    for cause, said in (
        (MISSED.cause, f"alert {MISSED.cause} is not open; it was closed by ana at 20"),
        ("day:spain:nothing", "there is no alert 'day:spain:nothing'"),
    ):
        refused = house.run("alerts", "--close", cause, *WHO)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
        assert said in refused.stderr
    assert len(owed(house.ledger, "alert")) == 2
    house.ledger.alerts.open(MISSED)
    printed = json.loads(house.run("alerts", "--close", MISSED.cause, *WHO, "--json").stdout)
    assert (printed["cause"], printed["closed_by"]) == (MISSED.cause, "ana")
    assert printed["note"] == "exported by hand; ***222 was told"
    assert printed["closed_at"] >= printed["since"]


def test_what_still_stands_is_not_closed(house: Deployment) -> None:
    """A call that waits for its decision, and quarantine: each refusal is the command that ends
    it, and the alert is still there.
    """
    call = undecided(house)
    house.ledger.identity.quarantine()
    for cause, command in (
        (f"decision:{call}", f"earwitness resolve {call} --placed|--not-placed"),
        ("quarantine", "earwitness quarantine --lift --by WHO --note WHY"),
    ):
        refused = house.run("alerts", "--close", cause, *WHO)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
        assert cause in refused.stderr
        assert command in refused.stderr
        assert cause in shown(house)


def test_a_word_is_whole_or_refused(house: Deployment) -> None:
    """Which one, who and why are all asked for; without one of them nothing is closed."""
    house.ledger.alerts.open(MISSED)
    close = ("--close", MISSED.cause)
    for arguments, said in (
        ((*close, "--by", "ana"), "--by and --note"),
        ((*close, "--note", "seen"), "--by and --note"),
        ((*close, "--by", " ", "--note", "seen"), "--by"),
        ((*close, "--by", "ana", "--note", "x" * 1001), "--note"),
        (WHO, "--close"),
    ):
        refused = house.run("alerts", *arguments)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
        assert said in refused.stderr
    assert [one["cause"] for one in house.ledger.alerts.all_open()] == [MISSED.cause]
