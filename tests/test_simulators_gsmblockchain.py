"""The gsmblockchain simulator answers as the vendor's page says and counts what it accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from providers.gsmblockchain.account import GsmblockchainAccount

from . import shared_simulators
from .simulators import Records, Simulators
from .simulators.gsmblockchain_control import GsmblockchainControl
from .simulators.gsmblockchain_door import CallingAccountDoor, GsmblockchainDoor
from .simulators.remote import ROOT, Remote, running
from .waiting import eventually

simulators = shared_simulators.simulators

PATH = "/services/sendCertifiedCallRecorder.php"

# The request and the answer of the vendor's page, as they stand there.
DOCUMENTED = (
    "user=myuser&pass=mypass&countryID=es&phone=660111222&time=120"
    "&companyName=MyCompany&CompanyID=A4562154"
)
ANSWER = "{\nstatus: “OK”,\nphone: 912080202,\n}"


@pytest.fixture
def account(simulators: Simulators) -> CallingAccountDoor:
    """An account whose password needs encoding."""
    return simulators.gsmblockchain.account()


def query(
    account: CallingAccountDoor, changed: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """A right request, changed; None leaves a parameter out."""
    fields: dict[str, str | None] = {
        "user": account.username,
        "pass": account.password,
        "countryID": "ES",
        "phone": "660111222",
        "time": "120",
        "companyName": "Peña & Hijos",
        "companyID": "A4562154",
    }
    return {
        name: value for name, value in {**fields, **(changed or {})}.items() if value is not None
    }


def ask(
    account: CallingAccountDoor,
    changed: Mapping[str, str | None] | None = None,
    *,
    timeout: float = 10.0,
) -> httpx.Response:
    """Asks for a certified call on a connection of its own."""
    url = account.configuration()["base_url"] + PATH
    with httpx.Client(trust_env=False, timeout=timeout) as http:
        return http.get(url, params=query(account, changed))


def said(answer: httpx.Response) -> dict[str, Any]:
    """What the platform says, always with status 200."""
    assert answer.status_code == 200
    spoken: dict[str, Any] = answer.json()
    return spoken


def test_the_documented_request_is_answered_as_documented() -> None:
    """The page's request, its other spelling of companyID and its small country included, is
    counted as one call, and the answer can be the page's, to the letter.
    """
    with Simulators() as simulators:
        gsmblockchain = simulators.gsmblockchain
        gsmblockchain.account("myuser", "mypass", answer="pseudo")
        answer = httpx.get(f"{gsmblockchain.base_url}{PATH}?{DOCUMENTED}", trust_env=False)
        assert (answer.status_code, answer.text) == (200, ANSWER)
        assert answer.headers["content-type"] == "text/html; charset=UTF-8"
        (call,) = gsmblockchain.calls()
        # How a request ended is noted after its answer was sent.
        (request,) = eventually(
            lambda: [one for one in simulators.log.requests("call", "myuser") if "seconds" in one]
        )
        assert request["at"] <= call.pop("at") <= request["at"] + request["seconds"]
        assert call == {
            "n": 1,
            "username": "myuser",
            "country": "ES",
            "phone": "660111222",
            "max_seconds": 120,
            "company_name": "MyCompany",
            "company_id": "A4562154",
            "platform_phone": "912080202",
        }


@pytest.mark.parametrize(
    ("form", "placed", "refused"),
    [
        ("json", '{"status":"OK","phone":912080202}', '{"status":"KO","errorMessage":"no"}'),
        (
            "json_string",
            '{"status":"OK","phone":"0912080202"}',
            '{"status":"KO","errorMessage":"no"}',
        ),
        (
            "pseudo",
            "{\nstatus: “OK”,\nphone: 0912080202,\n}",
            "{\nstatus: “KO”,\nerrorMessage: “no”,\n}",
        ),
        (
            "pseudo_string",
            "{\nstatus: “OK”,\nphone: “0912080202”,\n}",
            "{\nstatus: “KO”,\nerrorMessage: “no”,\n}",
        ),
        (
            "bom",
            '\ufeff{"status":"OK","phone":912080202}',
            '\ufeff{"status":"KO","errorMessage":"no"}',
        ),
        (
            "spaced",
            '\r\n\n \t{"status":"OK","phone":912080202}\r\n\n',
            '\r\n\n \t{"status":"KO","errorMessage":"no"}\r\n\n',
        ),
        ("lower_case", '{"status":"ok","phone":912080202}', '{"status":"ko","errorMessage":"no"}'),
        ("no_phone", '{"status":"OK"}', '{"status":"KO","errorMessage":"no"}'),
    ],
)
def test_an_answer_has_the_form_asked_for(
    account: CallingAccountDoor, form: str, placed: str, refused: str
) -> None:
    """OK and KO come in each form that the page leaves open; a JSON number loses its zero."""
    account.configure(answer=form, platform_phone="0912080202")
    assert ask(account).content == placed.encode()
    account.fault("call", "ko", message="no")
    assert ask(account).content == refused.encode()
    (call,) = account.calls()
    assert call["platform_phone"] == "0912080202"


@pytest.mark.parametrize(
    "name", ["user", "pass", "countryID", "phone", "time", "companyName", "companyID"]
)
def test_every_parameter_is_required(account: CallingAccountDoor, name: str) -> None:
    """Without it, or with nothing in it, the answer is KO and no call is counted."""
    wanted = {"status": "KO", "errorMessage": f"Missing parameter: {name}"}
    assert said(ask(account, {name: None})) == wanted
    assert said(ask(account, {name: ""})) == wanted
    assert account.calls() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"user": "somebody"}, "Invalid user or password"),
        ({"pass": "mypas"}, "Invalid user or password"),
        ({"countryID": "XX"}, "Invalid countryID"),
        ({"countryID": "34"}, "Invalid countryID"),
        ({"phone": "+34660111222"}, "Invalid phone"),
        ({"phone": "34660111222"}, "Invalid phone"),
        ({"phone": "660 111 222"}, "Invalid phone"),
        ({"time": "0"}, "Invalid time"),
        ({"time": "2m"}, "Invalid time"),
        ({"CompanyID": "another"}, "companyID and CompanyID differ"),
    ],
)
def test_what_is_wrong_is_refused(
    account: CallingAccountDoor, changed: dict[str, str], message: str
) -> None:
    """Wrong credentials, an unknown country, a number with its prefix, a time that is none, two
    tax codes: KO with a reason, and no call is counted.
    """
    assert said(ask(account, changed)) == {"status": "KO", "errorMessage": message}
    assert account.calls() == []


def test_only_a_get_of_the_function_calls(
    simulators: Simulators, account: CallingAccountDoor
) -> None:
    """Another method or path answers an error of the web server, and no call is counted."""
    url = simulators.gsmblockchain.base_url
    with httpx.Client(trust_env=False, params=query(account)) as http:
        assert http.post(url + PATH).status_code == 405
        assert http.get(url + "/services/sendVMS.php").status_code == 404
    assert account.calls() == []
    assert len(simulators.log.requests("none", account.username)) == 2


def test_text_arrives_as_it_was_meant(account: CallingAccountDoor) -> None:
    """Percent-encoded UTF-8, and a space as "+" or "%20", come out as text; passwords with signs
    of their own in URLs are compared whole.
    """
    assert said(ask(account, {"companyName": "Peña + Söhne & Cía."}))["status"] == "OK"
    base = f"{account.configuration()['base_url']}{PATH}?"
    plain = str(httpx.QueryParams(query(account, {"companyName": "The_Name"})))
    for space in ("+", "%20"):
        url = base + plain.replace("The_Name", f"My{space}Company")
        assert httpx.get(url, trust_env=False).json()["status"] == "OK"
    names = [call["company_name"] for call in account.calls()]
    assert names == ["Peña + Söhne & Cía.", "My Company", "My Company"]
    assert {'"', "+", "/", "&", "%", "=", " ", "ñ"} <= set(account.password)


@pytest.mark.parametrize(
    ("read", "other"), [("companyID", "CompanyID"), ("CompanyID", "companyID")]
)
def test_one_spelling_alone_can_be_read(account: CallingAccountDoor, read: str, other: str) -> None:
    """As PHP would, a platform may know one of the page's two spellings only."""
    account.configure(company_id_name=read)
    assert (
        said(ask(account, {"companyID": None, other: "B1"}))["errorMessage"]
        == f"Missing parameter: {read}"
    )
    assert said(ask(account, {other: "B1", read: "A1"}))["status"] == "OK"
    assert [call["company_id"] for call in account.calls()] == ["A1"]


