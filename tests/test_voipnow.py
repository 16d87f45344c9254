"""The VoipNow client: the vendor's examples, what it sends, what is done and what is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from config import masking
from providers.errors import (
    BadCredentials,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
    Unreachable,
)
from providers.live_calls import LiveCall
from providers.voipnow.client import Recorded, Voipnow
from providers.voipnow.fields import WrongField
from providers.voipnow.refusals import CallRefused, FormatRefused, Refused, ViewRefused
from providers.voipnow.views import NoFittingView, fitting_view

from .simulators import Simulators
from .voipnow_accounts import (
    BASE,
    CALL,
    OTHER,
    SECRET,
    MemoryShelf,
    Server,
    account,
    client,
    connect,
    granted,
    listed,
    phone_call,
    raw,
    refused,
    shown,
    view,
)

SAMPLES = Path(__file__).parent / "samples" / "voipnow"
SINCE = "2012-06-27T13:18:55Z"
RECORDING = "2012-06-27T16:18:55+03:00"

Act = Callable[[Voipnow], object]
ACTS: dict[str, Act] = {
    "list": lambda voipnow: voipnow.calls(),
    "start": lambda voipnow: voipnow.start(CALL, "01"),
    "stop": lambda voipnow: voipnow.stop(CALL, "01"),
}
EACH = pytest.mark.parametrize("operation", list(ACTS))


def sample(name: str) -> str:
    """An example of the vendor's page."""
    return (SAMPLES / name).read_text(encoding="utf-8")


def documented() -> tuple[str, str, dict[str, str], Any]:
    """The vendor's request: method, target, headers in small letters, body."""
    head, _, body = sample("start_request.http").partition("\n\n")
    first, *lines = head.splitlines()
    method, target, version = first.split()
    assert version == "HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    return method, target, {k.lower(): v for k, v in headers.items()}, json.loads(body)


def test_every_example_is_listed() -> None:
    """Where each comes from, and what was corrected in it, is written beside it."""
    about = sample("README.md")
    names = {path.name for path in SAMPLES.iterdir()} - {"README.md"}

    assert all(f"`{name}` |" in about for name in names)
    as_documented = sample("start_answer_as_documented.txt")
    assert sample("start_answer.json") == as_documented.replace(']\n   "link"', '],\n   "link"')


def test_sends_the_vendors_request() -> None:
    """Method, address, headers and every attribute of the body as documented, on a real socket."""
    method, target, headers, body = documented()
    with Simulators() as simulators:
        door = simulators.voipnow.account()
        with connect(door) as voipnow, pytest.raises(CallRefused):
            voipnow.start("444444", "01", "0003*210", "12", "wav")
        (sent,) = simulators.log.requests("start")

    assert (sent["method"], sent["target"]) == (method, f"/voipnow{target}")
    assert json.loads(sent["body"]) == body
    assert sent["headers"]["content-type"] == headers["content-type"]
    assert sent["authorization"] == "valid"
    assert headers["authorization"] == "Bearer token"


def test_sends_the_token_as_documented() -> None:
    """`Authorization: Bearer` and the token, nothing else."""
    server = Server(shown(json.loads(sample("start_answer.json"))))
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        voipnow.start(CALL, "01")

    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer access-1"
    assert str(request.url) == f"{BASE}/uapi/phoneCalls/@me/@self/{CALL}"


def test_reads_the_vendors_answer() -> None:
    """The view carries `recording`: confirmed, since then; the call's own id may differ."""
    answer = httpx.Response(200, text=sample("start_answer.json"))
    with client(answer) as voipnow:
        told = voipnow.start("444444", "01", "0003*210", "12", "wav")

    assert told == Recorded(known=True, since=SINCE)


def test_the_answer_as_documented_is_no_answer() -> None:
    """It is not JSON: whether the recording began is for the list to tell."""
    answer = httpx.Response(200, text=sample("start_answer_as_documented.txt"))
    with client(answer) as voipnow, pytest.raises(Uncertain, match="could not be read"):
        voipnow.start("444444", "01", "0003*210", "12", "wav")


def test_stop_names_no_format() -> None:
    """Its body is the action and the view, as the vendor's page of StopRecording has it."""
    server = Server(shown(phone_call()))
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        assert voipnow.stop(CALL, "01") == Recorded(known=True)

    assert json.loads(server.requests[0].content) == {
        "action": "StopRecording",
        "phoneCallViewId": "01",
    }


