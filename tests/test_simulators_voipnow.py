"""The VoipNow simulator answers as the vendor's pages say, and misbehaves on request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from providers.voipnow.account import VoipnowAccount

from . import shared_simulators
from .simulators import Records, Simulators
from .simulators.remote import running
from .simulators.voipnow_control import VoipnowControl
from .simulators.voipnow_door import AppDoor, VoipnowDoor
from .visitor import PATIENCE

simulators = shared_simulators.simulators

SAMPLES = Path(__file__).parent / "samples" / "voipnow"


class Caller:
    """An App's plain requests, with httpx; a context manager."""

    def __init__(self, door: AppDoor) -> None:
        self.door = door
        self.base = door.configuration()["base_url"]
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE)
        self.token = ""

    def grant(self, **form: str) -> httpx.Response:
        """A token request of the App, changed as given."""
        known = {
            "grant_type": "client_credentials",
            "client_id": self.door.client_id,
            "client_secret": self.door.client_secret,
        }
        return self.http.post(f"{self.base}/oauth/token.php", data=known | form)

    def log_in(self) -> Self:
        self.token = self.grant().json()["access_token"]
        return self

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request below phoneCalls, with the token unless headers say otherwise."""
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        address = f"{self.base}/uapi/phoneCalls/{path}"
        return self.http.request(method, address, headers=headers, **more)

    def listed(self, path: str = "@me/@self", **query: str) -> Any:
        """The body of a list."""
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, call_id: str, action: str = "StartRecording", **payload: Any) -> httpx.Response:
        """An action on a view, 01 unless told otherwise; None leaves a field out."""
        fields = {"action": action, "phoneCallViewId": "01", **payload}
        body = {name: value for name, value in fields.items() if value is not None}
        return self.ask("PUT", f"@me/@self/{call_id}", json=body)

    def __enter__(self) -> Self:
        return self.log_in()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()


@pytest.fixture
def door(simulators: Simulators) -> AppDoor:
    """An App whose secret needs encoding."""
    return simulators.voipnow.account()


@pytest.fixture
def caller(door: AppDoor) -> Iterator[Caller]:
    """The App, logged in."""
    with Caller(door) as calling:
        yield calling


def code(answer: httpx.Response) -> tuple[int, str]:
    """An error's status and code."""
    return answer.status_code, answer.json()["error"]["code"]


def test_an_app_is_a_section_of_accounts_toml(door: AppDoor) -> None:
    """What the door tells can be configured as it is."""
    account = VoipnowAccount.model_validate({"alias": "pbx", **door.configuration()})
    assert account.base_url.endswith("/voipnow")


def test_a_login_answers_as_the_server_does(caller: Caller) -> None:
    """A token of the official client's alphabet, an hour of life; an older one lives on."""
    first = caller.token
    granted = caller.grant(type="unifiedapi").json()
    assert granted["expires_in"] == 3600
    assert granted["access_token"] != first
    assert set(granted["access_token"]) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
    )
    assert caller.listed()["totalResults"] == 0


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_login_is_refused_in_oauths_words(
    caller: Caller, form: dict[str, str], status: int, error: str
) -> None:
    """`error` is a text here, not an object."""
    answer = caller.grant(**form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer unknown"},
        {"Authorization": "", "Authentication": "Bearer {token}"},
    ],
)
def test_without_a_token_nothing_is_admitted(caller: Caller, headers: dict[str, str]) -> None:
    """Nor with the page's misspelt header."""
    told = {name: value.format(token=caller.token) for name, value in headers.items()}
    assert code(caller.ask("GET", "@me/@self", headers=told)) == (401, "access_denied")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("end", ["expire_tokens", "revoke_tokens"])
def test_tokens_end(door: AppDoor, caller: Caller, status: int, end: str) -> None:
    """By themselves or at once; a new login works again."""
    door.configure(dead_token_status=status)
    getattr(door, end)()
    assert code(caller.ask("GET", "@me/@self")) == (status, "access_denied")
    assert caller.log_in().listed()["totalResults"] == 0


