"""The Ozeki client: what it sends, what counts as done, and what every code means."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from config import masking
from providers.errors import (
    BadCredentials,
    NotFound,
    ProviderError,
    Rejected,
    Temporary,
    Uncertain,
    Unreachable,
)
from providers.ozeki.client import NoSuchCall, Ozeki

from .overheard import listen
from .ozeki_accounts import (
    BASE,
    HOOK,
    PASSWORD,
    RECORDING,
    Server,
    account,
    client,
    sample,
    told,
    xml,
)
from .vonage_accounts import raw

CALLER = "34600123456"
DONE = "<Code>200</Code>"
#: Every code of the vendor's reference but success, its message as the page has it.
CODES = [
    (300, "Error occured during parsing message: 'x'", Rejected, "ParseError"),
    (301, "Not implemented command: 'Record'", Rejected, "NotImplementedCommand"),
    (302, "Missing or invalid parameter 'CallId' for command 'Record'", Rejected, "about CallId"),
    (303, "Command 'Record' cannot be used here", Rejected, "InappropriateCommand"),
    (304, "Authentication required", BadCredentials, "give the account username"),
    (305, "Authentication failed, bad username or password", BadCredentials, "password"),
    (306, "User is not allowed to use API in ACL", BadCredentials, "ACL"),
    (307, "Use API from this address is forbidden", Rejected, "address"),
    (401, "API extension 'x' unavailable", Temporary, "API extension"),
    (402, "Call connect to 'x' failed with result state 'y'", Temporary, "CallConnectFailed"),
    (501, "Destination of the SMS is not found", Rejected, "SmsDestinationNotFound"),
    (601, "Call not found with ID uteom", NoSuchCall, "does not know this call"),
    (701, "", Rejected, "ConfigNotFound"),
    (702, "", Rejected, "InvalidConfig"),
    (703, "", Rejected, "ConfigAlreadyExists"),
]


def test_sends_the_vendors_request() -> None:
    """Every parameter of the vendor's example, spelt as there, and the default format."""
    documented = urlsplit(sample("record.query").decode().strip())
    server = Server(xml(sample("done.xml")))
    with Ozeki(account(password="mypassword12"), transport=server) as ozeki:
        ozeki.record("XzeOK", finished_url="http://yourapp.com")

    (request,) = server.requests
    assert (request.method, request.content) == ("GET", b"")
    assert (request.url.scheme, request.url.netloc.decode(), request.url.path) == (
        documented.scheme,
        documented.netloc,
        documented.path,
    )
    assert request.headers["host"] == documented.netloc
    assert server.query() == {**dict(parse_qsl(documented.query)), "Format": "mp3"}


def test_sends_no_login_where_the_account_has_none() -> None:
    """Office user authentication is off by default; then neither name nor password is sent."""
    server = Server(told(200))
    with Ozeki(account(username=None, password=None), transport=server) as ozeki:
        ozeki.record("XzeOK", "wav")

    assert server.query() == {"command": "Record", "CallId": "XzeOK", "Format": "wav"}


def test_escapes_what_it_sends() -> None:
    """An address with a query, a password of awkward characters and an id come through whole."""
    server = Server(told(200))
    with Ozeki(account(), transport=server) as ozeki:
        ozeki.record("a&b=c +#é", "wav", HOOK)

    assert server.query() == {
        "command": "Record",
        "CallId": "a&b=c +#é",
        "Format": "wav",
        "FinishedURL": HOOK,
        "Username": "user1000",
        "Password": PASSWORD,
    }
    assert b"+" not in server.requests[0].url.query


@pytest.mark.parametrize("path", ["", "/", "/ozeki/office"])
def test_asks_below_the_base_url(path: str) -> None:
    """A server behind another one's path is asked there."""
    server = Server(told(200))
    with Ozeki(account(base_url=f"http://gate.example{path}"), transport=server) as ozeki:
        ozeki.record("uteom")

    assert server.requests[0].url.path == f"{path.rstrip('/')}/"


@pytest.mark.parametrize(
    ("call_id", "wanted"), [("", "mp3"), ("  ", "mp3"), ("a\nb", "mp3"), ("uteom", "ogg")]
)
def test_what_can_not_be_meant_is_not_sent(call_id: str, wanted: str) -> None:
    """A call without an id, or a format that the server does not know."""
    server = Server()
    with (
        Ozeki(account(), transport=server) as ozeki,
        pytest.raises(Rejected, match="not done"),
    ):
        ozeki.record(call_id, cast("Any", wanted))


