"""The Vonage simulator answers as the vendor's page says, to those who may ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from . import shared_simulators
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .visitor import Visitor

simulators = shared_simulators.simulators

DAY = date(2026, 11, 19)
ZONE = "Asia/Kolkata"

# The fields of the vendor's sample recording, with the types they have there.
RECORDING: dict[str, type] = {
    "_links": dict,
    "call_direction": str,
    "call_id": str,
    "caller_id": int,
    "cnam": str,
    "dnis": str,
    "download_url": str,
    "duration": int,
    "end": str,
    "extensions": list,
    "file_name": str,
    "file_size_in_bytes": int,
    "id": int,
    "rule_ids": list,
    "start": str,
}
PAGE = {"_embedded", "_links", "page", "page_size", "total_items", "total_pages"}
LINKS = {"first", "prev", "self", "next", "last"}


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """An account with 25 recordings of one day."""
    made = simulators.vonage.account()
    made.seed(DAY, ZONE, 25)
    return made


@pytest.fixture
def visitor(account: AccountDoor) -> Iterator[Visitor]:
    """The account's user, logged in."""
    with Visitor(account) as visiting:
        yield visiting


def in_utc(recording: dict[str, Any]) -> datetime:
    """A recording's start."""
    return datetime.strptime(recording["start"], "%Y-%m-%dT%H:%M:%S%z")


def test_a_page_of_recordings_has_the_vendors_shape(visitor: Visitor) -> None:
    """A page and its recordings carry every field of the vendor's sample, typed as there."""
    body = visitor.page(page=2, page_size=5).json()
    assert set(body) == PAGE
    assert set(body["_links"]) == LINKS
    assert (body["page"], body["page_size"]) == (2, 5)
    assert (body["total_items"], body["total_pages"]) == (25, 5)
    for recording in body["_embedded"]["recordings"]:
        assert {name: type(value) for name, value in recording.items()} == RECORDING
        assert recording["start"].endswith("+0000")
        assert recording["_links"]["self"]["href"].endswith(f"/{recording['id']}")


def test_the_next_link_is_broken_as_on_the_page(visitor: Visitor) -> None:
    """The next link leads to a misspelt path, the others do not; a switch puts it right."""
    links = visitor.page(page=2, page_size=5).json()["_links"]
    assert "/call_recordingindia/" in links["next"]["href"]
    assert "/call_recording_india/" in links["prev"]["href"]
    assert visitor.http.get(links["next"]["href"]).status_code == 401
    visitor.account.configure(next_link="correct")
    links = visitor.page(page=2, page_size=5).json()["_links"]
    assert "/call_recording_india/" in links["next"]["href"]


def test_one_recording_is_given_and_deleted(visitor: Visitor) -> None:
    """GET shows what the list showed; DELETE is 204 once and 404 after, and takes the audio."""
    listed = visitor.page(page_size=1).json()["_embedded"]["recordings"][0]
    path = f"accounts/{visitor.account.account_id}/company_call_recordings/{listed['id']}"
    assert visitor.ask("GET", path).json() == listed
    deletion = visitor.ask("DELETE", path)
    assert (deletion.status_code, deletion.content) == (204, b"")
    assert [visitor.ask(method, path).status_code for method in ("DELETE", "GET")] == [404, 404]
    assert visitor.audio(listed["id"]).status_code == 404
    assert listed["id"] not in visitor.listed(page_size=100)


def test_an_export_answers_job_ids(simulators: Simulators, visitor: Visitor) -> None:
    """Export answers as the page shows, in the parts and with the status of the switches, and
    is counted with its window.
    """
    window = {"start__gte": "2026-11-18T18:30:00Z", "start__lte": "2026-11-19T18:29:59Z"}
    path = "accounts/self/company_call_recordings/export"
    answer = visitor.ask("POST", path, json={})
    assert answer.status_code == 201
    assert set(answer.json()) == {"job_ids"}
    visitor.account.configure(export_parts=3, export_status=202)
    assert len(visitor.export(**window)) == 3
    assert visitor.export(start__gte="2030-01-01T00:00:00+0000") == []
    made = simulators.log.exports(visitor.account.username)
    assert [e["window"][0] for e in made] == [None, window["start__gte"], made[2]["window"][0]]
    assert [len(e["job_ids"]) for e in made] == [1, 3, 0]


