"""The status of the Vonage simulator's export jobs: what it shows, and how it misleads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.simulators import Simulators
from tests.simulators.doors import AccountDoor
from tests.visitor import COMPANY, ON_DEMAND, Visitor

DAY = date(2026, 11, 19)
ZONE = "Europe/Madrid"

# The fields of the vendor's export job; the last two only of one that is complete.
RUNNING: dict[str, type] = {
    "_links": dict,
    "files_completed": int,
    "files_total": int,
    "id": str,
    "status": str,
}
COMPLETE = RUNNING | {"download_url": str, "valid_until": str}


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


def shape(shown: dict[str, Any]) -> dict[str, type]:
    """The fields of a job and their types."""
    return {name: type(value) for name, value in shown.items()}


def test_a_job_has_the_specifications_fields(visitor: Visitor) -> None:
    """Running or complete, a job carries the vendor's fields and types, its link real ids."""
    (job,) = visitor.export()
    running = visitor.status(job)
    assert shape(running) == RUNNING
    (self_link,) = running["_links"].values()
    account = visitor.account
    path = f"accounts/{account.account_id}/users/{account.user_id}/call_recordings/jobs/{job}"
    assert self_link["href"] == f"{visitor.configuration['base_url']}/api/{path}"
    assert visitor.download(self_link["href"]).json()["id"] == job
    complete = visitor.status(job)
    assert (shape(complete), complete["status"]) == (COMPLETE, "complete")
    assert complete["download_url"].endswith(f"/api/bulkDownload/retrieve?jobId={job}")
    assert complete["valid_until"].endswith("+0000")


@pytest.mark.parametrize(("listing", "count"), [(COMPANY, 10), (ON_DEMAND, 4)])
def test_a_job_is_followed_to_its_archive(visitor: Visitor, listing: str, count: int) -> None:
    """Each poll shows more files, the last all of them, and download_url has them all."""
    visitor.account.configure(ready_after_polls=4)
    (job,) = visitor.export(listing)
    steps = [(f"{count * n // 5}", count) for n in (1, 2, 3, 4)]
    told = visitor.progress(job, 5)
    assert told[:4] == [("in_progress", int(done), total) for done, total in steps]
    assert told[4] == ("complete", count, count)
    answer = visitor.download(visitor.status(job)["download_url"])
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert len(archive.namelist()) == count
    assert visitor.download(f"{visitor.status(job)['download_url']}x").status_code == 404


def test_status_and_retrieve_count_as_polls_alike(simulators: Simulators, visitor: Visitor) -> None:
    """A job becomes ready after as many questions of either kind, and the log counts them."""
    (job,) = visitor.export()
    assert visitor.retrieve(job).status_code == 404
    assert visitor.status(job)["status"] == "in_progress"
    assert visitor.retrieve(job).status_code == 200
    asked = simulators.log.requests(account=visitor.account.username, job_id=job)
    assert [(r["operation"], r["poll"]) for r in asked] == [
        ("retrieve", 1),
        ("job", 2),
        ("retrieve", 3),
    ]


def test_a_job_may_take_its_time(visitor: Visitor) -> None:
    """With seconds in place of polls, asking does not hurry the job."""
    visitor.account.configure(ready_after_seconds=86400, running_status="PROCESSING")
    (job,) = visitor.export()
    assert visitor.progress(job, 9) == [("PROCESSING", 0, 10)] * 9
    visitor.account.configure(ready_after_seconds=0)
    assert visitor.progress(job, 1) == [("complete", 10, 10)]


def test_the_jobs_of_a_user_are_listed(visitor: Visitor) -> None:
    """Company and on-demand jobs come together, newest first, in pages whose links are theirs."""
    made = [visitor.export(COMPANY)[0], visitor.export(ON_DEMAND)[0], visitor.export(COMPANY)[0]]
    body = visitor.page(f"{ON_DEMAND}/jobs", page=2, page_size=2).json()
    assert [one["id"] for one in visitor.jobs(page_size=2) + body["_embedded"]["jobs"]] == made[
        ::-1
    ]
    assert (body["page"], body["total_items"], body["total_pages"]) == (2, 3, 2)
    listing = visitor.status(made[0])["_links"]["self"]["href"].removesuffix(f"/{made[0]}")
    assert {name: link["href"] for name, link in body["_links"].items()} == {
        "first": f"{listing}?page=1",
        "prev": f"{listing}?page=1",
        "self": f"{listing}?page=2",
        "last": f"{listing}?page=2",
    }