@pytest.mark.parametrize(
    "body",
    [
        f"<Response>{DONE}</Response>",
        f'<?xml version="1.0"?><response xmlns="urn:x">\n {DONE.lower()}</response>',
        "<Response><Message/><Code> 200 </Code><NotificationName>x</NotificationName></Response>",
        f"\ufeff<Response>{DONE}</Response>",
        f"<Response>{DONE}{DONE}</Response>",
    ],
)
def test_a_code_of_200_is_done(body: str) -> None:
    """Whatever stands around it, in either case of the names."""
    with client(xml(body)) as ozeki:
        ozeki.record("uteom")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: raw(200),
        lambda: raw(200, b"200"),
        lambda: raw(204),
        lambda: xml("<html><body>Done</body></html>"),
        lambda: xml("<Response/>"),
        lambda: xml("<Response><Code/></Response>"),
        lambda: xml("<Response><Code>ok</Code></Response>"),
        lambda: xml("<Response><Code>\u0662\u0660\u0660</Code></Response>"),
        lambda: xml("<Response><Code>200</Code><Code>601</Code></Response>"),
        lambda: xml("<Response><Inner><Code>200</Code></Inner></Response>"),
        lambda: xml("<Other><Code>200</Code></Other>"),
        lambda: xml("<Response><Code>200</Code>"),
        lambda: xml("<!DOCTYPE Response><Response><Code>200</Code></Response>"),
        lambda: xml('<!DOCTYPE a [<!ENTITY b "200">]><Response><Code>&b;</Code></Response>'),
        lambda: xml(
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
            "<Response><Code>200</Code><Message>&b;</Message></Response>"
        ),
        lambda: xml(
            '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>'
            "<Response><Code>200</Code><Message>&c;</Message></Response>"
        ),
        lambda: xml(
            "<?xml version='1.0' encoding='no-such'?><Response><Code>200</Code></Response>"
        ),
        lambda: xml(b"<Response><Code>200</Code><Message>\xff</Message></Response>"),
        lambda: xml("<Response><Code>200</Code>" + " " * (4 << 20) + "</Response>"),
        lambda: raw(200, *[b" " * (1 << 20)] * 17),
        lambda: raw(200, b"<Response><Code>200", httpx.ReadError("cut")),
        lambda: told(200, status=500),
        lambda: told(200, status=302),
        lambda: raw(302, Location="http://elsewhere.example/"),
        lambda: raw(404, b"<html/>"),
        lambda: raw(503),
        lambda: told(999),
        lambda: told(201),
        lambda: told(0),
        lambda: httpx.ReadTimeout("slow"),
        lambda: httpx.RemoteProtocolError("closed"),
        lambda: httpx.WriteError("reset"),
    ],
)
def test_what_is_not_understood_is_uncertain(answer: Any) -> None:
    """The call may be recorded by now: no answer but the server's own says whether it is."""
    with client(answer()) as ozeki, pytest.raises(Uncertain):
        ozeki.record("uteom")


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_a_server_that_can_not_be_reached_was_sent_nothing(failure: Exception) -> None:
    """Nothing was done, and the same may work later."""
    with client(failure) as ozeki, pytest.raises(Unreachable):
        ozeki.record("uteom")


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(("code", "message", "kind", "reason"), CODES)
def test_every_code_has_its_meaning(
    code: int, message: str, kind: type[ProviderError], reason: str, status: int
) -> None:
    """All of the vendor's codes, which only look like HTTP's; HTTP's own status changes none."""
    with client(told(code, message, status)) as ozeki, pytest.raises(ProviderError) as caught:
        ozeki.record("uteom")

    assert type(caught.value) is kind
    assert reason in str(caught.value)
    assert f"code {code}" in str(caught.value)
    assert "not done" in str(caught.value)


def test_no_such_call_is_a_kind_of_not_found() -> None:
    """It has a name of its own: a start may be tried again while the call is about to begin."""
    assert issubclass(NoSuchCall, NotFound)


def test_lists_the_vendors_calls() -> None:
    """Every field that the vendor's example has, its time in UTC."""
    server = Server(xml(sample("active_calls.xml")))
    with Ozeki(account(), transport=server) as ozeki:
        assert [one.result() for one in ozeki.calls()] == [
            {
                "call_id": "uteom",
                "state": "InCall",
                "source": "1000",
                "destination": "1001",
                "caller": "John Smith",
                "started_at": "2013-07-01T08:49:07.955Z",
                "views": [],
            }
        ]

    assert server.query() == {
        "command": "ListActiveCalls",
        "Username": "user1000",
        "Password": PASSWORD,
    }