def test_the_configuration_is_one_of_accounts_toml(
    simulators: Simulators, account: CallingAccountDoor
) -> None:
    """What an account tells of itself is a whole table of accounts.toml, its password a secret."""
    table = account.configuration()
    read = GsmblockchainAccount.model_validate({"alias": "legal_es", **table})
    assert read.base_url == simulators.gsmblockchain.base_url
    assert read.password.get_secret_value() == account.password
    assert account.password in simulators.gsmblockchain.secrets()
    replaced = simulators.gsmblockchain.account(account.username, "another")
    assert said(ask(account))["status"] == "KO"
    assert said(ask(replaced))["status"] == "OK"
    assert {account.password, "another"} <= set(simulators.gsmblockchain.secrets())


@pytest.mark.parametrize(
    ("kind", "error"), [("reset", httpx.ReadError), ("close", httpx.RemoteProtocolError)]
)
@pytest.mark.parametrize(("when", "counted"), [("before", 0), ("after", 1)])
def test_a_connection_can_end_without_an_answer(
    account: CallingAccountDoor, kind: str, error: type[Exception], when: str, counted: int
) -> None:
    """Before: the call is not counted. After: it is, and the caller cannot tell the two apart."""
    account.fault("call", kind, when=when)
    with pytest.raises(error):
        ask(account)
    assert len(account.calls()) == counted


