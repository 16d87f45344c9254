"""The client of Vonage's global API against set answers: what is asked, and what counts."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from providers.errors import BadCredentials, NotFound, Throttled, Uncertain
from providers.interface import ExportProgress
from providers.vonage.account import VonageAccount
from providers.vonage.client import Vonage

from .vonage_accounts import JOB, ZIP, MemoryShelf, Provider, raw, recording, shown
from .vonage_accounts import account as vonage_account
from .vonage_global import addresses

BASE = "https://vonage.example/t/vbc.prod/call_recording"
COMPANY = f"{BASE}/api/accounts/self/company_call_recordings"
ON_DEMAND = f"{BASE}/api/accounts/self/users/self/call_recordings"
JOBS = f"{ON_DEMAND}/jobs"
RETRIEVE = f"{BASE}/api/bulkDownload/retrieve"
NO_SUCH = {"fault": {"code": 900906, "message": "No matching resource found"}}


class Global(Provider):
    """Answers requests to the global API."""

    base = BASE


def asked(*answers: Any, recordings: Any = "both", **more: Any) -> tuple[Provider, Vonage]:
    """A provider that answers so, and a client of a global account of it."""
    provider = Global(*answers)
    found = vonage_account(base_url=BASE, recordings=recordings, **more)
    return provider, Vonage(found, MemoryShelf(), transport=provider)


def page(*recordings: dict[str, Any], **more: Any) -> httpx.Response:
    """A page of a list."""
    totals = {"total_items": len(recordings), "total_pages": 1}
    return shown({"_embedded": {"recordings": list(recordings)}, "page": 1, **totals, **more})


def read(**table: Any) -> VonageAccount:
    """An account with a token."""
    fixed = {"provider": "vonage", "alias": "x", "access_token": "t"}
    return VonageAccount.model_validate({**fixed, **table})


@pytest.mark.parametrize(
    ("table", "region", "base_url"),
    [
        ({}, "india", "https://api.vonage.com/t/vbc.prod/call_recording_india"),
        ({"region": "india"}, "india", "https://api.vonage.com/t/vbc.prod/call_recording_india"),
        ({"region": "global"}, "global", "https://api.vonage.com/t/vbc.prod/call_recording"),
        ({"base_url": BASE}, "global", BASE),
        ({"base_url": f"{BASE}/"}, "global", BASE),
        ({"base_url": BASE, "region": "global"}, "global", BASE),
        ({"base_url": f"{BASE}_india"}, "india", f"{BASE}_india"),
        ({"base_url": "http://proxy.local"}, "india", "http://proxy.local"),
        ({"base_url": "http://proxy.local", "region": "global"}, "global", "http://proxy.local"),
    ],
)
def test_the_api_is_chosen_by_region_or_address(
    table: dict[str, str], region: str, base_url: str
) -> None:
    """Either is enough, and India is the default."""
    found = read(**table)
    assert (found.region, found.base_url, found.recordings) == (region, base_url, "company")


@pytest.mark.parametrize(
    ("told", "kinds"),
    [
        ("company", "company"),
        ("on_demand", "on_demand"),
        ("both", "both"),
        (["company", "on_demand"], "both"),
        (["on_demand"], "on_demand"),
    ],
)
def test_the_kinds_of_recordings_are_chosen(told: Any, kinds: str) -> None:
    """By a word, or by the list of kinds."""
    assert read(region="global", recordings=told).recordings == kinds


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"region": "mars"}, "region"),
        ({"region": "india", "base_url": BASE}, r"base_url is that of region .global."),
        ({"region": "global", "base_url": f"{BASE}_india"}, r"that of region .india."),
        ({"recordings": "on_demand"}, "India's API has no on-demand recordings"),
        ({"recordings": "both"}, "India's API has no on-demand recordings"),
        ({"region": "global", "recordings": "all"}, "recordings"),
        ({"region": "global", "recordings": []}, "recordings"),
        ({"region": "global", "user_id": ""}, "user_id"),
    ],
)
def test_a_contradictory_account_is_refused(table: dict[str, Any], error: str) -> None:
    """The error names the field."""
    with pytest.raises(ValidationError, match=error):
        read(**table)


@pytest.mark.parametrize(
    ("kinds", "lists"),
    [("company", [COMPANY]), ("on_demand", [ON_DEMAND]), ("both", [COMPANY, ON_DEMAND])],
)
def test_the_lists_of_the_account_are_asked(kinds: str, lists: list[str]) -> None:
    """Each kind has its list; an on-demand recording says that it is one."""
    answers = [page(recording(n + 1)) for n in range(len(lists))]
    provider, vonage = asked(*answers, recordings=kinds)
    with vonage:
        found = vonage.recordings({}, page_size=5)
    assert addresses(provider) == [f"GET {one}" for one in lists]
    marks = [one.line().get("on_demand", False) for one in found.recordings]
    assert marks == [one == ON_DEMAND for one in lists]
    assert found.total_items == len(lists)


def test_a_colleague_s_recordings_lie_under_the_colleague() -> None:
    """``user_id`` and ``account_id`` are parts of the path, escaped."""
    provider, vonage = asked(page(), recordings="on_demand", user_id="8/1", account_id="a b")
    with vonage:
        vonage.recordings({})
    assert addresses(provider) == [f"GET {BASE}/api/accounts/a%20b/users/8%2F1/call_recordings"]


def test_both_lists_come_as_one_in_order() -> None:
    """Every recording once, oldest first, by starts of both lists."""
    starts = ["2026-11-19T10:00:00Z", "2026-11-19T11:00:00Z", "2026-11-19T12:00:00Z"]
    company = [recording(1, start=starts[0]), recording(3, start=starts[2])]
    provider, vonage = asked(page(*company), page(recording(2, start=starts[1])), page(), page())
    with vonage:
        assert [one.id for one in vonage.every_recording({})] == ["1", "2", "3"]
    assert len(provider.requests) == 4


def test_one_recording_in_both_lists_is_one() -> None:
    """The audio has one address for an id, so the same entry twice is one recording."""
    _, vonage = asked(page(recording(7)), page(recording(7)), page(), page())
    with vonage:
        assert [one.id for one in vonage.every_recording({})] == ["7"]
    _, vonage = asked(page(recording(7)), page(recording(7)))
    with vonage:
        assert [one.id for one in vonage.recordings({}).recordings] == ["7"]


def test_recordings_of_one_call_are_two() -> None:
    """A call that a rule and an employee record has two recordings, with an id each."""
    _, vonage = asked(page(recording(7)), page(recording(8)), page(), page())
    with vonage:
        found = [*vonage.every_recording({})]
    assert [one.id for one in found] == ["7", "8"]
    assert len({one.call_id for one in found}) == 1


def test_two_recordings_with_one_id_are_both_known() -> None:
    """Should the lists number on their own, the second is set aside: the day stays incomplete, and
    none is taken for the other.
    """
    other = recording(7, file_name="other.mp3", call_id="another call")
    _, vonage = asked(page(recording(7)), page(other), page(), page())
    with vonage:
        first, second = vonage.every_recording({})
    assert (first.id, first.set_aside) == ("7", None)
    assert second.id.startswith("7-")
    assert second.set_aside is not None
    assert "in the other list" in second.set_aside


def test_a_list_that_ends_earlier_ends_no_other() -> None:
    """A 404 past the end of one list leaves the other's page; of both it is a 404."""
    _, vonage = asked(shown({"msg": "No such page"}, 404), page(recording(8)))
    with vonage:
        assert [one.id for one in vonage.recordings({}, page=2).recordings] == ["8"]
    _, vonage = asked(shown({}, 404), shown({}, 404))
    with vonage, pytest.raises(NotFound):
        vonage.recordings({}, page=2)