def test_audio_is_a_real_mp3_of_the_listed_size(visitor: Visitor) -> None:
    """Audio comes chunked as audio/mpeg, begins as an MP3 does, has the listed size, and no
    two recordings sound the same.
    """
    heard = set()
    for recording in visitor.page(page_size=6).json()["_embedded"]["recordings"]:
        answer = visitor.http.get(
            recording["download_url"], headers={"Authorization": f"Bearer {visitor.token}"}
        )
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.content.startswith(b"ID3")
        assert len(answer.content) == recording["file_size_in_bytes"]
        heard.add(answer.content)
    assert len(heard) == 6


def test_a_seeded_day_is_the_local_one(account: AccountDoor) -> None:
    """A day's recordings lie between local midnight and midnight, the edges included, and ids
    are unique over accounts.
    """
    starts = [in_utc(recording) for recording in account.recordings()]
    assert min(starts) == datetime(2026, 11, 18, 18, 30, tzinfo=UTC)
    assert max(starts) == min(starts) + timedelta(days=1, seconds=-1)
    other = account._vonage.account()
    other.seed(DAY, "Europe/Madrid", 25)
    ids = [r["id"] for r in account.recordings() + other.recordings()]
    assert len(set(ids)) == 50


def test_every_filter_narrows_the_list(visitor: Visitor) -> None:
    """Each documented filter finds exactly the recordings that have the value."""
    everything = visitor.account.recordings()
    one = everything[7]
    values = {name: one[name] for name in ("call_direction", "call_id", "caller_id", "dnis")}
    for name, value in values.items():
        expected = {r["id"] for r in everything if r[name] == value}
        assert set(visitor.listed(page_size=100, **{name: value})) == expected
    named = next(r for r in everything if r["cnam"])["cnam"]
    found = visitor.listed(page_size=100, cnam=named)
    assert set(found) == {r["id"] for r in everything if r["cnam"] == named}
    extension = one["extensions"][0]
    found = visitor.listed(page_size=100, extension=extension)
    assert set(found) == {r["id"] for r in everything if extension in r["extensions"]}


def test_bounds_include_their_ends(visitor: Visitor) -> None:
    """Both bounds of start and duration include what lies on them, for every form of date."""
    everything = visitor.account.recordings()
    middle = everything[12]
    for zulu in ("Z", "+0000", "+00:00"):
        moment = middle["start"].replace("+0000", zulu)
        assert middle["id"] in visitor.listed(start__gte=moment, start__lte=moment)
    later = visitor.listed(page_size=100, start__gte=middle["start"])
    assert set(later) == {r["id"] for r in everything if in_utc(r) >= in_utc(middle)}
    length = middle["duration"]
    found = visitor.listed(duration__gte=length, duration__lte=length)
    assert set(found) == {r["id"] for r in everything if r["duration"] == length}


def test_orders_and_pages_cover_everything_once(visitor: Visitor) -> None:
    """Newest first unless asked otherwise; the pages in any order hold each recording once."""
    ids = [r["id"] for r in sorted(visitor.account.recordings(), key=in_utc)]
    assert visitor.listed(page_size=100) == ids[::-1]
    assert visitor.listed() == ids[::-1][:10]
    for order in ("start:ASC", "asc"):
        pages = [visitor.listed(page=n, page_size=7, order=order) for n in (1, 2, 3, 4)]
        assert [i for page in pages for i in page] == ids
    sizes = visitor.page(page_size=100, order="file_size_in_bytes:DESC").json()
    told = [r["file_size_in_bytes"] for r in sizes["_embedded"]["recordings"]]
    assert told == sorted(told, reverse=True)


def test_bad_parameters_are_named(visitor: Visitor) -> None:
    """A parameter that makes no sense is a 400 that names it; so is a plus sent unencoded."""
    bad = {
        "order": "weight:ASC",
        "page": "two",
        "page_size": "0",
        "call_direction": "SIDEWAYS",
        "start:gte": "2026-11-19",
        "duration:gte": "long",
    }
    for name, value in bad.items():
        answer = visitor.page(**{name: value})
        assert answer.status_code == 400
        assert answer.json()["invalid_parameters"][0]["name"] == name
    path = "accounts/self/company_call_recordings?start:gte=2026-11-19T00:00:00+0000"
    assert visitor.ask("GET", path).status_code == 400


