"""Files of the Vonage client: when they are ready, where their bytes belong, whether all came."""

from __future__ import annotations

import pickle

import httpx
import pytest

from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    NotReady,
    ProviderError,
    Throttled,
    Uncertain,
)
from providers.vonage.client import Vonage

from .vonage_accounts import (
    BASE,
    JOB,
    TAG,
    ZIP,
    MemoryShelf,
    Provider,
    account,
    client,
    opened,
    raw,
    retrieved,
    shown,
)


def test_retrieves_a_zip() -> None:
    """India's parameters, with the token; what comes is told of and given byte for byte."""
    provider = Provider(
        raw(200, ZIP[:2], ZIP[2:], Content_Type="application/zip", ETag=TAG, Content_Length="10244")
    )
    vonage, opening = opened(provider)
    with vonage, opening as body:
        assert (body.offset, body.total, body.etag, body.complete) == (0, 10244, TAG, False)
        assert body.content_type == "application/zip"
        assert b"".join(body.chunks()) == ZIP

    request = provider.requests[0]
    address = f"{BASE}/api/bulkDownload/retrieve?jobId={JOB}&userName=john.doe"
    assert (request.method, str(request.url)) == ("GET", address)
    assert request.headers["authorization"] == "Bearer access-1"
    assert request.headers["accept-encoding"] == "identity"
    assert "range" not in request.headers
    assert "if-range" not in request.headers


def test_an_export_of_nothing_is_a_zip() -> None:
    """An empty archive begins with its end record."""
    assert retrieved(raw(200, b"PK\x05\x06" + bytes(18))) == b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (shown({"status": "IN_PROGRESS"}, 202), "the provider is still preparing it (HTTP 202)"),
        (raw(204), "the provider has nothing to send yet (HTTP 204)"),
        (
            shown({"msg": "Export job not found"}, 404),
            "not ready yet (HTTP 404: Export job not found)",
        ),
        (raw(409), "the provider is still preparing it (HTTP 409)"),
        (shown({"msg": "not yet"}, 400), "as far as the answer can be understood (HTTP 400: not"),
        (raw(425), "not ready, as far as the answer can be understood (HTTP 425)"),
        (raw(201, ZIP), "not ready, as far as the answer can be understood (HTTP 201)"),
        (shown({"status": "IN_PROGRESS"}), "the answer was JSON, not a ZIP"),
        (shown([]), "the answer was JSON, not a ZIP"),
        (raw(200, b"\n\n <", b"html>"), "the answer was a page of HTML or XML, not a ZIP"),
        (raw(200, b"<", b"html>", Content_Type="application/zip"), "a page of HTML"),
        (raw(200), "the answer was an empty body, not a ZIP"),
        (raw(200, b"PK"), "the answer was something else, not a ZIP"),
        (raw(200, b"ID3\x04 sound"), "the answer was something else, not a ZIP"),
    ],
)
def test_whatever_is_no_zip_is_not_ready(answer: httpx.Response, reason: str) -> None:
    """An answer that is no ZIP means not ready (docs/providers/vonage.md, Q2)."""
    with pytest.raises(NotReady) as caught:
        retrieved(answer)

    assert str(caught.value).startswith(f"export {JOB}: ")
    assert reason in str(caught.value)


def test_an_unknown_job_may_be_another_users() -> None:
    """A 404 names what to check if it lasts, also after a trip through pickle."""
    with pytest.raises(NotReady) as caught:
        retrieved(shown({"msg": "Export job not found"}, 404))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.if_it_lasts.startswith("or login_name john.doe is not the user")
    with pytest.raises(NotReady) as caught:
        retrieved(raw(409))
    assert caught.value.if_it_lasts == ""


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw(410), Gone),
        (raw(403), BadCredentials),
        (raw(429, Retry_After="9"), Throttled),
        (raw(503), Throttled),
        (raw(500), Uncertain),
        (raw(300), Uncertain),
        (raw(200, httpx.ReadError("reset")), Uncertain),
        (raw(200, b"P", httpx.ReadTimeout("slow")), Uncertain),
    ],
)
def test_not_everything_is_waited_for(answer: httpx.Response, kind: type[ProviderError]) -> None:
    """An export that is gone, refused credentials and a broken server are told apart from one that
    is not ready.
    """
    with pytest.raises(ProviderError) as caught:
        retrieved(answer)
    assert type(caught.value) is kind


def test_a_token_that_died_is_renewed_before_a_file_too() -> None:
    """The answer to the second try is streamed."""
    assert retrieved(raw(401), raw(200, ZIP)) == ZIP
    with pytest.raises(BadCredentials):
        retrieved(raw(401), raw(401))


def test_downloads_one_recording() -> None:
    """The audio of a recording, with the same rules for its bytes."""
    provider = Provider(raw(200, b"ID3", b"sound", Content_Type="audio/mpeg"))
    with (
        Vonage(account(), MemoryShelf(), transport=provider) as vonage,
        vonage.audio("193228") as body,
    ):
        assert (body.content_type, b"".join(body.chunks())) == ("audio/mpeg", b"ID3sound")

    assert str(provider.requests[0].url) == f"{BASE}/api/audio/recording/193228"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (shown({"msg": "no"}, 404), NotFound),
        (raw(410), Gone),
        (raw(202), Uncertain),
        (raw(204), Uncertain),
        (raw(500), Uncertain),
    ],
)
def test_audio_that_does_not_come(answer: httpx.Response, kind: type[ProviderError]) -> None:
    """A recording is there or not; it is never "not ready"."""
    with client(answer) as vonage, pytest.raises(ProviderError) as caught, vonage.audio("1"):
        pass
    assert type(caught.value) is kind


def test_a_retrieval_needs_no_login_name() -> None:
    """Without one the parameter is empty, and a 404 says so."""
    provider = Provider(raw(404))
    with (
        Vonage(account(access_token="static"), MemoryShelf(), transport=provider) as vonage,
        pytest.raises(NotReady) as caught,
        vonage.retrieve(JOB),
    ):
        pass
    assert "login_name (none is set) is not the user" in caught.value.if_it_lasts
    assert provider.requests[0].url.query.decode() == f"jobId={JOB}&userName="
