"""The list of calls: every form that it may come in, over pages, and what each call shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from providers.errors import Uncertain
from providers.voipnow.client import Voipnow

from .voipnow_accounts import (
    CALL,
    MemoryShelf,
    Server,
    account,
    client,
    listed,
    phone_call,
    raw,
    shown,
    view,
)


def numbered(*numbers: int) -> list[dict[str, Any]]:
    """Calls with these ids."""
    return [phone_call(id=str(number)) for number in numbers]


def test_a_call_shows_what_the_vendors_page_has() -> None:
    """Ids as text, times in UTC, numbers in words, and the views with their recordings."""
    told = phone_call(view(recording="2012-06-27T16:18:55+03:00", flow=8))
    with client(listed(told)) as voipnow:
        assert [one.result() for one in voipnow.calls()] == [
            {
                "call_id": CALL,
                "state": "on_call",
                "source": "7778888",
                "destination": "0003*210",
                "caller": "John Doe <3333>",
                "started_at": "2012-06-27T14:08:50Z",
                "extension": "0003*210",
                "views": [
                    {
                        "view_id": "01",
                        "extension": "0003*210",
                        "state": "on_call",
                        "direction": "incoming",
                        "source": ["7778888"],
                        "destination": ["0003*210"],
                        "caller": "John Doe <3333>",
                        "answered_at": "2012-06-27T13:08:55Z",
                        "recording": "2012-06-27T13:18:55Z",
                    }
                ],
            }
        ]


@pytest.mark.parametrize(
    ("told", "shows"),
    [
        ({"status": 3}, {"state": "ringing"}),
        ({"status": "4"}, {"state": "other_side_ringing"}),
        ({"status": 77}, {"state": "unknown"}),
        ({"status": None}, {"state": "unknown"}),
        ({"flow": "4"}, {"direction": "outgoing"}),
        ({"flow": 2}, {"direction": "local"}),
        ({"flow": 16}, {"direction": None}),
        ({"id": 7}, {"view_id": "7"}),
        ({"source": "7778888"}, {"source": ["7778888"]}),
        ({"source": [7778888]}, {"source": ["7778888"]}),
        ({"source": None}, {"source": []}),
        ({"callerId": None, "callerID": "Ann <1>"}, {"caller": "Ann <1>"}),
        ({"recording": None}, {"recording": None}),
        ({"recording": False}, {"recording": None}),
        ({"recording": "soon"}, {"recording": "soon"}),
        ({"recording": "2012-06-27T16:18:55Z"}, {"recording": "2012-06-27T16:18:55Z"}),
        ({"answered": "never"}, {"answered_at": None}),
    ],
)
def test_a_view_in_other_words(told: dict[str, Any], shows: dict[str, Any]) -> None:
    """Numbers as text, text as numbers, what is NULL left out."""
    with client(listed(phone_call(view(**told)))) as voipnow:
        (one,) = voipnow.calls()[0].views

    assert {name: one[name] for name in shows} == shows


@pytest.mark.parametrize(
    ("call", "shows"),
    [
        (phone_call(phoneCallView=[]), ("unknown", None, None)),
        (phone_call(phoneCallView=None), ("unknown", None, None)),
        (phone_call(phoneCallView=view(status=3)), ("ringing", "7778888", "0003*210")),
        (phone_call(phoneCallView={"0": view(status=2)}), ("trying", "7778888", "0003*210")),
        (
            phone_call(view("00", extension="0003*211", source=["1"], status=3), view(status=4)),
            ("other_side_ringing", "7778888", "0003*210"),
        ),
        (
            phone_call(view("00", extension="0003*211", source=["1", "2"])),
            ("on_call", "1, 2", "0003*210"),
        ),
    ],
)
def test_a_call_is_shown_by_its_own_view(call: dict[str, Any], shows: tuple[str, ...]) -> None:
    """The view of the extension that the call names, else the first; the furthest state."""
    with client(listed(call)) as voipnow:
        (one,) = voipnow.calls()

    assert (one.state, one.source, one.destination) == shows


@pytest.mark.parametrize(
    "answer",
    [
        lambda: listed(phone_call()),
        lambda: shown({"entry": {CALL: phone_call()}, "totalResults": "1"}),
        lambda: shown({"entry": {CALL: phone_call(id=None)}, "totalResults": 1}),
        lambda: shown({"entry": phone_call(), "totalResults": 1}),
    ],
)
def test_an_entry_of_every_form(answer: Callable[[], httpx.Response]) -> None:
    """A list, an object keyed by id, one call alone; the count as number or text."""
    with client(answer()) as voipnow:
        assert [one.call_id for one in voipnow.calls()] == [CALL]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: shown({"totalResults": 0}),
        lambda: shown({"totalResults": "0", "entry": []}),
        lambda: shown({"entry": {}, "startIndex": 0}),
        lambda: shown({"entry": None}),
        lambda: shown({"entry": ""}),
        lambda: shown({}),
        lambda: shown([]),
        lambda: raw(204),
    ],
)
def test_no_calls_in_every_form(answer: Callable[[], httpx.Response]) -> None:
    """No entry, an empty one, 204: nobody is on the phone."""
    with client(answer()) as voipnow:
        assert voipnow.calls() == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda: raw(200),
        lambda: raw(200, b"<html>"),
        lambda: raw(200, b"null"),
        lambda: shown({"calls": []}),
        lambda: shown({"entry": "none"}),
        lambda: shown({"entry": [1]}),
        lambda: shown({"entry": [{"extension": "0003*210"}]}),
        lambda: shown({"totalResults": 3}),
        lambda: shown({"error": {"code": "x", "message": "y"}}),
        lambda: raw(206, b"{}"),
    ],
)
def test_what_is_no_list_is_not_empty(answer: Callable[[], httpx.Response]) -> None:
    """An answer that is not understood is unknown, never "no calls"."""
    with client(answer()) as voipnow, pytest.raises(Uncertain):
        voipnow.calls()


@pytest.mark.parametrize("total", [{"totalResults": 5}, {"totalResults": "5"}, {}])
def test_lists_every_page_once(total: dict[str, Any]) -> None:
    """By startIndex, on from what came, whatever size of page the server prefers."""
    pages = [numbered(1, 2), numbered(3, 4), numbered(4, 5), numbered()]
    server = Server(*(shown({"entry": page, **total}) for page in pages))
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        assert [one.call_id for one in voipnow.calls()] == ["1", "2", "3", "4", "5"]

    asked = [dict(request.url.params) for request in server.requests]
    assert [query["startIndex"] for query in asked][:3] == ["0", "2", "4"]
    assert {query["count"] for query in asked} == {"500"}


def test_a_count_that_is_not_reached_is_unknown() -> None:
    """A server that gives the same page again does not make the list look whole."""
    pages = [shown({"entry": numbered(1, 2), "totalResults": 5}) for _ in range(2)]
    with client(*pages) as voipnow, pytest.raises(Uncertain, match="counts 5 calls but lists 2"):
        voipnow.calls()


def test_a_list_without_end_is_given_up() -> None:
    """The server lists 5000 calls at most: an extension narrows it down."""
    pages = [
        shown({"entry": numbered(*range(start, start + 1000))}) for start in range(0, 6000, 1000)
    ]
    with client(*pages) as voipnow, pytest.raises(Uncertain, match="give an extension"):
        voipnow.calls()


def test_filters_are_the_vendors() -> None:
    """They are sent as they are."""
    server = Server(listed())
    filters = {"filterBy": "id", "filterOp": "equals", "filterValue": CALL}
    with Voipnow(account(), MemoryShelf(), transport=server) as voipnow:
        voipnow.calls("12", "0003*210", filters=filters)

    (request,) = server.requests
    assert request.method == "GET"
    assert request.url.path == "/uapi/phoneCalls/12/0003*210"
    assert dict(request.url.params) == {**filters, "count": "500", "startIndex": "0"}