def test_another_path_of_the_api() -> None:
    """api_path of the account comes before the calls."""
    server = Server(listed())
    with Voipnow(account(api_path="/unifiedapi"), MemoryShelf(), transport=server) as voipnow:
        voipnow.calls("@owner", "0003*210")

    url = server.requests[0].url
    assert url.raw_path.startswith(b"/unifiedapi/phoneCalls/@owner/0003*210?")


def test_logs_in_as_the_vendors_own_client() -> None:
    """The client-credentials grant, form-encoded, with what older servers want beside it."""
    server = Server(listed())
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        voipnow.calls()

    assert server.forms == [
        {
            "grant_type": "client_credentials",
            "client_id": "~app-1",
            "client_secret": SECRET,
            "type": "unifiedapi",
            "redirect_uri": f"{BASE}/oauth/token.php",
        }
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: shown(phone_call(view(recording=RECORDING))), Recorded(True, SINCE)),
        (lambda: shown([phone_call(view(recording=RECORDING))]), Recorded(True, SINCE)),
        (
            lambda: shown(phone_call(view(recording=RECORDING, status=5), links={})),
            Recorded(True, SINCE),
        ),
        (lambda: shown(phone_call(view("00"), view(recording="now"))), Recorded(True, "now")),
        (lambda: shown(phone_call(view())), Recorded(True)),
        (lambda: shown(phone_call(view(recording=""))), Recorded(True)),
        (lambda: shown(phone_call(view("02", recording=RECORDING))), Recorded(False)),
        (lambda: shown({"id": CALL}), Recorded(False)),
        (lambda: shown([]), Recorded(False)),
        (lambda: raw(204), Recorded(False)),
    ],
)
def test_what_an_answer_says_of_the_view(
    answer: Callable[[], httpx.Response], told: Recorded
) -> None:
    """Object or array of one, link or links, text or number: only `recording` confirms."""
    with client(answer()) as voipnow:
        assert voipnow.start(CALL, "01") == told


@pytest.mark.parametrize(
    "answer",
    [
        lambda: raw(200),
        lambda: raw(200, b"<html>"),
        lambda: raw(200, b'"done"'),
        lambda: raw(200, b"[" * 60000),
        lambda: shown({"done": True}),
        lambda: shown([1]),
        lambda: shown([phone_call(), phone_call()]),
        lambda: shown({"error": {"code": "x"}}),
        lambda: shown(phone_call(phoneCallView="none")),
        lambda: shown(phone_call({"extension": "0003*210"})),
        lambda: raw(201, b"{}"),
        lambda: raw(302, Location="https://elsewhere.example/"),
        lambda: raw(307, Location="https://elsewhere.example/"),
        lambda: raw(408),
        lambda: raw(500, b"<html>"),
        lambda: refused("internal_server_error", 500),
        lambda: httpx.ReadTimeout("lost"),
        lambda: httpx.RemoteProtocolError("cut"),
    ],
)
@pytest.mark.parametrize("operation", ["start", "stop"])
def test_what_is_not_understood_is_unknown(
    operation: str, answer: Callable[[], httpx.Response | Exception]
) -> None:
    """A success is what the server says in words that are known; redirects are not followed."""
    with client(answer()) as voipnow, pytest.raises(Uncertain):
        ACTS[operation](voipnow)


@EACH
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda: refused("pc_recformat_invalid"), FormatRefused),
        (lambda: refused("pc_phonecall_invalid"), CallRefused),
        (lambda: refused("PC_PHONECALLVIEW_INVALID"), ViewRefused),
        (lambda: refused("user_invalid"), Refused),
        (lambda: refused("something_new"), Refused),
        (lambda: raw(400), Refused),
        (lambda: raw(404, b"<html>"), Refused),
        (lambda: refused("request_not_implemented", 501), Refused),
        (lambda: httpx.ConnectError("refused"), Unreachable),
        (lambda: raw(429, Retry_After="7"), Throttled),
        (lambda: raw(503), Throttled),
    ],
)
def test_what_an_error_means(operation: str, answer: Any, kind: type[ProviderError]) -> None:
    """Not sent, told to wait, or refused for a reason with a class of its own."""
    with client(answer()) as voipnow, pytest.raises(ProviderError) as caught:
        ACTS[operation](voipnow)

    assert type(caught.value) is kind
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after in (7, None)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("pc_recformat_invalid", "give format wav or wav49"),
        ("pc_phonecall_invalid", "it has ended, or call_id is wrong"),
        ("pc_phonecallview_invalid", "list the calls for its view_id"),
        ("extension_invalid", "check extension"),
    ],
)
def test_documented_codes_say_what_to_do(code: str, advice: str) -> None:
    """Each carries its code and its advice, whatever the server's own sentence is."""
    with client(refused(code)) as voipnow, pytest.raises(Refused, match=advice) as caught:
        voipnow.start(CALL, "01")

    assert caught.value.code == code
    assert code in json.loads(sample("errors.json")) or code == "extension_invalid"