def test_jobs_are_listed_by_status(visitor: Visitor) -> None:
    """Listing is a poll of each job, and `status` chooses among what the jobs are then."""
    visitor.account.configure(ready_after_seconds=86400)
    held = visitor.export()
    visitor.account.fault("export", "failed_job", share=0.0)
    failed = visitor.export()
    assert [one["id"] for one in visitor.jobs(status="in_progress")] == held
    assert [one["id"] for one in visitor.jobs(status="failed")] == failed
    assert visitor.jobs(status="complete") == []
    visitor.account.configure(ready_after_seconds=None, ready_after_polls=4)
    assert [one["id"] for one in visitor.jobs(status="complete")] == []
    assert [one["id"] for one in visitor.jobs(status="complete")] == held


def test_the_totals_of_a_divided_export_add_up(visitor: Visitor) -> None:
    """Each of several jobs counts its own share of the files."""
    visitor.account.configure(export_parts=3, ready_after_polls=0)
    shown = [visitor.status(job) for job in visitor.export()]
    assert [one["files_total"] for one in shown] == [3, 3, 4]
    assert all(one["files_completed"] == one["files_total"] for one in shown)


def test_a_job_of_nothing_is_complete(visitor: Visitor) -> None:
    """An empty archive is a job of no files, complete with its address."""
    visitor.account.configure(nothing_matches="empty_zip", ready_after_polls=1)
    (job,) = visitor.export(start__gte="2030-01-01T00:00:00Z")
    assert visitor.progress(job, 2) == [("in_progress", 0, 0), ("complete", 0, 0)]
    assert visitor.download(visitor.status(job)["download_url"]).content.startswith(b"PK\x05\x06")


def test_others_see_no_status(simulators: Simulators, visitor: Visitor) -> None:
    """A job is found by its account alone, and under the user who created it."""
    (job,) = visitor.export()
    with Visitor(simulators.vonage.account(region="global")) as stranger:
        assert stranger.jobs() == []
        assert stranger.ask("GET", f"{ON_DEMAND}/jobs/{job}").status_code == 404
    visitor.account.add({"start": "2026-11-19T10:00:00Z", "user_id": "800001"})
    colleague = "accounts/self/users/800001/call_recordings/jobs"
    assert visitor.page(colleague).json()["_embedded"]["jobs"] == []
    assert visitor.ask("GET", f"{colleague}/{job}").status_code == 404


@pytest.mark.parametrize("form", ["+0000", "Z", "+00:00"])
def test_a_job_says_until_when_it_is_valid(visitor: Visitor, form: str) -> None:
    """valid_until counts by the provider's clock and has the form of its other dates."""
    ahead, valid = 7200, 3600
    visitor.account.configure(
        archive_valid_seconds=valid, clock_offset=ahead, date_format=form, ready_after_polls=0
    )
    before = datetime.now(UTC).replace(microsecond=0)
    (job,) = visitor.export()
    shown = visitor.status(job)["valid_until"]
    assert shown.endswith(form)
    until = datetime.fromisoformat(shown)
    assert before <= until - timedelta(seconds=ahead + valid) <= datetime.now(UTC)


def test_an_archive_expires(visitor: Visitor) -> None:
    """Once valid_until has passed the status stays complete, and the archive is gone."""
    visitor.account.configure(ready_after_polls=0)
    ended, other = visitor.export()[0], visitor.export()[0]
    assert visitor.retrieve(ended).status_code == 200
    visitor.account.expire_job(ended)
    for job, status in ((ended, 410), (other, 200)):
        shown = visitor.status(job)
        until = datetime.fromisoformat(shown["valid_until"])
        assert (shown["status"], until > datetime.now(UTC)) == ("complete", status == 200)
        assert visitor.download(shown["download_url"]).status_code == status
    visitor.account.configure(archive_valid_seconds=0)
    assert visitor.retrieve(other).status_code == 410


@pytest.mark.parametrize("region", ["india", "global"])
def test_the_endpoint_can_be_missing_or_offered(simulators: Simulators, region: str) -> None:
    """As documented, India has no status endpoint and the global API has; a switch turns this
    round, for either. Where it is missing a job becomes ready all the same.
    """
    account = simulators.vonage.account(region=region)
    account.seed(DAY, ZONE, 3)
    with Visitor(account) as visitor:
        for offered in (region == "global", region == "india"):
            (job,) = visitor.export()
            answers = [visitor.ask("GET", f"{ON_DEMAND}/jobs{end}") for end in ("", f"/{job}")]
            if offered:
                assert [answer.status_code for answer in answers] == [200, 200]
                shown = visitor.status(job)
                assert (shown["status"], shown["files_total"]) == ("complete", 3)
                assert visitor.download(shown["download_url"]).status_code == 200
            else:
                assert [answer.status_code for answer in answers] == [404, 404]
                assert {answer.json()["fault"]["code"] for answer in answers} == {900906}
                assert [visitor.retrieve(job).status_code for _ in range(3)] == [404, 404, 200]
            account.configure(status_endpoint=not offered)
