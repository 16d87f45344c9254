"""Answers of telephone systems and of gsmblockchain in odd encodings, with odd fields in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from providers.errors import NotFound, Rejected, Uncertain
from providers.gsmblockchain.client import Refused, RefusedCredentials, Unanswered
from providers.ozeki.client import NotUnderstood
from providers.voipnow.client import Recorded
from providers.voipnow.refusals import CallRefused
from providers.voipnow.views import fitting_view

from . import ozeki_accounts, voipnow_accounts
from .certified_calls import call_house
from .deployment import Deployment
from .gsmblockchain_calls import told
from .servers import Postgres
from .simulators import Simulators
from .voipnow_accounts import listed, phone_call, view
from .vonage_accounts import raw, shown

KO = '{"status":"KO","errorMessage":"%s"}'
CODE = "<Code>200</Code>"
START = "<StartTime>2026-11-10T10:30:00.1234+01:00</StartTime>"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ((KO % "Sin saldo: recárguelo").encode("latin-1"), "Sin saldo: recárguelo"),
        ((KO % "Crédito 0 € restante").encode("cp1252"), "Crédito 0 € restante"),
        ((KO % "Sin crédito").encode("utf-16"), "Sin crédito"),
        ((KO % "Sin crédito").encode("utf-16-le"), "Sin crédito"),
        ((KO % "Sin cr\xc3 y más").encode("latin-1"), "Sin cr"),
        (KO.encode() % b"Sin cr\xc3", "Sin cr"),
        (KO.encode() % b"two\nlines\tand a \0", "two lines and a"),
        ((KO % "Sin saldo").encode() + b"\0\r\n", "Sin saldo"),
        ("{\nstatus: “KO”,\nerrorMessage: “Sin crédito”,\n}".encode("cp1252"), "Sin crédito"),
    ],
)
def test_a_ko_in_any_encoding_is_a_refusal(body: bytes, reason: str) -> None:
    """It needs no person's decision: nothing was placed."""
    with pytest.raises(Refused) as caught:
        told(body)
    assert reason in str(caught.value)
    assert caught.value.answer == body


def test_a_ko_that_speaks_of_the_password_in_latin_1() -> None:
    """Its words are understood like any other's."""
    with pytest.raises(RefusedCredentials):
        told((KO % "Contraseña incorrecta").encode("latin-1"))


@pytest.mark.parametrize(
    "body",
    [
        '{"status":"OK","note":"Peña"}'.encode("latin-1"),
        '{"status":"OK"}'.encode("utf-16"),
        b'{"status":"OK","note":"a\nb"}',
        b'{"status":"OK"}\0',
        b'{"status":"OK","note":"\xc3"}',
        '{"status":"KO","status":"OK","note":"Peña"}'.encode("latin-1"),
        '{"note":"status: KO, Peña"}'.encode("latin-1"),
    ],
)
def test_an_ok_that_had_to_be_guessed_is_none(body: bytes) -> None:
    """A call is paid for: where any byte is in doubt, a person decides."""
    with pytest.raises(Unanswered):
        told(body)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_refusal_of_any_text_is_stored(
    deploy: Callable[..., Deployment],
    simulators: Simulators,
    postgres: Postgres,
    database: str,
) -> None:
    """NUL and halves of characters, which a database refuses, cost themselves: the job ends."""
    with postgres.database() as url:
        more = {"ledger_url": url} if database == "postgresql" else {}
        calling = call_house(deploy, simulators, **more)
        calling.house.worker()
        calling.platform.fault("call", "ko", message="no \ud83d credit \u0000 left")
        with calling.house.producer() as app:
            asked = calling.ask(app, "r1")
            with pytest.raises(Exception, match=r"not done: .*no \ufffd credit left") as refused:
                asked.get(timeout=60)
        assert type(refused.value).__name__ == "Rejected"
        known = calling.house.ledger.calls.of_job(calling.in_state("r1", "failed").job_id)
        assert known is not None
        assert known["outcome"] == "refused"


@pytest.mark.parametrize(
    "recording",
    [
        "0000-00-00T00:00:00+0000",
        "0000-00-00 00:00:00",
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "0",
        0,
        0.0,
        "",
        "false",
        "No",
        "null",
        False,
        None,
        [],
        {},
    ],
)
def test_what_says_never_confirms_no_recording(recording: Any) -> None:
    """A date of zeros is none: a start that it confirmed would record nothing."""
    with voipnow_accounts.client(shown(phone_call(view(recording=recording)))) as voipnow:
        assert voipnow.start("c1", "01") == Recorded(known=True, since=None)


