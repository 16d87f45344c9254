"""The Vonage client, operation by operation: what it sends, and what counts as done."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from providers.errors import BadCredentials, NotFound, Rejected, Uncertain
from providers.vonage.client import Vonage

from .vonage_accounts import (
    BASE,
    LISTING,
    MemoryShelf,
    Provider,
    account,
    client,
    raw,
    recording,
    shown,
)

FILTERS = {"start:gte": "2026-11-19T18:30:00Z", "start:lte": "2026-11-20T18:29:59Z"}


def asked(provider: Provider, **more: Any) -> Vonage:
    """A client of this provider."""
    return Vonage(account(), MemoryShelf(), transport=provider, **more)


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    ("told", "ids"),
    [
        (["afa725fb-d418-4eaf-b3f9-0e66396fafdc"], ["afa725fb-d418-4eaf-b3f9-0e66396fafdc"]),
        (["a", "b", "a"], ["a", "b"]),
        ([17, "18"], ["17", "18"]),
        ([], []),
    ],
)
def test_an_export_becomes_jobs(status: int, told: list[Any], ids: list[str]) -> None:
    """Three statuses mean "created"; one request becomes several jobs, one or none."""
    provider = Provider(shown({"job_ids": told}, status))
    with asked(provider) as vonage:
        assert vonage.export(FILTERS) == ids

    request = provider.requests[0]
    assert (request.method, str(request.url)) == ("POST", f"{LISTING}/export")
    assert json.loads(request.content) == FILTERS
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer access-1"


def test_an_export_of_everything_has_a_body() -> None:
    """The sibling API requires a body: without filters it is an empty object."""
    provider = Provider(shown({"job_ids": []}))
    with asked(provider) as vonage:
        vonage.export({})

    assert provider.requests[0].content == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        shown({}),
        shown({"job_ids": None}),
        shown({"job_ids": "one"}),
        shown({"job_ids": [None]}),
        shown({"job_ids": [""]}),
        shown({"job_ids": [{"id": 1}]}),
        raw(204),
        raw(202, b""),
    ],
)
def test_a_creation_that_is_not_understood_is_uncertain(answer: httpx.Response) -> None:
    """An export may have been created: no answer without readable ids says that there are none."""
    with client(answer) as vonage, pytest.raises(Uncertain):
        vonage.export({})


def test_gets_one_recording_with_every_field() -> None:
    """Ids become text, times UTC, and nothing of the vendor's is lost."""
    provider = Provider(shown(recording(193228, transcript={"words": 3})))
    with asked(provider) as vonage:
        found = vonage.recording("193228").line()

    assert str(provider.requests[0].url) == f"{LISTING}/193228"
    assert found == {
        **recording(),
        "id": "193228",
        "caller_id": "17325550100",
        "extensions": ["999"],
        "rule_ids": ["1989", "2012", "449"],
        "start": "2019-01-01T00:00:00Z",
        "end": "2019-01-01T00:00:00Z",
        "transcript": {"words": 3},
    }


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-20T03:04:05Z", "2026-11-20T03:04:05Z"),
        ("2026-11-20T03:04:05+0000", "2026-11-20T03:04:05Z"),
        ("2026-11-20T08:34:05+05:30", "2026-11-20T03:04:05Z"),
        ("2026-11-20T08:34:05+0530", "2026-11-20T03:04:05Z"),
        ("2026-11-19T22:04:05-0500", "2026-11-20T03:04:05Z"),
        ("2026-11-20T03:04:05.678Z", "2026-11-20T03:04:05.678Z"),
        (" 2026-11-20 03:04:05 ", "2026-11-20T03:04:05Z"),
    ],
)
def test_reads_every_form_of_a_date(text: str, instant: str) -> None:
    """Z, an offset with or without a colon, or none at all: the same instant in UTC."""
    with client(shown(recording(start=text, end=text))) as vonage:
        found = vonage.recording("193228").line()

    assert (found["start"], found["end"]) == (instant, instant)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"id": "193228"}, {"id": "193228"}),
        ({"id": 193228.0}, {"id": "193228"}),
        ({"caller_id": None, "dnis": 34600, "cnam": None}, {"caller_id": None, "dnis": "34600"}),
        ({"caller_id": 1.732555010e10}, {"caller_id": "17325550100"}),
        ({"cnam": ""}, {"cnam": ""}),
        ({"extensions": None, "rule_ids": ["1", 2]}, {"extensions": [], "rule_ids": ["1", "2"]}),
        ({"extensions": 3101}, {"extensions": ["3101"]}),
        ({"duration": "60000"}, {"duration": 60000}),
        ({"file_name": 730048}, {"file_name": "730048"}),
        ({"file_name": None}, {"file_name": None}),
        ({"duration": None, "file_size_in_bytes": "?"}, {"file_size_in_bytes": None}),
        ({"end": None}, {"end": None}),
        ({"call_direction": "SIDEWAYS"}, {"call_direction": "SIDEWAYS"}),
    ],
)
def test_reads_values_of_either_type(told: dict[str, Any], read: dict[str, Any]) -> None:
    """Values of either type are read, and null (docs/providers/vonage.md, Q6)."""
    with client(shown(recording(**{"id": 193228, **told}))) as vonage:
        found = vonage.recording("193228").line()

    assert {name: found[name] for name in read} == read