@pytest.mark.parametrize(("when", "counted"), [("before", 0), ("after", 1)])
def test_an_answer_can_fail_to_come(
    simulators: Simulators, account: CallingAccountDoor, when: str, counted: int
) -> None:
    """A hang outlasts the caller's patience, before or after the call is counted."""
    account.fault("call", "hang", seconds=3600, when=when)
    with pytest.raises(httpx.ReadTimeout):
        ask(account, timeout=1)
    eventually(lambda: len(simulators.log.requests("call", account.username)) == 1)
    eventually(lambda: len(account.calls()) >= counted)
    assert len(account.calls()) == counted
    assert simulators.log.requests("call", account.username)[0]["outcome"] == "running"


def test_a_hang_before_only_puts_the_call_off(account: CallingAccountDoor) -> None:
    """Whoever has waited long enough for a hang before the call gets the call, once."""
    account.fault("call", "hang", seconds=0.2, when="before")
    assert said(ask(account))["status"] == "OK"
    assert len(account.calls()) == 1


@pytest.mark.parametrize(("when", "counted"), [("before", 0), ("after", 1)])
def test_any_answer_can_come_instead(account: CallingAccountDoor, when: str, counted: int) -> None:
    """Status, body, Retry-After and headers are as asked for, before or after the count."""
    more = {"retry_after": 7, "headers": {"Location": "/elsewhere"}, "when": when}
    account.fault("call", "answer", status=503, body="html", **more)
    answer = ask(account)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert (answer.headers["location"], answer.text[:14]) == ("/elsewhere", "<!DOCTYPE html")
    assert len(account.calls()) == counted


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ("empty", b""),
        ("status: OK", b"status: OK"),
        ("x" * 3_000_000, b"x" * 3_000_000),
        ([{"status": "OK"}], json.dumps([{"status": "OK"}], indent=3).encode()),
    ],
    ids=["empty", "text", "large", "value"],
)
def test_any_body_can_be_answered(account: CallingAccountDoor, body: Any, sent: bytes) -> None:
    """Nothing, text verbatim, a body of any size, or a value as JSON; the type can be told."""
    account.fault("call", "answer", body=body, content_type="application/json")
    answer = ask(account)
    assert (answer.status_code, answer.content) == (200, sent)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("how", ["broken", "clean", "close-delimited", "reset"])