@pytest.mark.parametrize(
    "odd",
    [
        {"published": "0000-00-00T00:00:00+0000"},
        {"published": 1794306600},
        {"published": "20261110103000Z"},
        {"extension": {"a": 1}},
        {"phoneCallView": "none"},
        {"phoneCallView": [view(answered="then", status="5.0", source={"a": 1})]},
        {"phoneCallView": [7, view(None)]},
    ],
)
def test_an_odd_field_costs_no_list_of_voipnow_s_calls(odd: dict[str, Any]) -> None:
    """The call is listed without it, and so is every other."""
    with voipnow_accounts.client(listed({**phone_call(), **odd}, phone_call(id="c2"))) as voipnow:
        first, second = voipnow.calls()
    assert second.call_id == "c2"
    assert first.started_at is None or "published" not in odd


def test_a_call_whose_id_cannot_be_read_may_be_any() -> None:
    """It is listed with no id; a call that is not listed is then not known to have ended."""
    calls = listed(phone_call(id="c1"), phone_call(id={"a": 1}))
    with voipnow_accounts.client(calls) as voipnow:
        found = voipnow.calls()
    assert [one.call_id for one in found] == ["c1", None]
    assert fitting_view(found, "c1")["view_id"] == "01"
    with pytest.raises(Uncertain, match="could not be read"):
        fitting_view(found, "c2")
    with pytest.raises(CallRefused):
        fitting_view(found[:1], "c2")


def test_a_refusal_of_voipnow_s_in_another_encoding() -> None:
    """Its code is read all the same."""
    body = '{"error":{"code":"pc_phonecall_invalid","message":"ungültig"}}'.encode("latin-1")
    with voipnow_accounts.client(raw(400, body)) as voipnow, pytest.raises(CallRefused):
        voipnow.start("c1", "01")


def ozeki_list(*calls: str, encoding: str = "utf-8") -> Any:
    """A list of calls as Ozeki answers it."""
    infos = "".join(f"<CallInfo>{one}</CallInfo>" for one in calls)
    document = f"<Response>{CODE}<ActiveCalls>{infos}</ActiveCalls></Response>"
    return ozeki_accounts.xml(document.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["Peña & Söhne", "a&#0;b", "a\x01b"])
def test_an_odd_name_costs_no_list_of_ozeki_s_calls(name: str, encoding: str) -> None:
    """Bare ampersands, characters that no XML may hold, any encoding."""
    calls = [f"<CallId>a</CallId><CallerId>{name} </CallerId>{START}", "<CallId>b</CallId>"]
    with ozeki_accounts.client(ozeki_list(*calls, encoding=encoding)) as ozeki:
        first, second = ozeki.calls()
    assert (first.call_id, second.call_id) == ("a", "b")
    assert first.caller is not None
    assert first.caller[0] == name[0]
    assert first.started_at == "2026-11-10T09:30:00.123Z"


@pytest.mark.parametrize("entry", ["", "<CallId/>", "<CallId> </CallId><Source>x</Source>"])
def test_an_ozeki_call_whose_id_cannot_be_read_may_be_any(entry: str) -> None:
    """Beside others it is listed with no id."""
    with ozeki_accounts.client(ozeki_list("<CallId>a</CallId>", entry)) as ozeki:
        assert [one.call_id for one in ozeki.calls()] == ["a", None]


@pytest.mark.parametrize(
    "document",
    [
        f'<?xml version="1.0" encoding="utf-16"?><Response>{CODE}</Response>'.encode(),
        f'<?xml version="1.0" encoding="utf-16"?><Response>{CODE}</Response>'.encode("utf-16"),
        f'<?xml version="1.0" encoding="Windows-1252"?><Response>{CODE}<M>é</M></Response>'.encode(
            "cp1252"
        ),
        f'\r\n <?xml version="1.0"?><x:Response xmlns:x="u">{CODE}</x:Response>\0'.encode(),
    ],
)
def test_a_success_is_read_whatever_it_declares(document: bytes) -> None:
    """As long as no byte of it is in doubt."""
    with ozeki_accounts.client(ozeki_accounts.xml(document)) as ozeki:
        ozeki.record("uteom")


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (f"<Response>{CODE}<M>é.</M></Response>".encode("latin-1"), NotUnderstood),
        (f"<Response>{CODE}</Response>{CODE}".encode(), NotUnderstood),
        ("<Response><Code>601</Code><M>é.</M></Response>".encode("latin-1"), NotFound),
        ("<Response><Code>303</Code><M>é.</M></Response>".encode("utf-16"), Rejected),
    ],
)
def test_a_success_in_doubt_is_none_and_a_refusal_is_one(
    document: bytes, kind: type[Exception]
) -> None:
    """The server answered: NotUnderstood says that it is not to be asked again."""
    with ozeki_accounts.client(ozeki_accounts.xml(document)) as ozeki, pytest.raises(kind):
        ozeki.record("uteom")


def test_what_is_not_the_server_s_own_answer_may_be_asked_again() -> None:
    """An error page of something in between says nothing of the server."""
    with (
        ozeki_accounts.client(raw(502, b"<html>")) as ozeki,
        pytest.raises(Uncertain) as caught,
    ):
        ozeki.record("uteom")
    assert type(caught.value) is Uncertain
