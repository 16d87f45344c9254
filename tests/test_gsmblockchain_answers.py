"""Readings of a certified call's answer: the vendor's own example, JSON, and what is neither."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from providers.errors import BadCredentials, Rejected, Uncertain
from providers.gsmblockchain.client import Placed, Refused, Unanswered

from .gsmblockchain_calls import account, call, told

SAMPLES = Path(__file__).parent / "samples" / "gsmblockchain"
BOM = "\ufeff"


def test_every_sample_is_accounted_for() -> None:
    """Where each comes from and what is odd about it stands beside it."""
    about = tomllib.loads((SAMPLES / "samples.toml").read_text(encoding="utf-8"))
    names = {path.name for path in SAMPLES.iterdir()} - {"samples.toml"}

    assert set(about["files"]) == names
    assert {kept["file"] for kept in about["kept"]} <= names


def test_the_documented_answer_is_read() -> None:
    """Although it is not JSON: bare keys, curly quotes, a bare number and a trailing comma."""
    body = (SAMPLES / "answer.txt").read_bytes()
    with pytest.raises(ValueError, match="Expecting property name"):
        json.loads(body)

    assert told(body) == Placed("912080202", 200, body)


def test_the_documented_request_is_sent() -> None:
    """Every parameter of the page's example with its value, and the company's id in both of its
    spellings.
    """
    example = (SAMPLES / "request.txt").read_text(encoding="utf-8").strip()
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        request.extensions["trace"]("http11.send_request_headers.started", {})
        return httpx.Response(200, content=b'{"status":"OK"}')

    call(
        account("https://sms.gsmblockchain.com", username="myuser", password="mypass"),
        transport=httpx.MockTransport(answer),
        country="es",
        company_name="MyCompany",
        company_id="A4562154",
    )

    (request,) = sent
    assert request.method == "GET"
    assert str(request.url).partition("?")[0] == example.partition("?")[0]
    expected = {**parse_qs(urlsplit(example).query), "companyID": ["A4562154"]}
    assert parse_qs(request.url.query.decode()) == expected


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ('{"status":"OK","phone":912080202}', "912080202"),
        ('{"status":"OK","phone":"912080202"}', "912080202"),
        ('{"status":"OK","phone":"0912080202"}', "0912080202"),
        ('{"status":"OK","phone":0912080202}', "0912080202"),
        ('{"status":"OK","phone":"+34 912 08 02 02"}', "+34 912 08 02 02"),
        ('{"status":"OK","phone":" 912080202 "}', "912080202"),
        ('{"status":"OK"}', None),
        ('{"status":"OK","phone":null}', None),
        ('{"status":"OK","phone":""}', None),
        ('{"status":"OK","phone":true}', None),
        ('{"status":"OK","phone":[912080202]}', None),
        ('{"status":"OK","phone":"none"}', None),
        ('{"status":"OK","phone":' + "9" * 5000 + "}", None),
        ('{"status":"ok","phone":912080202}', "912080202"),
        ('{"phone":912080202,"status":"Ok","more":{"a":[1,{"status":"KO"}]}}', "912080202"),
        ('{"status":"OK","status":"OK","phone":1234567}', "1234567"),
        ('{"Status":"OK","Phone":912080202}', "912080202"),
        (f'{BOM} \r\n{{"status":"OK","phone":912080202}}\n\n', "912080202"),
        (f"{BOM}{{ status : “OK” , phone : 912080202 }}", "912080202"),
        ("{status:“OK”,phone:0912080202,}", "0912080202"),
        ("{status:“OK”,phone:“0912080202”}", "0912080202"),
        ("{phone:+34912080202,status:“ok”}", "+34912080202"),
        ('{status: "OK", phone: null}', None),
        ("{“status”: “OK”, “phone”: “912080202”, price: 0.25,}", "912080202"),
        ("{\nstatus: “OK”\n}", None),
        ('{"status":"OK","errorMessage":""}', None),
    ],
)
def test_an_ok_is_a_call(text: str, phone: str | None) -> None:
    """In JSON or as on the page; the phone as a number or text, with its zeros, or not at all."""
    assert told(text.encode()) == Placed(phone, 200, text.encode())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"status":"KO","errorMessage":"No credit left"}', "No credit left"),
        ('{"status":"ko","errorMessage":"Sin saldo: recárguelo"}', "Sin saldo: recárguelo"),
        ("{\nstatus: “KO”,\nerrorMessage: “No credit left”,\n}", "No credit left"),
        ('{status: "KO", errorMessage: "Say \\"please\\""}', 'Say "please"'),
        ('{"status":"KO","errorMessage":"two\\nlines\\t\\u001b[2J"}', "two lines [2J"),
        ('{"status":"KO","errorMessage":"half a pair \\ud83d"}', "half a pair"),
        ('{"status":"KO","errorMessage":7}', "7"),
        ('{"status":"KO"}', "without a reason"),
        ('{"status":"KO","errorMessage":null,"phone":912080202}', "without a reason"),
        ("{status: “KO”, errorMessage: null}", "without a reason"),
    ],
)
def test_a_ko_is_a_refusal(text: str, reason: str) -> None:
    """With the platform's own reason, on one line."""
    with pytest.raises(Refused) as caught:
        told(text.encode())

    assert reason in str(caught.value)
    assert "not placed" in str(caught.value)
    assert str(caught.value).isprintable()
    assert (caught.value.http_status, caught.value.answer) == (200, text.encode())
    assert not isinstance(caught.value, BadCredentials)


