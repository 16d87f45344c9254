"""Errors of providers: one tree, rebuilt from their args, and without anybody's secrets."""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from config import masking
from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
    Unreachable,
)
from providers.vonage.client import Vonage
from providers.vonage.refusals import error_reason

from .vonage_accounts import (
    CALLER,
    CLIENT_SECRET,
    PASSWORD,
    MemoryShelf,
    Provider,
    account,
    client,
    granted,
    raw,
    recording,
    shown,
)

XML = (
    '<ams:fault xmlns:ams="http://wso2.org/apimanager/security"><ams:code>{0}</ams:code>'
    "<ams:message>Access failure</ams:message>"
    "<ams:description>No access to API</ams:description></ams:fault>"
)
PROBLEM = (
    b'{"status":400,"title":"Bad Request","instance":"/",'
    b'"invalid_parameters":[{"name":"start:gte","reason":"is no date"}]}'
)
VIS = (
    b'{"errorCode":"VIS-1","errorMessage":"Invalid",'
    b'"errors":[{"field":"dnis","message":"too long"}]}'
)
HTML = b"<!DOCTYPE html><html><body>Bad gateway<br></body></html>"


def fault(code: int) -> dict[str, Any]:
    """WSO2's JSON."""
    return {"fault": {"code": code, "message": "Access failure", "description": "No access"}}


def kinds(root: type[ProviderError]) -> Iterator[type[ProviderError]]:
    """The whole tree."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds(ProviderError)), ids=lambda kind: kind.__name__)
def test_errors_are_rebuilt_from_their_args(kind: type[ProviderError]) -> None:
    """Pickle and Celery's result backend bring back the same error."""
    more = (7.5,) if kind is Throttled else ()
    error = kind("vonage", "the reason", *more)

    for again in (pickle.loads(pickle.dumps(error)), kind(*error.args)):
        assert (type(again), again.args, str(again)) == (kind, error.args, "the reason")
        assert (again.provider, vars(again)) == ("vonage", vars(error))


@pytest.mark.parametrize(
    ("body", "reason", "code"),
    [
        (
            b'{"fault":{"code":900902,"message":"Missing Credentials","description":"Send them"}}',
            "Missing Credentials: Send them",
            "900902",
        ),
        (XML.format(900901).encode(), "Access failure: No access to API", "900901"),
        (XML.format(" 900901\n").encode(), "Access failure: No access to API", "900901"),
        (
            b'{"code":"900908","message":"Resource forbidden","description":"Not subscribed"}',
            "Resource forbidden: Not subscribed",
            "900908",
        ),
        (
            PROBLEM,
            "Bad Request: start:gte: is no date",
            None,
        ),
        (b'{"msg":"User not found","status":404}', "User not found", None),
        (
            VIS,
            "Invalid: dnis: too long",
            None,
        ),
        (
            b'{"error":"invalid_grant","error_description":"Authentication failed"}',
            "invalid_grant: Authentication failed",
            None,
        ),
        (HTML, "a page of HTML", None),
        (b"<html><p>not even XML", "a page of HTML", None),
        (b"<a><b></a>", "unreadable XML", None),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "unreadable XML", None),
        (b"{", "", None),
        (b"[" * 60000, "", None),
        (b"[1]", "", None),
        (b"\xff\xfe", "", None),
        (b"", "", None),
    ],
)
def test_reads_errors_of_every_shape(body: bytes, reason: str, code: str | None) -> None:
    """Whichever layer refuses, its reason becomes one line (docs/providers/vonage.md, Q7)."""
    assert error_reason(body) == (reason, code)


def test_reasons_are_short_and_hold_no_numbers_and_tokens() -> None:
    """What a body quotes of people and tokens is not passed on."""
    body = b'{"msg": "%s of +34 600 123 456 (7d1f2a3b4c5d6e7f8a9b0c1d2e)\\n%s"}' % (
        CALLER.encode(),
        b"x " * 1000,
    )

    reason, _ = error_reason(body)

    assert reason.startswith("***456 of ***456 *** x x")
    assert len(reason) <= 300


