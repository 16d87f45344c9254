"""The Vonage simulator's global API: company and on-demand recordings of one account."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from tests.simulators import Simulators
from tests.simulators.doors import AccountDoor
from tests.visitor import COMPANY, ON_DEMAND, Visitor

DAY = date(2026, 11, 19)
ZONE = "Europe/Madrid"
API = "/t/vbc.prod/call_recording/api"

# The recording of the vendor's specification, apart from its links.
EXAMPLE: dict[str, Any] = {
    "call_direction": "INBOUND",
    "call_id": "c91150a6-8cc4-4e73-9fef-17fd925c6448",
    "caller_id": 17325550100,
    "cnam": "JOHN SMITH",
    "dnis": "17325550100",
    "duration": 60000,
    "extensions": [999],
    "file_name": (
        "730048.11826465111463122315701.95a7584be856e34a582025d420c20d9d.1463122442148.mp3"
    ),
    "id": 193228,
    "rule_ids": [1989, 2012, 449],
    "start": "2019-01-01T00:00:00+0000",
}
LINKS = ("first", "prev", "self", "next", "last")


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulators]:
    """One entrance for all tests of this file, each with an account of its own."""
    with Simulators() as running:
        yield running


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """A global account with 7 company recordings of a day and 5 on-demand ones of its user."""
    made = simulators.vonage.account(region="global", ready_after_polls=0)
    made.seed(DAY, ZONE, 7)
    made.seed(DAY, ZONE, 5, user_id="self")
    return made


@pytest.fixture
def visitor(account: AccountDoor) -> Iterator[Visitor]:
    """The account's user, logged in."""
    with Visitor(account) as visiting:
        yield visiting


def ids(account: AccountDoor, user_id: str | None = None) -> set[int]:
    """The recordings that the simulator holds for the company or for a user."""
    return {recording["id"] for recording in account.recordings(user_id)}


