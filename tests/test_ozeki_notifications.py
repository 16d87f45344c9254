"""Ozeki's notifications: what is read of a form, and which may be answered with a recording."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from urllib.parse import urlencode

import pytest

from providers.ozeki.notifications import Unreadable, answerable, notification

URL = "http://192.0.2.7:7780/HttpRecordings/uteom.mp3"


def form(**fields: str) -> bytes:
    """A form's body."""
    return urlencode(fields).encode()


@pytest.mark.parametrize("spelling", ["CallID", "CallId", "callid", "CALLID"])
def test_reads_a_finished_recording(spelling: str) -> None:
    """In whatever case the server spells the call's id; unknown fields are kept."""
    body = form(NotificationName="RecordCompleted", RecordURL=URL, More="é", **{spelling: "uteom"})
    found = notification(body)

    assert (found.name, found.call_id, found.record_url) == ("RecordCompleted", "uteom", URL)
    assert dict(found.fields) == {
        "NotificationName": "RecordCompleted",
        "RecordURL": URL,
        "More": "é",
        spelling: "uteom",
    }


def test_reads_a_changed_call() -> None:
    """Its call and the state it is in."""
    found = notification(form(NotificationName="CallChanged", CallId="6eg3ft", CallState="InCall"))

    assert (found.name, found.call_id, found.call_state) == ("CallChanged", "6eg3ft", "InCall")
    assert (found.record_url, found.digits) == (None, None)


def test_reads_pressed_keys() -> None:
    """As the vendor's own sample code does."""
    found = notification(form(NotificationName="DtmfEntered", CallID="1", DtmfDigits="12#"))

    assert found.digits == "12#"


def test_a_recording_without_a_name_is_completed() -> None:
    """RecordURL is all that the vendor promises of this notification."""
    assert notification(form(RecordURL=URL)).name == "RecordCompleted"
    assert notification(form(RecordURL=URL)).call_id is None


@pytest.mark.parametrize(
    ("sent", "name"),
    [("recordcompleted", "RecordCompleted"), (" CallChanged ", "CallChanged"), ("New", "New")],
)
def test_names_are_in_the_vendors_spelling(sent: str, name: str) -> None:
    """Those that are known; others stay as they are."""
    assert notification(form(NotificationName=sent)).name == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NotificationName=",
        b"CallId=1",
        b"NotificationName",
        b'{"NotificationName": "CallChanged"}',
        b"<Response/>",
        b"NotificationName=CallChanged&NotificationName=RecordCompleted",
        b"NotificationName=RecordCompleted&CallID=1&CallId=2",
        b"NotificationName=RecordCompleted&RecordURL=http://a/&recordurl=http://b/",
        b"NotificationName=%00",
        b"NotificationName=" + b"x" * 65,
        b"NotificationName=CallChanged&" + b"a=1&" * 100,
        b"NotificationName=CallChanged&a=" + b"x" * 65536,
        b"NotificationName=CallChanged&" * 400_000,
    ],
)
def test_what_is_no_notification(body: bytes) -> None:
    """An error says so and quotes nothing."""
    with pytest.raises(Unreadable) as caught:
        notification(body)

    assert "http://" not in str(caught.value)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"NotificationName=RecordCompleted&RecordURL=http://a/&CallerId=J\xf6rg",
        b"NotificationName=RecordCompleted&RecordURL=http://a/&CallerId=J%F6rg",
        b"NotificationName=RecordCompleted&RecordURL=http://a/&a=1&a=2&A=3",
        b"NotificationName=RecordCompleted&RecordURL=http://a/&RecordURL=http://a/",
    ],
)
def test_a_blemish_elsewhere_costs_no_recording(body: bytes) -> None:
    """A name in another encoding, or a field that comes twice and means nothing to us."""
    assert notification(body).record_url == "http://a/"


def test_a_notification_shows_no_numbers_and_stays_as_it_is() -> None:
    """Where it is printed, the address and the parties are not; nobody can change it."""
    found = notification(
        form(NotificationName="IncomingCall", CallerID="34600123456", RecordURL=URL)
    )

    assert "34600123456" not in repr(found)
    assert URL not in repr(found)
    with pytest.raises(FrozenInstanceError):
        found.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.fields["a"] = "b"  # type: ignore[index]


@pytest.mark.parametrize(
    ("control", "names"),
    [
        ("http", set()),
        ("ozml_third_party", {"CallChanged"}),
        (
            "ozml_extension",
            {
                "GoTo",
                "DtmfEntered",
                "SMSDeliveryReport",
                "IncomingSMS",
                "IncomingCall",
                "CallConnected",
            },
        ),
        ("unknown", set()),
    ],
)
def test_what_may_be_answered_with_a_recording(control: str, names: set[str]) -> None:
    """What the vendor's page lists for each control, but for RecordCompleted: answered so, each
    recording would begin the next.
    """
    known = {
        "CallChanged",
        "RecordCompleted",
        "RoutingInterception",
        "Error",
        "GoTo",
        "DtmfEntered",
        "SMSDeliveryReport",
        "IncomingSMS",
        "IncomingCall",
        "CallConnected",
    }
    assert {name for name in known if answerable(control, name)} == names