def test_a_password_of_several_words_is_hidden_whole() -> None:
    """A body that repeats a secret with spaces in it leaves none of its words behind."""
    masking.conceal(["trouble-0123456789ab staple horse"])
    try:
        body = b'{"error_description": "no user with trouble-0123456789ab staple horse!"}'
        reason, _ = error_reason(body)
    finally:
        masking.conceal([])
    assert reason.startswith("no user with ")
    assert not {"trouble", "staple", "horse"} & set(re.findall(r"[a-z]+", reason))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda: shown({"msg": "no"}, 400), Rejected),
        (lambda: shown({"msg": "no"}, 409), Rejected),
        (lambda: shown(fault(900900), 403), BadCredentials),
        (lambda: shown({"msg": "no"}, 404), NotFound),
        (lambda: raw(410), Gone),
        (lambda: raw(408), Uncertain),
        (lambda: raw(500, HTML), Uncertain),
        (lambda: raw(502), Uncertain),
        (lambda: raw(302, Location="https://elsewhere.example/"), Uncertain),
        (lambda: raw(203, b"{}"), Uncertain),
        (lambda: raw(200, HTML), Uncertain),
        (lambda: raw(200, b""), Uncertain),
        (lambda: raw(200, b"[]"), Uncertain),
        (lambda: raw(200, b"{}"), Uncertain),
        (lambda: raw(200, *[b" " * (1 << 20)] * 17), Uncertain),
        (lambda: raw(200, b'{"_links', httpx.ReadError("cut")), Uncertain),
        (lambda: raw(200, b"no gzip", Content_Encoding="gzip"), Uncertain),
        (lambda: httpx.ConnectError("refused"), Unreachable),
        (lambda: httpx.ConnectTimeout("slow"), Unreachable),
        (lambda: httpx.ReadTimeout("slow"), Uncertain),
        (lambda: httpx.WriteError("reset"), Uncertain),
        (lambda: httpx.RemoteProtocolError("closed"), Uncertain),
    ],
)
def test_tells_what_an_answer_means(answer: Any, kind: type[ProviderError]) -> None:
    """Not sent, not known, or refused: nothing else, and never a success by mistake."""
    with client(answer()) as vonage, pytest.raises(ProviderError) as caught:
        vonage.recordings({})

    assert type(caught.value) is kind


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("code", [900908, 900909])
def test_says_that_the_application_is_not_subscribed(status: int, code: int) -> None:
    """The gateway's code for it asks for another remedy than new credentials, so none are got."""
    for body in (XML.format(code).encode(), str(fault(code)).replace("'", '"').encode()):
        provider = Provider(raw(status, body))
        with (
            Vonage(account(), MemoryShelf(), transport=provider) as vonage,
            pytest.raises(BadCredentials, match="not subscribed to the CallRecording API"),
        ):
            vonage.recordings({})
        assert len(provider.forms) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_wrong_base_url_is_no_missing_recording(status: int) -> None:
    """The gateway's "no such resource" ends neither a list nor a deletion as if all were done."""
    for act in (lambda v: v.delete("1"), lambda v: list(v.every_recording({}))):
        with (
            client(shown(fault(900906), status)) as vonage,
            pytest.raises(Rejected, match="check base_url") as caught,
        ):
            act(vonage)
        assert type(caught.value) is Rejected


