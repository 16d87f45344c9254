"""Export jobs of the Vonage simulator that go wrong, and statuses that mislead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from tests.simulators import Simulators
from tests.simulators.doors import AccountDoor
from tests.visitor import COMPANY, ON_DEMAND, Visitor

DAY = date(2026, 11, 19)
ZONE = "Europe/Madrid"


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulators]:
    """One entrance for all tests of this file, each with an account of its own."""
    with Simulators() as running:
        yield running


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """A global account with 10 company recordings of a day and 4 on-demand ones of its user."""
    made = simulators.vonage.account(region="global")
    made.seed(DAY, ZONE, 10)
    made.seed(DAY, ZONE, 4, user_id="self")
    return made


@pytest.fixture
def visitor(account: AccountDoor) -> Iterator[Visitor]:
    """The account's user, logged in."""
    with Visitor(account) as visiting:
        yield visiting


@pytest.mark.parametrize("listing", [COMPANY, ON_DEMAND])
def test_a_job_can_expire_before_anybody_fetches_it(visitor: Visitor, listing: str) -> None:
    """An expired job runs, and is over the moment it is complete; the next export is sound."""
    operation = "export" if listing == COMPANY else "on_demand_export"
    visitor.account.fault(operation, "expired_job")
    visitor.account.configure(ready_after_polls=2)
    (job,) = visitor.export(listing)
    assert visitor.status(job)["status"] == "in_progress"
    assert visitor.retrieve(job).status_code == 404
    shown = visitor.status(job)
    assert shown["status"] == "complete"
    assert datetime.fromisoformat(shown["valid_until"]) <= datetime.now(UTC)
    assert visitor.retrieve(job).status_code == 410
    assert visitor.archive(*visitor.export(listing)).status_code == 200


def test_a_job_can_stay_unfinished(visitor: Visitor) -> None:
    """A stalled job stays at its share of the files, however often and with whatever asked."""
    visitor.account.fault("export", "stalled_job", share=0.3)
    visitor.account.configure(ready_after_polls=3, not_ready="202")
    (job,) = visitor.export()
    assert visitor.progress(job, 6) == [("in_progress", n, 10) for n in (2, 3, 3, 3, 3, 3)]
    assert visitor.retrieve(job).status_code == 202
    visitor.account.configure(ready_after_seconds=0)
    assert visitor.progress(job, 1) == [("in_progress", 3, 10)]
    assert visitor.archive(*visitor.export()).status_code == 200


@pytest.mark.parametrize(("share", "status"), [(0.5, "failed"), (0.0, "ERROR"), (1.0, "cancelled")])
def test_a_job_can_fail(visitor: Visitor, share: float, status: str) -> None:
    """A failed job works up to its share, then says so for ever; there is no archive of it."""
    visitor.account.fault("export", "failed_job", share=share, status=status)
    visitor.account.configure(ready_after_polls=4)
    (job,) = visitor.export()
    seen = visitor.progress(job, 7)
    assert seen[-1] == (status, int(10 * share), 10)
    assert [one[0] for one in seen].count("in_progress") == {0.5: 2, 0.0: 0, 1.0: 4}[share]
    assert not {"download_url", "valid_until"} & set(visitor.status(job))
    assert visitor.retrieve(job).status_code == 404


def test_a_job_can_be_lost(simulators: Simulators, visitor: Visitor) -> None:
    """A lost job was promised and counted, but nobody knows it afterwards."""
    visitor.account.fault("export", "lost_job")
    lost, kept = visitor.export()[0], visitor.export()[0]
    made = simulators.log.exports(visitor.account.username)
    assert [effect["job_ids"] for effect in made] == [[lost], [kept]]
    refused = visitor.ask("GET", f"{ON_DEMAND}/jobs/{lost}")
    assert (refused.status_code, refused.json()["msg"]) == (404, "Export job not found")
    assert visitor.retrieve(lost).status_code == 404
    assert [one["id"] for one in visitor.jobs()] == [kept]


def test_figures_can_go_backwards(visitor: Visitor) -> None:
    """The wished answer shows fewer files than the one before it, never fewer than none."""
    visitor.account.configure(ready_after_polls=4)
    (job,) = visitor.export()
    visitor.account.fault("job", "backwards", files=3, skip=2, times=3)
    assert [done for _, done, _ in visitor.progress(job, 6)] == [2, 4, 1, 0, 0, 10]
    visitor.account.fault("jobs", "backwards")
    (listed,) = visitor.jobs()
    assert (listed["status"], listed["files_completed"]) == ("complete", 9)


@pytest.mark.parametrize(
    "fields",
    [
        {"files_completed": 11},
        {"files_completed": "3", "files_total": None},
        {"files_total": -1},
        {"status": "COMPLETE"},
        {"status": None},
        {"status": "complete", "download_url": "http://elsewhere.invalid/archive.zip"},
        {"valid_until": "2019-01-01 00:00:00"},
        {"id": "another"},
    ],
)
@pytest.mark.parametrize("operation", ["job", "jobs"])
def test_any_field_can_be_another(visitor: Visitor, operation: str, fields: dict[str, Any]) -> None:
    """One answer shows what was wished for, or leaves it out; the next is right again."""
    (job,) = visitor.export()
    visitor.account.fault(operation, "altered_job", fields=fields, without=["_links"])

    def shown() -> dict[str, Any]:
        if operation == "job":
            return visitor.status(job)
        (one,) = visitor.jobs()
        return one

    altered, right = shown(), shown()
    assert {name: altered[name] for name in fields} == fields
    assert "_links" not in altered
    assert {name: right[name] for name in fields if name in right} != fields
    assert (right["id"], right["files_total"], "_links" in right) == (job, 10, True)


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_status_can_fail_like_any_answer(visitor: Visitor, kind: str) -> None:
    """The faults of the wire and of answers meet the status endpoints too."""
    (job,) = visitor.export()
    for operation, path in (("job", f"{ON_DEMAND}/jobs/{job}"), ("jobs", f"{ON_DEMAND}/jobs")):
        visitor.account.fault(operation, kind)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            visitor.ask("GET", path)
        visitor.account.fault(operation, "answer", status=429, body="wso2-json", retry_after=3)
        answer = visitor.ask("GET", path)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert visitor.ask("GET", path).status_code == 200


def test_a_wish_that_is_not_understood_is_refused(visitor: Visitor) -> None:
    """What becomes of a job is said to the export, what its status shows to the status."""
    for operation, kind in (
        ("job", "failed_job"),
        ("retrieve", "lost_job"),
        ("export", "backwards"),
    ):
        with pytest.raises(ValueError, match=f"{kind} is for"):
            visitor.account.fault(operation, kind)
    with pytest.raises(ValueError, match=r"altered_job takes \['fields', 'without'\]"):
        visitor.account.fault("job", "altered_job", status="complete")