@pytest.mark.parametrize(
    "container", ["", "<ActiveCalls/>", "<ActiveCalls>\n</ActiveCalls>", "<CallList>1</CallList>"]
)
def test_no_calls(container: str) -> None:
    """The list is empty or absent where there are none."""
    with client(xml(f"<Response>{DONE}{container}</Response>")) as ozeki:
        assert ozeki.calls() == []


@pytest.mark.parametrize(
    "start", ["", "yesterday", "2013-07-01T10:49:07", "9999-12-31T23:59:59-23:00"]
)
def test_what_a_call_does_not_tell_is_none(start: str) -> None:
    """Only an id is asked of a call; a time without an offset is nobody's."""
    call = f"<CallInfo><CallId>AOZXH</CallId><Source/><StartTime>{start}</StartTime></CallInfo>"
    with client(xml(f"<Response>{DONE}<ActiveCalls>{call}</ActiveCalls></Response>")) as ozeki:
        (found,) = ozeki.calls()

    assert found.result() == {
        **dict.fromkeys(["state", "source", "destination", "caller", "started_at"]),
        "call_id": "AOZXH",
        "views": [],
    }


@pytest.mark.parametrize(
    "entry", ["<CallInfo/>", "<CallInfo><CallId/></CallInfo>", "<Call><CallId>a</CallId></Call>"]
)
def test_a_list_that_can_not_be_read_is_no_list(entry: str) -> None:
    """A call that were missing from it would be taken for ended."""
    with (
        client(xml(f"<Response>{DONE}<ActiveCalls>{entry}</ActiveCalls></Response>")) as ozeki,
        pytest.raises(Uncertain),
    ):
        ozeki.calls()


def test_each_call_of_the_network_is_announced() -> None:
    """Before it leaves: an error that is raised there keeps it from leaving."""
    server = Server(told(200), told(200))
    announced: list[int] = []
    with Ozeki(
        account(), transport=server, before_call=lambda: announced.append(len(server.requests))
    ) as ozeki:
        ozeki.record("uteom")
        ozeki.calls()

    assert announced == [0, 1]


def words(error: BaseException) -> Iterator[str]:
    """All that an error carries with it: text, args, causes, and the locals of its frames."""
    yield from (str(error), repr(error), repr(error.args))
    assert error.__cause__ is None
    assert error.__context__ is None
    trace = error.__traceback__
    while trace is not None:
        if "/providers/" in trace.tb_frame.f_code.co_filename:
            yield repr(trace.tb_frame.f_locals)
        trace = trace.tb_next


@pytest.mark.parametrize(
    "failure",
    [
        lambda request: told(300, f"Error occured during parsing message: '{request.url.query}'"),
        lambda _: told(302, f"Missing or invalid parameter '{PASSWORD!r}'".replace("<", "")),
        lambda request: told(999, request.url.query.decode().replace("&", " ")),
        lambda request: raw(200, bytes(request.url.query)),
        lambda request: raw(200, bytes(request.url.query), httpx.ReadError(str(request.url))),
        lambda _: raw(200, *[b" " * (1 << 20)] * 17),
        lambda _: xml(
            f"<Response>{DONE}<ActiveCalls><CallInfo><Source>{CALLER}</Source></CallInfo>"
            "</ActiveCalls></Response>"
        ),
        httpx.ConnectError("cannot reach"),
    ],
)
def test_errors_and_logs_carry_no_secret(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The password is in the address of each request, and yet in no error, frame or log, even
    where nobody masks what httpx logs; neither are numbers, nor the address of our own receiver.
    """
    masking.conceal([])
    listen(caplog, logging.DEBUG)

    def broken(request: httpx.Request) -> httpx.Response:
        if isinstance(failure, Exception):
            raise failure
        return cast("httpx.Response", failure(request))

    secret = "canary-0123456789"
    with Ozeki(account(password=secret), transport=Server(broken, broken)) as ozeki:
        for ask in (lambda: ozeki.record("uteom", "mp3", HOOK), ozeki.calls):
            said: list[str] = []
            try:
                ask()
            except ProviderError as error:
                said = [*words(error)]
            for text in (*said, caplog.text):
                assert secret not in text
                assert CALLER not in text
                assert "9f8e7d6c" not in text
    assert said, "the list of calls failed"
    assert f"{BASE}/" in caplog.text or isinstance(failure, Exception)


def test_the_log_of_a_fetched_recording_shows_no_path(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever knows the address may hear the call."""
    listen(caplog, logging.DEBUG)
    with client(raw(200, b"ID3")) as ozeki, ozeki.collected(RECORDING) as body:
        assert b"".join(body.chunks()) == b"ID3"

    assert "HttpRecordings" not in caplog.text
    assert "recording-canary" not in caplog.text