@pytest.mark.parametrize(
    "told", [{"id": None}, {"id": ""}, {"start": None}, {"start": ""}, {"start": "yesterday"}]
)
def test_a_recording_needs_an_id_and_a_start(told: dict[str, Any]) -> None:
    """Without them it could neither be fetched nor be given to a day."""
    with client(shown({**recording(), **told})) as vonage, pytest.raises(Uncertain):
        vonage.recording("193228").line()


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [(raw(204), True), (raw(200), True), (shown({"msg": "?"}, 404), False), (raw(410), False)],
)
def test_deletes_a_recording(answer: httpx.Response, deleted: bool) -> None:
    """204 is success, and what is not there any more needs no deletion."""
    provider = Provider(answer)
    with asked(provider) as vonage:
        assert vonage.delete("193228") is deleted

    assert (provider.requests[0].method, provider.requests[0].url) == (
        "DELETE",
        f"{LISTING}/193228",
    )


def test_a_missing_recording_is_said() -> None:
    """Looking at a recording that is not there is no success."""
    with (
        client(shown({"msg": "Recording not found"}, 404)) as vonage,
        pytest.raises(NotFound, match=r"recording 1: HTTP 404 \(Recording not found\)"),
    ):
        vonage.recording("1").line()


@pytest.mark.parametrize(
    ("identifier", "path"),
    [("a/b?c#d", "a%2Fb%3Fc%23d"), ("../x", "..%2Fx"), ("é %", "%C3%A9%20%25")],
)
def test_an_id_never_leaves_its_place(identifier: str, path: str) -> None:
    """Whatever an id holds, it is one component of the path."""
    provider = Provider(raw(204))
    with asked(provider) as vonage:
        vonage.delete(identifier)

    assert provider.requests[0].url.raw_path.decode().endswith(f"/company_call_recordings/{path}")


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_an_id_that_would_name_the_list_is_refused(identifier: str) -> None:
    """An empty id, or dots, would send a deletion to another address: nothing is sent."""
    acts: list[Callable[[Vonage], object]] = [
        lambda vonage: vonage.delete(identifier),
        lambda vonage: vonage.recording(identifier).line(),
        lambda vonage: vonage.audio(identifier).__enter__(),
    ]
    for act in acts:
        with client() as vonage, pytest.raises(Rejected, match="is not the id"):
            act(vonage)


def test_the_account_id_is_escaped() -> None:
    """It is a component of each path too."""
    provider = Provider(raw(204))
    with Vonage(account(account_id="a/b"), MemoryShelf(), transport=provider) as vonage:
        vonage.delete("1")

    assert provider.requests[0].url == f"{BASE}/api/accounts/a%2Fb/company_call_recordings/1"


def test_knows_the_providers_time() -> None:
    """The Date of the newest answer, also of one that says no; an answer without keeps it."""
    date = "Fri, 20 Nov 2026 03:04:05 GMT"
    with client(raw(404, Date=date), raw(204), raw(204, Date="soon")) as vonage:
        assert vonage.provider_time is None
        for _ in range(3):
            vonage.delete("1")
            assert vonage.provider_time == datetime(2026, 11, 20, 3, 4, 5, tzinfo=UTC)


def test_each_call_is_announced() -> None:
    """`before_call` comes before each request, the second try after a 401 too, and may refuse."""
    provider = Provider(raw(401), raw(204))
    before: list[int] = []

    def refuse() -> None:
        raise InterruptedError("not now")

    with asked(provider, before_call=lambda: before.append(len(provider.requests))) as vonage:
        vonage.delete("1")
    assert before == [0, 1]

    provider = Provider()
    with asked(provider, before_call=refuse) as vonage, pytest.raises(InterruptedError):
        vonage.delete("1")
    assert provider.requests == []


def test_a_refused_token_is_renewed_once() -> None:
    """A 401 is answered by one renewal; a second 401 means the credentials."""
    provider = Provider(raw(401), raw(401))
    with asked(provider) as vonage, pytest.raises(BadCredentials):
        vonage.delete("1")

    assert provider.grant_types == ["password", "refresh_token"]
    sent = [request.headers["authorization"] for request in provider.requests]
    assert sent == ["Bearer access-1", "Bearer access-2"]


def test_a_forbidden_call_renews_nothing() -> None:
    """A 403 says that the token is known: another would not help."""
    provider = Provider(shown({"msg": "no"}, 403))
    with asked(provider) as vonage, pytest.raises(BadCredentials):
        vonage.delete("1")

    assert provider.grant_types == ["password"]