def test_what_the_page_leaves_open_can_be_switched(visitor: Visitor) -> None:
    """Page base, page size, totals, emptiness, ids, dates and the end of the list vary."""
    visitor.account.configure(first_page=0, page_size_cap=10, identifiers="string")
    body = visitor.page(page=0, page_size=100).json()
    assert (body["page"], body["page_size"], body["total_pages"]) == (0, 10, 3)
    first = body["_embedded"]["recordings"][0]
    assert [type(first[n]) for n in ("id", "caller_id")] == [str, str]
    assert len(visitor.listed(page=2, page_size=100)) == 5
    visitor.account.configure(totals="absent", nothing_found="absent", date_format="Z")
    body = visitor.page(cnam="NOBODY").json()
    assert not {"_embedded", "total_items", "total_pages"} & set(body)
    assert visitor.page().json()["_embedded"]["recordings"][0]["start"].endswith("Z")
    assert visitor.listed(page=9) == []
    visitor.account.configure(past_the_end="404")
    assert visitor.page(page=9).status_code == 404
    visitor.account.configure(past_the_end="last")
    assert visitor.listed(page=9) == visitor.listed(page=2)


def test_a_date_header_can_be_behind(visitor: Visitor) -> None:
    """The clock offset shows in the Date header."""
    visitor.account.configure(clock_offset=-86400)
    behind = datetime.now(UTC) - parsedate_to_datetime(visitor.page().headers["date"])
    assert timedelta(hours=23, minutes=59) < behind < timedelta(hours=24, minutes=1)


@pytest.mark.parametrize("value", [None, "Basic abc", "Bearer", "Bearer nonsense"])
def test_nothing_is_told_without_a_token(
    simulators: Simulators, visitor: Visitor, value: str | None
) -> None:
    """Every operation answers 401 to a missing or wrong token, and the log tells of it."""
    recording = visitor.account.recordings()[0]["id"]
    listing = "accounts/self/company_call_recordings"
    job = visitor.export()[0]
    asked = [
        ("GET", listing),
        ("GET", f"{listing}/{recording}"),
        ("DELETE", f"{listing}/{recording}"),
        ("POST", f"{listing}/export"),
        ("GET", f"audio/recording/{recording}"),
        ("GET", f"bulkDownload/retrieve?jobId={job}&userName={visitor.account.login_name}"),
    ]
    before = len(simulators.log.unauthorised())
    base = visitor.configuration["base_url"]
    for method, path in asked:
        headers = {} if value is None else {"Authorization": value}
        answer = visitor.http.request(method, f"{base}/api/{path}", headers=headers, json={})
        assert answer.status_code == 401
        assert answer.json()["fault"]["code"] in (900901, 900902)
    assert len(simulators.log.unauthorised()) - before == len(asked)
    assert len(simulators.log.exports(visitor.account.username)) == 1


def test_others_see_nothing(simulators: Simulators, visitor: Visitor) -> None:
    """A foreign account id is 403, a foreign recording and a foreign job are 404, and so is
    one's own job under another userName.
    """
    with Visitor(simulators.vonage.account()) as stranger:
        own = visitor.account
        path = f"accounts/{own.account_id}/company_call_recordings"
        assert stranger.ask("GET", path).status_code == 403
        assert stranger.audio(own.recordings()[0]["id"]).status_code == 404
        own.configure(ready_after_polls=0)
        job = visitor.export()[0]
        assert stranger.retrieve(job).status_code == 404
        query = {"jobId": job, "userName": own.username}
        answer = visitor.ask("GET", "bulkDownload/retrieve", params=query)
        assert answer.status_code == 404
        assert visitor.retrieve(job).status_code == 200


def test_an_unsubscribed_application_is_told_so(visitor: Visitor) -> None:
    """Without a subscription the gateway answers 403 and its own number."""
    visitor.account.configure(subscribed=False)
    answer = visitor.page()
    assert (answer.status_code, answer.json()["fault"]["code"]) == (403, 900908)