def test_a_view_that_is_gone_is_told_from_a_call_that_is() -> None:
    """Both are not there, but only the first is worth another look at the list."""
    assert issubclass(ViewRefused, NotFound)
    assert issubclass(CallRefused, NotFound)
    assert not issubclass(CallRefused, ViewRefused)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_died_is_renewed_once(status: int) -> None:
    """Documented is 401, the vendor's own sample renews on 403: a new login, the same request."""
    server = Server(refused("access_denied", status), listed())
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        assert voipnow.calls() == []

    assert [one.headers["authorization"] for one in server.requests] == [
        "Bearer access-1",
        "Bearer access-2",
    ]
    assert [form["grant_type"] for form in server.forms] == ["client_credentials"] * 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_new_token_that_is_refused_is_the_credentials(status: int) -> None:
    """No third try."""
    server = Server(refused("access_denied", status), refused("access_denied", status))
    with (
        Voipnow(account(), MemoryShelf(), transport=server) as voipnow,
        pytest.raises(BadCredentials, match="access_denied"),
    ):
        voipnow.start(CALL, "01")
    assert len(server.requests) == 2


def test_a_token_is_renewed_early_and_never_by_a_refresh_token() -> None:
    """The grant is asked for again in the last minutes, also where a refresh token was given."""
    shelf = MemoryShelf()
    first = Server(listed(), grants=[granted(1, expires_in=0, refresh_token="no")])
    with Voipnow(account(), shelf, transport=first) as voipnow:
        voipnow.calls()
    server = Server(listed(), grants=[granted(2)])
    with Voipnow(account(), shelf, transport=server) as voipnow:
        voipnow.calls()

    assert server.forms[0]["grant_type"] == "client_credentials"
    assert server.requests[0].headers["authorization"] == "Bearer access-2"


def test_a_changed_app_means_a_login() -> None:
    """A token of another App or secret does not open."""
    shelf = MemoryShelf()
    for more in ({}, {"client_id": "~app-2"}, {"client_secret": "another"}):
        server = Server(listed())
        with Voipnow(account(**more), shelf, transport=server) as voipnow:
            voipnow.calls()
        assert len(server.forms) == 1


@pytest.mark.parametrize(
    ("grant", "kind"),
    [
        (lambda: shown({"error": "invalid_client"}, 401), BadCredentials),
        (lambda: raw(400), BadCredentials),
        (lambda: raw(500), Unreachable),
        (lambda: raw(200, b"<html>"), Unreachable),
        (lambda: raw(302, Location="/"), Unreachable),
        (lambda: httpx.ReadTimeout("lost"), Unreachable),
        (lambda: httpx.ConnectError("refused"), Unreachable),
        (lambda: raw(429, Retry_After="7"), Throttled),
    ],
)
def test_without_a_token_nothing_is_sent(grant: Any, kind: type[ProviderError]) -> None:
    """However the login fails, the recording surely did not begin."""
    server = Server(grants=[grant()])
    with (
        Voipnow(account(), MemoryShelf(), transport=server) as voipnow,
        pytest.raises(ProviderError) as caught,
    ):
        voipnow.start(CALL, "01")

    assert (type(caught.value), server.requests) == (kind, [])
    if kind is BadCredentials:
        assert "check client_id and client_secret" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "mp3"),
        ("format", "WAV"),
        ("format", ""),
        ("extension", "210"),
        ("extension", "@me"),
        ("extension", "0003*210/.."),
        ("extension", "0003*"),
        ("extension", "0003*210\n"),
        ("user_id", "@self"),
        ("user_id", "john"),
        ("user_id", "-1"),
        ("user_id", "١٢"),
        ("call_id", ""),
        ("call_id", ".."),
        ("call_id", "a/b"),
        ("call_id", "a?b"),
        ("view_id", " "),
        ("view_id", "0\n1"),
    ],
)
def test_wrong_values_are_not_sent(field: str, value: str) -> None:
    """The error names the field; no login either."""
    given = {"call_id": CALL, "view_id": "01", field: value}
    server = Server(grants=[])
    with (
        Voipnow(account(), MemoryShelf(), transport=server) as voipnow,
        pytest.raises(WrongField, match=f"^{field}: must be ") as caught,
    ):
        voipnow.start(**given)
    assert isinstance(caught.value, ValueError)
    assert caught.value.field == field