def test_an_answer_can_be_cut(account: CallingAccountDoor, how: str) -> None:
    """The call is counted and 10 bytes of its answer arrive, as an error or as if they were all."""
    account.fault("call", "cut", after_bytes=10, how=how)
    if how in ("broken", "reset"):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            ask(account)
    else:
        assert ask(account).content == b'{"status":'
    assert len(account.calls()) == 1


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("slow", {"bytes_per_second": 1000}),
        ("trickle", {"seconds_per_byte": 0.0005, "part": "all"}),
        ("freeze", {"after_bytes": 10, "seconds": 0.1}),
    ],
)
def test_an_answer_can_be_slow(
    account: CallingAccountDoor, kind: str, parameters: dict[str, Any]
) -> None:
    """Slow, byte by byte or with a pause, the answer comes whole to anyone who waits."""
    account.fault("call", kind, **parameters)
    assert said(ask(account))["status"] == "OK"
    assert account.calls()[0]["n"]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("slow", {"bytes_per_second": 0.01}),
        ("trickle", {"seconds_per_byte": 3600, "part": "headers"}),
        ("freeze", {"after_bytes": 10, "seconds": 3600}),
    ],
)
def test_an_answer_can_be_too_slow(
    account: CallingAccountDoor, kind: str, parameters: dict[str, Any]
) -> None:
    """An answer that does not end in time belongs to a call that was counted all the same."""
    account.fault("call", kind, **parameters)
    with pytest.raises(httpx.ReadTimeout):
        ask(account, timeout=1)
    eventually(lambda: len(account.calls()) == 1)


def test_a_right_call_can_be_refused(account: CallingAccountDoor) -> None:
    """KO in the words asked for, and no call is counted."""
    account.fault("call", "ko", message="Crédito insuficiente")
    assert said(ask(account)) == {"status": "KO", "errorMessage": "Crédito insuficiente"}
    assert account.calls() == []
    assert said(ask(account))["status"] == "OK"


def test_a_call_can_last(simulators: Simulators, account: CallingAccountDoor) -> None:
    """The call is counted at once and its answer comes when answer_seconds are over."""
    account.configure(answer_seconds=3600)
    with pytest.raises(httpx.ReadTimeout):
        ask(account, timeout=1)
    eventually(lambda: len(account.calls()) == 1)
    account.configure(answer_seconds=0.2)
    assert said(ask(account))["status"] == "OK"
    # How a request ended is noted after its answer was sent.
    lasting = simulators.log.requests("call", account.username)[1]["n"]
    seconds = eventually(lambda: simulators.log.requests(n=lasting)[0].get("seconds"))
    assert seconds >= 0.2


def test_faults_are_counted_aimed_and_cleared(
    simulators: Simulators, account: CallingAccountDoor
) -> None:
    """Times, skip and account are kept, kinds meet, the log tells, and clear forgets."""
    account.fault("call", "ko", times=2, skip=1)
    other = simulators.gsmblockchain.account()
    assert said(ask(other))["status"] == "OK"
    assert [said(ask(account))["status"] for _ in range(4)] == ["OK", "KO", "KO", "OK"]
    account.fault("call", "ko", times=None)
    account.fault("call", "slow", bytes_per_second=10_000)
    assert said(ask(account))["status"] == "KO"
    told = simulators.log.requests("call", account.username)[-1]["faults"]
    assert told == ["ko", "slow"]
    assert [rule["kind"] for rule in simulators.gsmblockchain.faults()] == ["ko"]
    simulators.gsmblockchain.clear_faults()
    assert said(ask(account))["status"] == "OK"


def test_a_wish_that_is_not_understood_is_refused(
    simulators: Simulators, account: CallingAccountDoor
) -> None:
    """Unknown operation, kind, switch, choice or account: the error says what there is."""
    with pytest.raises(ValueError, match="no operation 'list'"):
        account.fault("list", "hang")
    with pytest.raises(ValueError, match="bad_crc is for"):
        account.fault("call", "bad_crc")
    with pytest.raises(ValueError, match=re.escape("ko is for ['call'], not list")):
        simulators.vonage.fault("list", "ko")
    with pytest.raises(ValueError, match=re.escape("ko takes ['message']")):
        account.fault("call", "ko", text="no")
    with pytest.raises(ValueError, match="no switch 'colour'"):
        account.configure(colour="red")
    with pytest.raises(ValueError, match="answer is one of"):
        account.configure(answer="yaml")
    with pytest.raises(ValueError, match="platform_phone is text of digits"):
        account.configure(platform_phone=912080202)
    with pytest.raises(ValueError, match="no account 'nobody'"):
        simulators.gsmblockchain.configure(username="nobody", answer="json")