def test_a_call_looks_as_on_the_vendors_page(door: AppDoor, caller: Caller) -> None:
    """Once recorded it has every field of the page's example, each of the same type."""
    example = json.loads((SAMPLES / "start_answer.json").read_text(encoding="utf-8"))
    call = door.begin_call()
    told = caller.act(call["id"], format="wav").json()
    (view,), (example_view,) = told.pop("phoneCallView"), example.pop("phoneCallView")

    assert {name: type(told[name]) for name in example} == {
        name: type(value) for name, value in example.items()
    }
    assert {name: type(view[name]) for name in example_view} == {
        name: type(value) for name, value in example_view.items()
    }
    for name in ("id", "extension", "source", "destination", "callerId", "status"):
        assert view[name] == example_view[name]


def test_lists_the_calls_of_an_extension(door: AppDoor, caller: Caller) -> None:
    """All of the user's under @self, else those in which the extension has a part."""
    first = door.begin_call()["id"]
    second = door.begin_call(extension="0003*299", other="0003*210")["id"]
    third = door.begin_call(extension="0003*300")["id"]

    def ids(path: str) -> list[str]:
        return [one["id"] for one in caller.listed(path)["entry"]]

    assert ids("@viewer/@self") == [first, second, third]
    assert ids(f"{door.user_id}/0003*210/") == [first, second]
    assert ids("@owner/0003*300") == [third]
    assert ids(f"@me/@self/{second}") == [second]
    door.end_call(second)
    assert caller.listed(f"@me/@self/{second}") == {
        "startIndex": 0,
        "itemsPerPage": 0,
        "totalResults": 0,
    }


def test_lists_in_pages(door: AppDoor, caller: Caller) -> None:
    """20 unless told otherwise, and never more than the server's own cap."""
    ids = [door.begin_call()["id"] for _ in range(25)]
    pages = [caller.listed(), caller.listed(startIndex="20"), caller.listed(count="25")]
    assert [[one["id"] for one in page["entry"]] for page in pages] == [ids[:20], ids[20:], ids]
    door.configure(page_cap=10)
    assert len(caller.listed(count="25")["entry"]) == 10
    newest = caller.listed(sortOrder="descending", count="1")["entry"]
    assert newest[0]["id"] == ids[-1]
    found = caller.listed(filterBy="id", filterOp="equals", filterValue=ids[7])
    assert ([one["id"] for one in found["entry"]], found["totalResults"]) == ([ids[7]], 1)


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("777777/@self", {}, "user_invalid"),
        ("@all/@self", {}, "user_invalid"),
        ("@me/210", {}, "extension_invalid"),
        ("@me/@self", {"count": "0"}, "count_invalid"),
        ("@me/@self", {"count": "5001"}, "count_invalid"),
        ("@me/@self", {"startIndex": "x"}, "startindex_invalid"),
        ("@me/@self", {"filterBy": "extension"}, "filterby_invalid"),
        ("@me/@self", {"filterBy": "id", "filterOp": "is"}, "filterop_invalid"),
        ("@me/@self", {"sortOrder": "up"}, "sortorder_invalid"),
    ],
)
def test_a_list_is_refused_with_a_code(
    door: AppDoor, caller: Caller, path: str, query: dict[str, str], expected: str
) -> None:
    """400 and the code of what is wrong."""
    door.begin_call()
    assert code(caller.ask("GET", path, params=query)) == (400, expected)