@pytest.mark.parametrize("user_id", ["@me", "@viewer", "@owner", "12"])
@pytest.mark.parametrize("kind", ["wav", "wav49"])
def test_documented_values_are_sent(user_id: str, kind: str) -> None:
    """Every form of user and both formats of the vendor's page."""
    server = Server(shown(phone_call()))
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        voipnow.start(CALL, "01", "0003*210", user_id, kind)

    (request,) = server.requests
    assert request.url.raw_path.decode() == f"/uapi/phoneCalls/{user_id}/0003*210/{CALL}"
    assert json.loads(request.content)["format"] == kind


def two_views() -> dict[str, Any]:
    """A call inside the house: each party has a view."""
    return phone_call(view("01"), view("00", extension="0003*211"))


def listing(*calls: dict[str, Any]) -> list[LiveCall]:
    """Calls as the client lists them."""
    with client(listed(*calls)) as voipnow:
        return voipnow.calls()


@pytest.mark.parametrize(
    ("extension", "view_id"), [("0003*210", "01"), ("0003*211", "00"), ("@self", "01")]
)
def test_the_view_of_the_extension_fits(extension: str, view_id: str) -> None:
    """With @self it is the one that the call itself names."""
    assert fitting_view(listing(two_views()), CALL, extension)["view_id"] == view_id


@pytest.mark.parametrize(
    ("call", "extension", "said"),
    [
        (two_views(), "0003*999", "no view of call .* its views: 01 of 0003.210, 00 of 0003.211"),
        (phone_call(view("01"), view("02")), "@self", "several views .* 01 of .*, 02 of .*"),
        (phone_call(extension=None), "@self", "no view .* 01 of 0003.210"),
        (phone_call(phoneCallView=[]), "@self", "its views: none"),
    ],
)
def test_none_or_several_views_are_listed(call: Any, extension: str, said: str) -> None:
    """The caller chooses by view_id."""
    with pytest.raises(NoFittingView, match=said):
        fitting_view(listing(call), CALL, extension)


def test_a_call_that_is_not_listed_fits_nothing() -> None:
    """It has ended, or its id is wrong."""
    with pytest.raises(CallRefused, match="has ended"):
        fitting_view(listing(two_views()), "444444")


@pytest.mark.parametrize(
    "failure",
    [
        lambda request: raw(400, request.headers["authorization"].encode()),
        lambda request: refused("x", 400, request.headers["authorization"] + " " + OTHER),
        lambda request: refused("x", 500, str(request.url)),
        lambda _: shown({"call": OTHER}),
        lambda _: listed({"phoneCallView": [view(None, source=[OTHER])]}),
        httpx.ReadError(f"reset of {OTHER}"),
    ],
)
@pytest.mark.parametrize("operation", ["list", "start"])
def test_errors_carry_no_secret_and_no_number(operation: str, failure: Any) -> None:
    """Neither in their words nor in the frames of the client that they passed."""
    masking.conceal([])
    with client(failure, failure) as voipnow, pytest.raises(ProviderError) as caught:
        ACTS[operation](voipnow)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    trace = caught.value.__traceback__
    texts = [str(caught.value), repr(caught.value.args)]
    while trace is not None:
        if "/providers/" in trace.tb_frame.f_code.co_filename:
            texts.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    for text in texts:
        assert not any(secret in text for secret in ("access-1", OTHER, SECRET))


def test_errors_of_logins_carry_no_secret() -> None:
    """Nor where the token endpoint repeats what it was sent."""

    def repeating(request: httpx.Request) -> httpx.Response:
        told = {"error": "invalid_client", "error_description": SECRET}
        assert request.read()
        return shown(told, 401)

    with (
        Voipnow(account(), MemoryShelf(), transport=Server(grants=[repeating])) as voipnow,
        pytest.raises(Rejected) as caught,
    ):
        voipnow.calls()
    assert "canary" not in str(caught.value)