@pytest.mark.parametrize(
    ("message", "are_bad"),
    [
        ("Wrong user or password", True),
        ("Invalid credentials.", True),
        ("INCORRECT PASSWORD", True),
        ("Usuario o contraseña incorrectos", True),
        ("Usuario o contrasen\u0303a no válidos", True),
        ("user/pass not valid", True),
        ("Missing parameter: pass", False),
        ("Invalid phone", False),
        ("The user has no credit", False),
        ("companyID did not pass: incorrect", False),
        ("Your password expires soon; no credit", False),
    ],
)
def test_credentials_are_bad_only_when_it_says_so(message: str, are_bad: bool) -> None:
    """The texts are documented nowhere: a doubtful one is only a refusal."""
    with pytest.raises(Rejected) as caught:
        told(json.dumps({"status": "KO", "errorMessage": message}).encode())

    assert isinstance(caught.value, Refused)
    assert isinstance(caught.value, BadCredentials) == are_bad
    assert ("check username and password" in str(caught.value)) == are_bad


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"OK",
        b"status: OK",
        b'"OK"',
        b"null",
        b"true",
        b"[]",
        b'[{"status":"OK"}]',
        b'[["status","OK"]]',
        b"{}",
        b"{,}",
        b'{"phone":912080202}',
        b'{"status":"OKAY"}',
        b'{"status":" OK"}',
        b'{"status":true}',
        b'{"status":1}',
        b'{"status":null}',
        b'{"status":["OK"]}',
        b'{"result":{"status":"OK"}}',
        b'{"message":"status: OK"}',
        b'{"status":"OK","status":"KO"}',
        b'{"status":"KO","Status":"OK"}',
        b'{"status":"OK","phone":912080202,"phone":912080203}',
        b'{"status":"OK"}{"status":"KO"}',
        b'{"status":"OK"} trailing',
        b'{"status":"OK"}<br />',
        b'Notice: x in y.php\n{"status":"OK"}',
        b'{"status":"OK"',
        b'{"status":"OK","phone":9120',
        b'{"status":"OK","phone":NaN}',
        b'{"status":"OK","more":' + b"[" * 20000,
        b"{'status':'OK'}",
        b"{status:OK}",
        b'{status:"OK}',
        b'{status:"OK\\x"}',
        b'{status:"OK" phone:912080202}',
        b'{status:"OK",,phone:912080202}',
        b'{status:"OK",{phone:912080202}}',
        '{status:“OK"}'.encode(),
        "{status:”OK”}".encode(),
        "{status:“OK”,status:“KO”}".encode(),
        "{status:“OK”,phone:912080202,} OK".encode(),
        "{status:“OK”,".encode(),
        b'\xff\xfe{"status":"OK"}',
        '{"status":"OK"}'.encode("utf-16"),
        b'{"status":"OK","name":"Pe\xf1a"}',
        b"<html><body>status: OK</body></html>",
        b"<?xml version='1.0'?><status>OK</status>",
    ],
)
def test_anything_else_decides_nothing(body: bytes) -> None:
    """An OK that is only found somewhere in a text is none; what came is kept for a person."""
    with pytest.raises(Unanswered) as caught:
        told(body)

    assert isinstance(caught.value, Uncertain)
    assert "may have been placed" in str(caught.value)
    assert (caught.value.http_status, caught.value.answer) == (200, body)


@pytest.mark.parametrize("status", [201, 202, 206, 400, 401, 403, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("said", ["OK", "KO"])
def test_another_status_decides_nothing(status: int, said: str) -> None:
    """Even where the body says OK or KO, or the status speaks of credentials or of waiting."""
    body = json.dumps({"status": said, "errorMessage": "Wrong password"}).encode()
    with pytest.raises(Unanswered) as caught:
        told(body, status=status)

    assert f"HTTP {status} (Wrong password)" in str(caught.value)
    assert (caught.value.http_status, caught.value.answer) == (status, body)


def test_an_answer_to_an_unannounced_request_decides_nothing() -> None:
    """A transport that never said that bytes were leaving cannot have placed a recorded call."""
    called: list[str] = []
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b'{"status":"OK"}'))
    with pytest.raises(Unanswered):
        call(account(), lambda: called.append("before_bytes"), transport=transport)
    assert not called