def test_the_examples_misspelt_address_is_none(caller: Caller) -> None:
    """/uapi/phoneCall/ is not served, /unifiedapi/ is."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    wrong = caller.http.get(f"{caller.base}/uapi/phoneCall/@me/@self", headers=headers)
    older = caller.http.get(f"{caller.base}/unifiedapi/phoneCalls/@me/@self", headers=headers)
    assert (wrong.status_code, older.status_code) == (404, 200)


def test_records_a_view_until_it_is_told_to_stop(door: AppDoor, caller: Caller) -> None:
    """`recording` is there exactly while it records; each request is remembered."""
    call = door.begin_call(other="0003*211")
    started = caller.act(call["id"], format="wav49").json()
    assert ["recording" in one for one in started["phoneCallView"]] == [True, False]
    assert caller.listed()["entry"] == [started]
    again = caller.act(call["id"]).json()
    assert again == started
    stopped = caller.act(call["id"], "StopRecording").json()
    assert not any("recording" in one for one in stopped["phoneCallView"])
    caller.act(call["id"], "StopRecording")

    told = [(one["action"], one["format"], one["outcome"]) for one in door.actions()]
    assert told == [
        ("StartRecording", "wav49", "started"),
        ("StartRecording", None, "already"),
        ("StopRecording", None, "stopped"),
        ("StopRecording", None, "not_recording"),
    ]


def test_the_codes_of_the_page(door: AppDoor, caller: Caller) -> None:
    """Each of its three errors, with its status; nothing is recorded."""
    call = door.begin_call()["id"]
    refusals = [
        caller.act(call, format="mp3"),
        caller.act("444444"),
        caller.act(call, phoneCallViewId="07"),
        caller.act(call, phoneCallViewId=None),
    ]
    documented = json.loads((SAMPLES / "errors.json").read_text(encoding="utf-8"))
    assert {name: status for status, name in map(code, refusals)} == documented
    assert "recording" not in door.calls()[0]["phoneCallView"][0]
    assert [one["outcome"] for one in door.actions()] == [code(one)[1] for one in refusals]
    assert code(caller.act(call, "Park")) == (501, "request_not_implemented")
    assert code(caller.ask("PUT", f"@me/@self/{call}", content=b"{")) == (
        400,
        "request_payload_invalid",
    )


def test_a_phone_terminal_that_does_not_record(door: AppDoor, caller: Caller) -> None:
    """200 as ever, without `recording`, until *1 is switched on."""
    call = door.begin_call()["id"]
    door.set_terminal("0003*210", records=False)
    answer = caller.act(call)
    assert answer.status_code == 200
    assert "recording" not in answer.json()["phoneCallView"][0]
    door.set_terminal("0003*210", records=True)
    assert "recording" in caller.act(call).json()["phoneCallView"][0]
    assert [one["outcome"] for one in door.actions()] == ["switched_off", "started"]


def test_a_transfer_changes_the_views(door: AppDoor, caller: Caller) -> None:
    """Other ids, another extension if wished, and the recording of the old view has ended."""
    call = door.begin_call()["id"]
    caller.act(call)
    moved = door.transfer(call, to="0003*299")
    (view,) = moved["phoneCallView"]
    assert (view["id"], view["extension"], "recording" in view) == ("02", "0003*299", False)
    assert code(caller.act(call)) == (400, "pc_phonecallview_invalid")
    assert caller.act(call, phoneCallViewId="02").status_code == 200


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ({"entry": "object"}, lambda body, call: body["entry"] == {call["id"]: call}),
        ({"entry": "one"}, lambda body, call: body["entry"] == call),
        ({"totals": "text"}, lambda body, _: body["totalResults"] == "1"),
        ({"totals": "absent"}, lambda body, _: "totalResults" not in body),
        ({"link": "links"}, lambda body, _: "links" in body["entry"][0]),
        (
            {"numbers": "number"},
            lambda body, _: body["entry"][0]["phoneCallView"][0]["status"] == 5,
        ),
    ],
)
def test_a_list_in_another_form(
    door: AppDoor, caller: Caller, switch: dict[str, Any], expected: Any
) -> None:
    """Where the pages leave it open or contradict each other, a switch decides."""
    door.begin_call()
    door.configure(**switch)
    assert expected(caller.listed(), door.calls()[0])


@pytest.mark.parametrize(
    ("form", "status", "body"),
    [
        ("absent", 200, {"startIndex": 0, "itemsPerPage": 0, "totalResults": 0}),
        ("empty", 200, {"startIndex": 0, "itemsPerPage": 0, "totalResults": 0, "entry": []}),
        ("php", 200, []),
        ("204", 204, None),
    ],
)
def test_nobody_on_the_phone_in_another_form(
    door: AppDoor, caller: Caller, form: str, status: int, body: Any
) -> None:
    """No entry, an empty one, PHP's empty object, or 204 without a body."""
    door.configure(nothing_found=form)
    answer = caller.ask("GET", "@me/@self")
    assert answer.status_code == status
    assert (answer.json() if answer.content else None) == body