def test_a_list_that_cannot_be_read_is_no_empty_one() -> None:
    """Where one list fails, the pass fails: nothing is missing unseen."""
    _, vonage = asked(page(recording(1)), shown({}, 500))
    with vonage, pytest.raises(Uncertain):
        list(vonage.every_recording({}))
    _, vonage = asked(shown({}, 404), shown({}, 404), shown({}, 404), recordings="on_demand")
    with vonage, pytest.raises(NotFound, match="check account_id and user_id"):
        list(vonage.every_recording({}))


def test_a_recording_is_looked_for_in_both_lists() -> None:
    """get and delete go on to the second list where the first does not know the id."""
    provider, vonage = asked(shown({}, 404), shown(recording(8)), shown({}, 404), raw(204))
    with vonage:
        assert vonage.recording("8").line()["on_demand"] is True
        assert vonage.delete("8") is True
    assert addresses(provider) == [
        *(f"GET {one}/8" for one in (COMPANY, ON_DEMAND)),
        *(f"DELETE {one}/8" for one in (COMPANY, ON_DEMAND)),
    ]
    provider, vonage = asked(raw(204))
    with vonage:
        assert vonage.delete("7") is True
    _, vonage = asked(shown({}, 404), shown({}, 410))
    with vonage:
        assert vonage.delete("9") is False


def test_each_kind_is_exported_by_itself() -> None:
    """An account of both needs two exports, each with the same filters."""
    provider, vonage = asked(shown({"job_ids": ["a"]}, 202), shown({"job_ids": ["b"]}, 202))
    with vonage:
        assert vonage.exports == 2
        assert [vonage.export({"dnis": "1"}, number=n) for n in (0, 1)] == [["a"], ["b"]]
    assert addresses(provider) == [f"POST {one}/export" for one in (COMPANY, ON_DEMAND)]
    assert {request.content for request in provider.requests} == {b'{"dnis":"1"}'}
    assert asked(recordings="company")[1].exports == 1


def job(**more: Any) -> httpx.Response:
    """A running job as the vendor's page shows jobs."""
    told = {"id": JOB, "status": "in_progress", "files_completed": 4, "files_total": 10}
    return shown({**told, "_links": {"self": {"href": f"{JOBS}/{JOB}"}}, **more})


COMPLETE = {"status": "complete", "download_url": f"{RETRIEVE}?jobId={JOB}"}