def members(content: bytes) -> set[str]:
    """The names in an archive, each read through its CRC."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


@pytest.mark.parametrize(
    ("user_id", "listing"),
    [
        (None, "accounts/549825/company_call_recordings"),
        ("745249", "accounts/549825/users/745249/call_recordings"),
    ],
)
def test_a_recording_is_the_one_of_the_specification(
    simulators: Simulators, user_id: str | None, listing: str
) -> None:
    """Both kinds of recording come as the specification has them, links included."""
    names = {"account_id": "549825", "user_id": "745249"}
    account = simulators.vonage.account(region="global", **names)
    account.add({**EXAMPLE, "size_bytes": 100000, "user_id": user_id})
    base = f"{simulators.url}/vonage{API}"
    expected = {
        **EXAMPLE,
        "_links": {"self": {"href": f"{base}/{listing}/193228"}},
        "download_url": f"{base}/audio/recording/193228",
        "end": "2019-01-01T00:01:00+0000",
        "file_size_in_bytes": 100000,
    }
    with Visitor(account) as visitor:
        page = visitor.page(listing).json()
        assert page["_embedded"]["recordings"] == [expected]
        assert visitor.ask("GET", f"{listing}/193228").json() == expected
        assert {page[name] for name in ("page", "total_items", "total_pages")} == {1}


@pytest.mark.parametrize("listing", [COMPANY, ON_DEMAND])
def test_every_link_of_a_page_leads_to_its_list(visitor: Visitor, listing: str) -> None:
    """The links lead to pages of the same list with real ids; the next one is spelt right here."""
    links = visitor.page(listing, page=2, page_size=2).json()["_links"]
    own = {"accounts/self": f"accounts/{visitor.account.account_id}"}
    own["users/self"] = f"users/{visitor.account.user_id}"
    path = listing
    for short, real in own.items():
        path = path.replace(short, real)
    assert {link["href"].partition("?")[0] for link in links.values()} == {
        f"{visitor.configuration['base_url']}/api/{path}"
    }
    assert tuple(links) == LINKS
    headers = {"Authorization": f"Bearer {visitor.token}"}
    assert visitor.http.get(links["next"]["href"], headers=headers).json()["page"] == 3


def test_company_and_on_demand_recordings_keep_apart(visitor: Visitor) -> None:
    """Each list holds its own recordings alone, and one is not found in the other. No rule began
    those on demand.
    """
    account = visitor.account
    company, on_demand = ids(account), ids(account, "self")
    assert (len(company), len(on_demand)) == (7, 5)
    assert set(visitor.listed(page_size=100)) == company
    assert set(visitor.listed(ON_DEMAND, page_size=100)) == on_demand
    for listing, others in ((COMPANY, on_demand), (ON_DEMAND, company)):
        path = f"{listing}/{next(iter(others))}"
        assert [visitor.ask(m, path).status_code for m in ("GET", "DELETE")] == [404, 404]
    assert (ids(account), ids(account, "self")) == (company, on_demand)
    rules = [bool(one["rule_ids"]) for user in (None, "self") for one in account.recordings(user)]
    assert rules == [True] * 7 + [False] * 5


@pytest.mark.parametrize("listing", [COMPANY, ON_DEMAND])
def test_lists_are_filtered_ordered_and_paged(visitor: Visitor, listing: str) -> None:
    """Filters, bounds, order and pages of the list work as in India, and faults are named."""
    user = None if listing == COMPANY else "self"
    every = sorted(visitor.account.recordings(user), key=lambda one: str(one["start"]))
    in_order = [one["id"] for one in every]
    assert visitor.listed(listing, page_size=100) == in_order[::-1]
    pages = [visitor.listed(listing, page=n, page_size=3, order="start:ASC") for n in (1, 2, 3)]
    assert [one for page in pages for one in page] == in_order
    bounds = {"start__gte": every[1]["start"], "start__lte": every[3]["start"]}
    assert visitor.listed(listing, order="start:ASC", **bounds) == in_order[1:4]
    assert visitor.listed(listing, call_id=every[2]["call_id"]) == [in_order[2]]
    refused = visitor.page(listing, call_direction="SIDEWAYS")
    assert refused.status_code == 400
    assert refused.json()["invalid_parameters"][0]["name"] == "call_direction"


@pytest.mark.parametrize("listing", [COMPANY, ON_DEMAND])
def test_a_recording_is_heard_and_deleted(
    simulators: Simulators, visitor: Visitor, listing: str
) -> None:
    """Audio of both kinds has one address and the listed size; a deletion is final."""
    one = visitor.page(listing, page_size=1).json()["_embedded"]["recordings"][0]
    heard = visitor.audio(one["id"])
    assert (heard.headers["content-type"], len(heard.content)) == (
        "audio/mpeg",
        one["file_size_in_bytes"],
    )
    path = f"{listing}/{one['id']}"
    deletion = visitor.ask("DELETE", path)
    assert (deletion.status_code, deletion.content) == (204, b"")
    gone = [visitor.ask(method, path).status_code for method in ("DELETE", "GET")]
    assert [*gone, visitor.audio(one["id"]).status_code] == [404, 404, 404]
    deleted = simulators.log.effects("recording_deleted", visitor.account.username)
    assert [effect["recording_id"] for effect in deleted] == [one["id"]]


@pytest.mark.parametrize("listing", [COMPANY, ON_DEMAND])
def test_an_export_holds_its_own_kind(
    simulators: Simulators, visitor: Visitor, listing: str
) -> None:
    """An export is answered 202 with its jobs, and its archive holds that list's recordings."""
    user = None if listing == COMPANY else visitor.account.user_id
    every = visitor.account.recordings(user)
    visitor.account.withhold(every[0]["id"])
    answer = visitor.ask("POST", f"{listing}/export", json={"start:gte": every[0]["start"]})
    assert (answer.status_code, set(answer.json())) == (202, {"job_ids"})
    (job,) = answer.json()["job_ids"]
    names = {one["file_name"] for one in every[1:]}
    assert members(visitor.archive(job).content) == names
    (made,) = simulators.log.exports(visitor.account.username)
    assert (made["user_id"], made["job_ids"]) == (user, [job])
    assert visitor.account.jobs()[0]["user_id"] == user
    visitor.account.configure(export_status=200)
    assert visitor.ask("POST", f"{listing}/export", json={}).status_code == 200


def test_other_users_of_the_account(visitor: Visitor) -> None:
    """An administrator finds a colleague's recordings under the colleague's id; a user that the
    account does not have is 404, another account 403.
    """
    colleague = f"accounts/{visitor.account.account_id}/users/800001/call_recordings"
    for path in (colleague, f"{colleague}/export", f"{colleague}/jobs"):
        method = "POST" if path.endswith("export") else "GET"
        refused = visitor.ask(method, path, json={})
        assert (refused.status_code, refused.json()["msg"]) == (404, "User not found")
    made = visitor.account.add({"start": "2026-11-19T10:00:00Z", "user_id": "800001"})
    assert visitor.listed(colleague) == [made["id"]]
    assert visitor.ask("GET", f"{colleague}/{made['id']}").json() == made
    assert made["id"] not in visitor.listed(ON_DEMAND, page_size=100)
    assert members(visitor.archive(*visitor.export(colleague)).content) == {made["file_name"]}
    assert visitor.page("accounts/1/users/self/call_recordings").status_code == 403