@pytest.mark.parametrize("text", ["a", ".", "+", "a@", "a" * 19 + " ", "1 ", "<", "=/"])
def test_no_body_takes_long_to_read(text: str) -> None:
    """No call's deadline ends a computation: one of 64 KiB once took 20 seconds."""
    body = b'{"msg": "%s"}' % (text * (60_000 // len(text))).encode()
    began = time.process_time()
    error_reason(body)

    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "999999999"}, 86400),
        ({"Retry-After": "Fri, 20 Nov 9026 03:04:05 GMT"}, 86400),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "²"}, None),
        (
            {
                "Date": "Fri, 20 Nov 2026 03:04:05 GMT",
                "Retry-After": "Fri, 20 Nov 2026 03:05:05 GMT",
            },
            60,
        ),
        (
            {
                "Date": "Fri, 20 Nov 2026 03:04:05 GMT",
                "Retry-After": "Fri, 20 Nov 2026 03:04:00 GMT",
            },
            0,
        ),
        ({"Retry-After": "Fri, 20 Nov 2015 03:04:05 GMT"}, 0),
        ({"Retry-After": "Fri, 99 Nov 2026 03:04:05 GMT"}, None),
        # In UTC it is a day of the year 10000.
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -0100"}, None),
        ({"Retry-After": "7", "Date": "Fri, 31 Dec 9999 23:59:59 -0100"}, 7),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_reads_how_long_to_wait(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Retry-After in seconds or as a date, judged by the provider's own clock, or absent; a day at
    most, so that no slip of the provider's silences an account for ever.
    """
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = httpx.Response(status, headers=encoded, content=b"")
    answer.stream = raw(status).stream
    with client(answer) as vonage, pytest.raises(Throttled) as caught:
        vonage.export({})

    assert caught.value.retry_after == seconds


def words(error: BaseException) -> Iterator[str]:
    """All that an error carries with it: text, args, causes, and the locals of its frames that
    belong to providers/.
    """
    yield from (str(error), repr(error), repr(error.args))
    for cause in (error.__cause__, error.__context__):
        assert cause is None, "an error of httpx holds the request"
    trace = error.__traceback__
    while trace is not None:
        if "/providers/" in trace.tb_frame.f_code.co_filename:
            yield repr(trace.tb_frame.f_locals)
        trace = trace.tb_next


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError(f"cannot reach ?caller_id={CALLER}"),
        httpx.ReadError(f"reset at ?caller_id={CALLER}"),
        lambda request: raw(401, request.headers["authorization"].encode()),
        lambda request: shown({"msg": request.headers["authorization"]}, 400),
        lambda request: shown({"msg": str(request.url)}, 500),
        lambda _: shown({"call": CALLER}),
        lambda _: shown({"_embedded": {"recordings": [CALLER]}}),
        lambda _: shown({"_embedded": recording(None, caller_id=CALLER)}),
    ],
)
def test_errors_of_calls_carry_no_secret(failure: Any) -> None:
    """Neither token nor number, however the call failed and whatever the answer quotes."""
    masking.conceal([])
    with client(failure, failure) as vonage, pytest.raises(ProviderError) as caught:
        vonage.recordings({"extension": "1"})

    for text in words(caught.value):
        assert "access-" not in text
        assert CALLER not in text


def test_numbers_that_were_asked_for_stay_out_of_the_reason() -> None:
    """The address of a list holds the numbers that were searched: no error repeats it."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(f"reset at {request.url}", request=request)

    with client(broken) as vonage, pytest.raises(Uncertain) as caught:
        vonage.recordings({"caller_id": CALLER})

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert CALLER not in str(caught.value) + repr(caught.value.args)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("cannot reach"),
        httpx.ReadError("reset"),
        lambda request: raw(400, request.read()),
        lambda _: shown(
            {"error": "invalid_grant", "error_description": f"{PASSWORD} {CLIENT_SECRET}"}, 401
        ),
        lambda request: raw(500, request.read()),
        lambda _: granted(access_token="bad\nvalue"),
        lambda _: granted(access_token=None),
    ],
)
def test_errors_of_logins_carry_no_secret(failure: Any) -> None:
    """Neither password nor client secret nor token, however the login failed."""
    masking.conceal([])
    provider = Provider(grants=[failure])
    with (
        Vonage(account(), MemoryShelf(), transport=provider) as vonage,
        pytest.raises(ProviderError) as caught,
    ):
        vonage.recordings({})

    for text in words(caught.value):
        for secret in (PASSWORD, CLIENT_SECRET, "refresh-1", "bad\\nvalue"):
            assert secret not in text