@pytest.mark.parametrize(
    ("fields", "is_ready", "has_failed"),
    [
        ({}, False, False),
        ({"status": "queued"}, False, False),
        ({"status": None}, False, False),
        ({"status": 7}, False, False),
        (COMPLETE, True, False),
        ({"status": "COMPLETE"}, True, False),
        ({"status": "completed"}, True, False),
        ({"status": "done", "download_url": COMPLETE["download_url"]}, True, False),
        ({"status": "failed"}, False, True),
        ({"status": "ERROR"}, False, True),
        ({"status": "cancelled"}, False, True),
        ({"status": "failed", "download_url": COMPLETE["download_url"]}, False, True),
    ],
)
def test_the_status_of_an_export_is_read(
    fields: dict[str, Any], is_ready: bool, has_failed: bool
) -> None:
    """One request to the user's own jobs; any word but the vendor's is not finished."""
    provider, vonage = asked(job(**fields), user_id="800001")
    with vonage:
        found = vonage.progress(JOB)
    assert addresses(provider) == [f"GET {JOBS}/{JOB}"]
    assert found is not None
    assert (found.is_ready, found.has_failed) == (is_ready, has_failed)


@pytest.mark.parametrize(
    ("fields", "figures"),
    [
        ({}, (4, 10)),
        ({"files_completed": "3", "files_total": None}, (3, None)),
        ({"files_completed": 11}, (10, 10)),
        ({"files_completed": -1}, (None, 10)),
        ({"files_completed": None, "files_total": -1}, (None, None)),
        ({"files_completed": 2.0}, (2, 10)),
        ({"files_completed": "many"}, (None, 10)),
    ],
)
def test_the_figures_of_an_export_are_read(
    fields: dict[str, Any], figures: tuple[Any, Any]
) -> None:
    """As numbers or text; a figure that cannot be is none."""
    _, vonage = asked(job(**fields))
    with vonage:
        found = vonage.progress(JOB)
    assert isinstance(found, ExportProgress)
    assert (found.files_completed, found.files_total) == figures


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ("2026-11-27T10:00:00+0000", 27),
        ("2026-11-27 10:00:00", 27),
        ("2026-11-27T10:00:00Z", 27),
        ("soon", None),
    ],
)
def test_the_end_of_an_export_is_read(told: str, day: int | None) -> None:
    """In both of the vendor's forms."""
    _, vonage = asked(job(**COMPLETE, valid_until=told))
    with vonage:
        found = vonage.progress(JOB)
    assert found is not None
    assert (found.valid_until and found.valid_until.day) == day


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([shown(NO_SUCH, 404), shown(NO_SUCH, 404)], None),
        ([shown({}, 403), shown({}, 403)], None),
        ([shown({}, 404), shown({}, 405)], None),
        ([shown({"msg": "Export job not found"}, 404), shown({"page": 1})], NotFound),
        ([shown({}, 401), shown({}, 401)], BadCredentials),
        ([shown({}, 429)], Throttled),
        ([shown({}, 500)], Uncertain),
        ([raw(200, b"<html>")], Uncertain),
        ([raw(204)], Uncertain),
        ([shown([1])], Uncertain),
        ([job(id="another")], Uncertain),
    ],
)
def test_an_api_without_a_status_is_told_from_a_lost_export(
    answers: list[Any], outcome: Any
) -> None:
    """Without the list of jobs there is no status at all; with it, the job alone is unknown."""
    provider, vonage = asked(*answers)
    with vonage:
        if outcome is None:
            assert vonage.progress(JOB) is None
            assert addresses(provider) == [f"GET {JOBS}/{JOB}", f"GET {JOBS}"]
            return
        with pytest.raises(outcome):
            vonage.progress(JOB)


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (f"{RETRIEVE}?jobId={JOB}", True),
        (f"{RETRIEVE}?job_id={JOB}&login_name=x", True),
        (f"{RETRIEVE}?jobId=another", False),
        (
            f"http://vonage.example/t/vbc.prod/call_recording/api/bulkDownload/retrieve?jobId={JOB}",
            False,
        ),
        (f"https://elsewhere.invalid/retrieve?jobId={JOB}", False),
        (f"https://vonage.example@elsewhere.invalid/?jobId={JOB}", False),
        (f"{BASE}/api/accounts/self?jobId={JOB}", False),
        (f"{BASE}_india/api/bulkDownload/retrieve?jobId={JOB}", False),
        ("https://[", False),
        (17, False),
    ],
)
def test_a_zip_is_fetched_from_the_address_of_its_status(told: Any, taken: bool) -> None:
    """Only from one of the API's own, for this job: the token goes with it."""
    provider, vonage = asked(job(status="complete", download_url=told), raw(200, ZIP))
    with vonage:
        vonage.progress(JOB)
        with vonage.retrieve(JOB) as body:
            assert b"".join(body.chunks()) == ZIP
    documented = f"{RETRIEVE}?jobId={JOB}&userName=john.doe"
    assert str(provider.requests[-1].url) == (told if taken else documented)