def test_the_tutorials_paths_work_too(visitor: Visitor) -> None:
    """Every operation is also there with the version in its path, as in the vendor's tutorials."""
    base = visitor.configuration["base_url"] + "/v1/api"
    headers = {"Authorization": f"Bearer {visitor.token}"}
    (job,) = visitor.export()
    paths = [COMPANY, ON_DEMAND, f"{ON_DEMAND}/jobs/{job}"]
    paths += [f"bulkDownload/retrieve?job_id={job}&login_name={visitor.account.login_name}"]
    for path in paths:
        assert visitor.http.get(f"{base}/{path}", headers=headers).status_code == 200, path


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("jobId={job}", 200),
        ("job_id={job}", 200),
        ("jobId={job}&userName={name}", 200),
        ("job_id={job}&login_name={name}", 200),
        ("jobId={job}&userName=somebody", 404),
        ("job_id={job}&login_name=somebody", 404),
        ("jobId=unknown&userName={name}", 404),
        ("userName={name}", 404),
    ],
)
def test_an_archive_is_retrieved_under_every_spelling(
    visitor: Visitor, query: str, status: int
) -> None:
    """The vendor spells the parameters in three ways; the job alone is enough."""
    (job,) = visitor.export()
    query = query.format(job=job, name=visitor.account.login_name)
    assert visitor.ask("GET", f"bulkDownload/retrieve?{query}").status_code == status


@pytest.mark.parametrize("value", [None, "Basic abc", "Bearer nonsense"])
def test_nothing_is_told_without_a_token(visitor: Visitor, value: str | None) -> None:
    """Every operation answers 401 to a missing or wrong token, and does nothing."""
    (job,) = visitor.export()
    one = visitor.listed(ON_DEMAND)[0]
    asked = [("GET", ON_DEMAND), ("GET", f"{ON_DEMAND}/{one}"), ("DELETE", f"{ON_DEMAND}/{one}")]
    asked += [("POST", f"{ON_DEMAND}/export"), ("GET", f"{ON_DEMAND}/jobs")]
    asked += [("GET", f"{ON_DEMAND}/jobs/{job}"), ("GET", f"bulkDownload/retrieve?jobId={job}")]
    headers = {} if value is None else {"Authorization": value}
    base = visitor.configuration["base_url"] + "/api"
    for method, path in asked:
        answer = visitor.http.request(method, f"{base}/{path}", headers=headers, json={})
        assert answer.status_code == 401
        assert answer.json()["fault"]["code"] in (900901, 900902)
    assert len(visitor.account.jobs()) == 1
    assert one in visitor.listed(ON_DEMAND)


def test_tokens_are_renewed_and_end_as_in_india(visitor: Visitor) -> None:
    """A refresh token works once and ends the older access token; a revoked token is 401."""
    granted = visitor.log_in()
    renewed = visitor.refresh(granted["refresh_token"]).json()
    assert visitor.refresh(granted["refresh_token"]).status_code == 400
    assert visitor.page(ON_DEMAND).json()["fault"]["code"] == 900901
    visitor.token = renewed["access_token"]
    assert visitor.page(ON_DEMAND).status_code == 200
    visitor.account.revoke_tokens()
    assert visitor.page(ON_DEMAND).status_code == 401


def test_a_fault_meets_the_operation_that_it_names(visitor: Visitor) -> None:
    """The operations on on-demand recordings misbehave by names of their own."""
    one = visitor.listed(ON_DEMAND)[0]
    asked = {
        "on_demand_list": ("GET", ON_DEMAND),
        "on_demand_get": ("GET", f"{ON_DEMAND}/{one}"),
        "on_demand_export": ("POST", f"{ON_DEMAND}/export"),
        "on_demand_delete": ("DELETE", f"{ON_DEMAND}/{one}"),
    }
    for operation, (method, path) in asked.items():
        visitor.account.fault(operation, "answer", status=503, body="wso2-json", retry_after=1)
        assert visitor.page().status_code == 200
        assert [visitor.ask(method, path, json={}).status_code // 100 for _ in range(2)] == [5, 2]