def test_switches_of_all_reach_those_to_come(simulators: Simulators) -> None:
    """What is configured without an account holds for every account, and for the next."""
    before = simulators.gsmblockchain.account()
    simulators.gsmblockchain.configure(answer="no_phone")
    try:
        after = simulators.gsmblockchain.account()
        assert [said(ask(one)) for one in (before, after)] == [{"status": "OK"}] * 2
    finally:
        simulators.gsmblockchain.configure(answer="json")


def test_each_of_many_calls_is_counted_once(simulators: Simulators) -> None:
    """Of 50 callers at once each is counted once and told a number of its own; what is read
    meanwhile is never half a call.
    """
    accounts = [simulators.gsmblockchain.account() for _ in range(5)]
    before = len(simulators.gsmblockchain.calls())
    phones = [str(660_000_000 + n) for n in range(50)]
    with ThreadPoolExecutor(51) as crowd:
        pairs = [(accounts[n % 5], phone) for n, phone in enumerate(phones)]
        answers = [crowd.submit(ask, one, {"phone": phone}, timeout=30) for one, phone in pairs]
        fields = set()
        while not all(answer.done() for answer in answers):
            fields |= {len(call) for call in simulators.gsmblockchain.calls()}
        told = [str(said(answer.result())["phone"]) for answer in answers]
    calls = simulators.gsmblockchain.calls()[before:]
    assert fields <= {9}
    assert [call["n"] for call in calls] == list(range(before + 1, before + 51))
    assert {call["phone"]: call["platform_phone"] for call in calls} == dict(
        zip(phones, told, strict=True)
    )
    assert len(set(told)) == 50
    assert [len(one.calls()) for one in accounts] == [10] * 5
    effects = simulators.log.effects("call_counted")
    assert {effect["phone"] for effect in effects} >= set(phones)


def test_another_process_has_the_same_methods(tmp_path: Path) -> None:
    """Accounts, switches, faults, secrets and the count work over HTTP, and the log stays."""
    with running(tmp_path) as simulators:
        account = simulators.gsmblockchain.account("myuser", answer="json_string")
        account.fault("call", "answer", status=503)
        assert [ask(account).status_code for _ in range(2)] == [503, 200]
        assert [call["phone"] for call in account.calls()] == ["660111222"]
        assert simulators.gsmblockchain.secrets() == [account.password]
        with pytest.raises(ValueError, match="no kind 'explode'"):
            account.fault("call", "explode")
    log = Records.load(tmp_path / "log.jsonl")
    assert [r["status"] for r in log.requests("call", "myuser")] == [503, 200]
    assert [e["platform_phone"] for e in log.effects("call_counted", "myuser")] == ["912080202"]


def test_every_method_of_the_door_is_there() -> None:
    """Whatever a door offers, the control behind it knows, so no method is missing over HTTP."""
    offered = {name for door in (GsmblockchainDoor, CallingAccountDoor) for name in dir(door)}
    known = {name for name in vars(GsmblockchainControl) if not name.startswith("_")}
    asked = {name for name in offered if not name.startswith("_")}
    assert asked - {"configuration"} == known - {"addresses"}
    with Simulators() as simulators:
        told = httpx.get(f"{simulators.url}/_simulator", trust_env=False).json()
        assert told["gsmblockchain"] == {"base_url": simulators.gsmblockchain.base_url}


def test_the_sandbox_prints_an_account_that_may_call() -> None:
    """--sandbox prints, after the account with recordings, one for certified calls."""
    command = [sys.executable, "-m", "tests.simulators", "--sandbox"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            simulators = Remote(process.stdout.readline().split()[-1])
            printed = ""
            while "max_seconds_per_call" not in printed:
                printed += process.stdout.readline()
            section = tomllib.loads(printed)["accounts"]["sandbox_calls"]
            account = simulators.gsmblockchain.account(section["username"])
            assert account.configuration() == section
            assert said(ask(account))["status"] == "OK"
        finally:
            process.terminate()
