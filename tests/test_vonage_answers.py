"""Readings of answers: the vendor's own examples, and values that nobody could store or ask for."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from providers.errors import Uncertain
from providers.vonage.client import Vonage

from .vonage_accounts import MemoryShelf, account, client, listed, raw, recording, shown

SAMPLES = Path(__file__).parent / "samples" / "vonage"
BASE = "https://api.vonage.com/t/vbc.prod/call_recording_india"
COMPANY = f"{BASE}/api/accounts/549825/company_call_recordings"

READ = {
    "id": "193228",
    "caller_id": "17325550100",
    "dnis": "17325550100",
    "extensions": ["999"],
    "rule_ids": ["1989", "2012", "449"],
    "start": "2019-01-01T00:00:00Z",
    "end": "2019-01-01T00:00:00Z",
}


def sample(name: str) -> bytes:
    """An example of the vendor's page."""
    return (SAMPLES / name).read_bytes()


def asking(act: Callable[[Vonage], object], answer: httpx.Response) -> tuple[object, httpx.Request]:
    """What the vendor's own account gets for an answer, and what it sent."""
    sent: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer

    token = SecretStr("YOUR_TOKEN")
    known = account(access_token=token, base_url=BASE, account_id="549825", login_name="john.doe")
    with Vonage(known, MemoryShelf(), transport=httpx.MockTransport(answered)) as vonage:
        return act(vonage), sent[0]


def begun(opening: Any) -> bytes:
    """The bytes of a file."""
    with opening as body:
        return b"".join(body.chunks())


def test_every_example_is_listed() -> None:
    """Where each comes from is written beside it, and what was corrected in it."""
    about = tomllib.loads(sample("samples.toml").decode())
    names = {path.name for path in SAMPLES.iterdir()} - {"samples.toml"}

    assert set(about["files"]) == names
    for change in [*about["corrections"], *about["kept"]]:
        assert change["file"] in names
        assert change["because"]
    for change in about["corrections"]:
        assert change["is"] in sample(change["file"]).decode()
        assert change["was"] not in sample(change["file"]).decode()


def test_reads_the_vendors_list() -> None:
    """Every field is kept; placeholders are no totals to end by, and its links are not followed."""
    found, request = asking(
        lambda vonage: vonage.recordings({}).result(),
        httpx.Response(200, content=sample("list.json")),
    )
    (told,) = json.loads(sample("list.json"))["_embedded"]["recordings"]

    assert found == {
        "recordings": [{**told, **READ}],
        "page": 1,
        "page_size": 10,
        "total_items": 0,
        "total_pages": 0,
    }
    assert request.url.copy_with(query=None) == COMPANY


def test_reads_the_vendors_recording() -> None:
    """On its own it is the same as in the list."""
    found, request = asking(
        lambda vonage: vonage.recording("193228").line(),
        httpx.Response(200, content=sample("recording.json")),
    )

    assert found == {**json.loads(sample("recording.json")), **READ}
    assert request.url == json.loads(sample("recording.json"))["_links"]["self"]["href"]


def test_sends_the_vendors_export() -> None:
    """The body as it is asked for, and the ids of the answer."""
    filters = json.loads(sample("export_request.json"))
    ids, request = asking(
        lambda vonage: vonage.export(filters),
        httpx.Response(201, content=sample("export_answer.json")),
    )

    assert ids == ["afa725fb-d418-4eaf-b3f9-0e66396fafdc"]
    assert (request.method, str(request.url)) == ("POST", f"{COMPANY}/export")
    assert json.loads(request.content) == filters


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("audio.curl", lambda vonage: begun(vonage.audio("193228"))),
        (
            "retrieve.curl",
            lambda vonage: begun(vonage.retrieve("7a688e12-99ee-4816-8385-b21b90583838")),
        ),
    ],
)
def test_downloads_as_the_vendors_commands_do(name: str, act: Callable[[Vonage], object]) -> None:
    """The same address and the same header."""
    _, method, verb, address, _, header, *_ = shlex.split(sample(name).decode())
    _, request = asking(act, raw(200, b"PK\x05\x06" + bytes(18)))

    assert (method, verb, request.method) == ("-X", "GET", "GET")
    assert request.url == address
    assert f"Authorization: {request.headers['authorization']}" == header


@pytest.mark.parametrize(
    "identifier", ["\\ud800", "a\\u0000b", "a\\nb", True, {}, [1], float("nan"), float("inf")]
)
def test_an_id_that_cannot_be_asked_for_is_none(identifier: Any) -> None:
    """Neither a recording nor an export is known by what cannot be sent, or stored."""
    text = json.dumps(identifier).replace("\\\\", "\\")
    whole = json.dumps({**recording("ID"), "job_ids": ["ID"]}).replace('"ID"', text).encode()
    with client(raw(200, whole)) as vonage, pytest.raises(Uncertain, match="has no id"):
        vonage.recording("1").line()
    with client(raw(201, whole)) as vonage, pytest.raises(Uncertain, match="could not be read"):
        vonage.export({})


@pytest.mark.parametrize("size", ["-1", "1e999", "NaN", "Infinity", "1" + "0" * 30, "true", '"?"'])
def test_a_size_that_no_file_has_is_unknown(size: str) -> None:
    """It would be waited for in vain, or break what stores it."""
    whole = json.dumps({**recording(), "file_size_in_bytes": 0}).replace(": 0,", f": {size},")
    with client(raw(200, whole.encode())) as vonage:
        assert vonage.recording("1").line()["file_size_in_bytes"] is None


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_json_is_not_passed_on(number: str) -> None:
    """In the archive's lines jq could not read it."""
    whole = json.dumps({**recording(), "score": 0.5}).replace("0.5", number).encode()
    with client(raw(200, whole)) as vonage:
        assert vonage.recording("1").line()["score"] is None


def test_names_come_as_they_are() -> None:
    """Whatever letters they have, and halves of letters too: the archive writes those escaped."""
    with client(listed(recording(cnam="Ñandú 😀"), recording(2, cnam="cut \ud83d"))) as vonage:
        names = [one["cnam"] for one in vonage.recordings({}).result()["recordings"]]
    assert names == ["Ñandú 😀", "cut \ud83d"]


@pytest.mark.parametrize(
    "embedded", [{"items": [recording()]}, {"recordings": "none"}, "none", [recording()]]
)
def test_a_list_by_another_name_is_no_empty_list(embedded: Any) -> None:
    """Else a day would count as one without recordings."""
    with client(shown({"_embedded": embedded, "page": 1})) as vonage, pytest.raises(Uncertain):
        vonage.recordings({})


@pytest.mark.parametrize(
    "answer",
    [
        raw(200, b"<html>sign in</html>"),
        raw(200, b"signed out"),
        shown([1]),
        shown({"fault": {"code": 900800, "message": "later"}}),
    ],
)
def test_a_deletion_is_not_believed_to_just_anybody(answer: httpx.Response) -> None:
    """A page that something in between answers with deletes nothing."""
    with client(answer) as vonage, pytest.raises(Uncertain, match="the deletion of recording 1"):
        vonage.delete("1")


@pytest.mark.parametrize("answer", [raw(200), raw(200, b" \n"), raw(202), shown({"msg": "done"})])
def test_a_deletion_may_be_confirmed_in_words(answer: httpx.Response) -> None:
    """An answer without a body confirms a deletion, and so does one in JSON."""
    with client(answer) as vonage:
        assert vonage.delete("1") is True