def test_an_action_is_answered_in_another_form(door: AppDoor, caller: Caller) -> None:
    """An array of one, 204, or a call that does not tell of its recording, though it records."""
    call = door.begin_call()["id"]
    door.configure(action_answer="array")
    (told,) = caller.act(call).json()
    assert told["id"] == call
    door.configure(action_answer="silent")
    assert "recording" not in caller.act(call).json()["phoneCallView"][0]
    door.configure(action_answer="204")
    answer = caller.act(call)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "recording" in door.calls()[0]["phoneCallView"][0]


def test_a_recording_that_shows_late(door: AppDoor, caller: Caller) -> None:
    """Only after so many lists."""
    door.configure(shown_after_lists=2)
    call = door.begin_call()["id"]
    caller.act(call)

    def shows() -> bool:
        return "recording" in caller.listed()["entry"][0]["phoneCallView"][0]

    assert [shows(), shows(), shows()] == [False, False, True]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("reset", {"when": "before"}),
        ("close", {"when": "after"}),
        ("cut", {"after_bytes": 10}),
    ],
)
def test_misbehaves_on_request(
    door: AppDoor, caller: Caller, kind: str, more: dict[str, Any]
) -> None:
    """Once, for this App; "before" leaves no trace, "after" has its effect."""
    call = door.begin_call()["id"]
    door.fault("start", kind, **more)
    with pytest.raises(httpx.TransportError):
        caller.act(call)
    done = more.get("when") != "before"
    assert [one["outcome"] for one in door.actions()] == (["started"] if done else [])
    assert caller.act(call).status_code == 200


def test_an_answer_of_the_tests_own(door: AppDoor, caller: Caller) -> None:
    """Any status, body and Retry-After."""
    call = door.begin_call()["id"]
    door.fault("stop", "answer", status=429, body="error", retry_after=7)
    answer = caller.act(call, "StopRecording")
    assert code(answer) == (429, "simulated")
    assert answer.headers["retry-after"] == "7"
    door.fault("list", "answer", status=200, body="html")
    assert "<html>" in caller.ask("GET", "@me/@self").text


def test_an_unknown_wish_is_told(simulators: Simulators, door: AppDoor) -> None:
    """By the names that there are."""
    with pytest.raises(ValueError, match="entry is one of"):
        door.configure(entry="page")
    with pytest.raises(ValueError, match="no switch 'colour'"):
        door.configure(colour="red")
    with pytest.raises(ValueError, match="no operation 'park'"):
        door.fault("park", "reset")
    with pytest.raises(ValueError, match="has no call 444444"):
        door.end_call("444444")
    assert simulators.voipnow.faults() == []


def test_fifty_starts_at_once_are_one_recording(door: AppDoor, caller: Caller) -> None:
    """The first begins it, all are remembered."""
    call = door.begin_call()["id"]
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: caller.act(call), range(50)))
    assert {one.status_code for one in answers} == {200}
    outcomes = [one["outcome"] for one in door.actions()]
    assert (outcomes.count("started"), outcomes.count("already")) == (1, 49)


def test_another_process_has_the_same_methods(tmp_path: Path) -> None:
    """Over HTTP as in one process; the log of effects stays in its file."""
    with running(tmp_path) as remote:
        door = remote.voipnow.account()
        call = door.begin_call()["id"]
        with Caller(door) as caller:
            caller.act(call)
        assert [one["outcome"] for one in door.actions()] == ["started"]
        assert {door.client_secret, caller.token} <= set(remote.voipnow.secrets())
    effects = Records.load(tmp_path / "log.jsonl").effects("recording_started")
    assert [one["call_id"] for one in effects] == [call]


def test_every_control_method_has_its_door() -> None:
    """What HTTP offers, Python offers under the same name."""

    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(VoipnowControl) - {"addresses"} <= public(VoipnowDoor) | public(AppDoor)
