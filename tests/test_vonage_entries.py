"""Odd entries of Vonage's list: a field costs itself, an entry without id or start is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.errors import Uncertain

from .vonage_accounts import client, listed, raw, recording, shown

START = "2019-01-01T00:00:00Z"


def page(*entries: Any, **more: Any) -> dict[str, Any]:
    """A page as the client reads it."""
    with client(listed(*entries, **more)) as vonage:
        return vonage.recordings({}).result()


@pytest.mark.parametrize(
    ("told", "read", "unreadable"),
    [
        ({"end": "0000-00-00T00:00:00+0000"}, {"end": "0000-00-00T00:00:00+0000"}, {}),
        ({"end": ""}, {"end": ""}, {}),
        ({"end": 1794306600000}, {"end": 1794306600000}, {}),
        ({"end": {"at": "noon"}}, {"end": {"at": "noon"}}, {}),
        ({"end": "20261110103000Z"}, {"end": "20261110103000Z"}, {}),
        ({"file_size_in_bytes": 0}, {"file_size_in_bytes": 0}, {}),
        ({"file_size_in_bytes": "12345"}, {"file_size_in_bytes": 12345}, {}),
        ({"file_size_in_bytes": "12345.0"}, {"file_size_in_bytes": 12345}, {}),
        ({"file_size_in_bytes": 12345.0}, {"file_size_in_bytes": 12345}, {}),
        ({"file_size_in_bytes": 1e3}, {"file_size_in_bytes": 1000}, {}),
        ({"file_size_in_bytes": None}, {"file_size_in_bytes": None}, {}),
        ({"file_size_in_bytes": -1}, {"file_size_in_bytes": None}, {"file_size_in_bytes": -1}),
        (
            {"file_size_in_bytes": "1_0"},
            {"file_size_in_bytes": None},
            {"file_size_in_bytes": "1_0"},
        ),
        ({"file_size_in_bytes": 0.5}, {"file_size_in_bytes": None}, {"file_size_in_bytes": 0.5}),
        ({"duration": True}, {"duration": None}, {"duration": True}),
        ({"duration": [1]}, {"duration": None}, {"duration": [1]}),
        ({"duration": "1e3"}, {"duration": None}, {"duration": "1e3"}),
        ({"duration": 10**40}, {"duration": None}, {"duration": 10**40}),
        ({"cnam": {"first": "A"}}, {"cnam": {"first": "A"}}, {}),
        ({"cnam": False}, {"cnam": False}, {}),
        ({"file_name": ["a.mp3"]}, {"file_name": ["a.mp3"]}, {}),
        ({"extensions": {"a": 1}}, {"extensions": {"a": 1}}, {}),
        ({"extensions": [{"n": 1}, 2, None]}, {"extensions": [{"n": 1}, "2"]}, {}),
        ({"set_aside": "ours", "unreadable": 1}, {}, {}),
    ],
)
def test_an_optional_field_costs_itself(
    told: dict[str, Any], read: dict[str, Any], unreadable: dict[str, Any]
) -> None:
    """Read where it is clear, else kept as it was sent; the recording is listed with the others."""
    found = page(recording(1, **told), recording(2))
    first, second = found["recordings"]
    assert {name: first[name] for name in read} == read
    assert first.get("unreadable", {}) == unreadable
    assert "set_aside" not in found
    assert "set_aside" not in first
    assert second["id"] == "2"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (193228, "193228"),
        ("000193228", "000193228"),
        (" 193228 ", "193228"),
        (193228.0, "193228"),
        (2**60, str(2**60)),
    ],
)
def test_an_id_is_read_right(told: Any, name: str) -> None:
    """As a number or as text, with the zeros before it."""
    assert [one["id"] for one in page(recording(told))["recordings"]] == [name]


@pytest.mark.parametrize(
    "told", [None, "", "  ", {}, [], True, 1.5e300, float(2**53), "a\nb", "a\ufffdb", "9" * 300]
)
def test_an_entry_without_an_id_is_set_aside(told: Any) -> None:
    """Under a name of its own that is the same in every look, with what it tells."""
    found = page(recording(1), {**recording(2), "id": told})
    again = page({**recording(2), "id": told}, recording(1))
    assert [one["id"] for one in found["recordings"]] == ["1"]
    (aside,) = found["set_aside"]
    assert aside["id"].startswith("unreadable-")
    assert aside["set_aside"] == "it has no id that can be read"
    assert aside["start"] == START
    assert again["set_aside"] == found["set_aside"]


@pytest.mark.parametrize(
    "told",
    ["", None, "0000-00-00T00:00:00Z", "20261110103000Z", 1794306600000, "1794306600", {}, "10:30"],
)
def test_an_entry_without_a_start_is_set_aside(told: Any) -> None:
    """By its own id; what was sent as its start is kept raw."""
    found = page({**recording(1), "start": told}, recording(2))
    (aside,) = found["set_aside"]
    assert (aside["id"], aside["start"]) == ("1", None)
    assert aside.get("unreadable", {}).get("start") == told
    assert [one["id"] for one in found["recordings"]] == ["2"]


def test_entries_that_are_no_objects_are_set_aside() -> None:
    """Beside others; alone they are no list."""
    found = page(recording(1), None, "text", "text")
    assert [one["listed"] for one in found["set_aside"]] == [None, "text", "text"]
    assert len({one["id"] for one in found["set_aside"]}) == 3
    with pytest.raises(Uncertain):
        page(None, "text")


def test_two_recordings_of_one_id_are_both_seen() -> None:
    """The same entry twice is one recording; another under its id is set aside, not swallowed."""
    twice = [recording(1), recording(1), recording(1, file_name="other.mp3"), recording(2)]
    pages = [listed(*twice, total_items=4), listed(total_items=4)]
    with client(*pages) as vonage:
        found = [one.line() for one in vonage.every_recording({})]
    assert [one["id"] for one in found][:2] == ["1", "2"]
    assert len(found) == 3
    assert found[2]["id"].startswith("1-")
    assert found[2]["set_aside"] == "its id 1 is also that of another recording"


def test_what_is_set_aside_comes_with_every_pass() -> None:
    """And counts: the provider's total is reached."""
    entries = [recording(1), {**recording(2), "id": None}, {**recording(1), "start": "then"}]
    for _ in range(2):
        with client(listed(*entries, total_items=3), listed(total_items=3)) as vonage:
            found = [one.line() for one in vonage.every_recording({})]
        assert [one["id"] for one in found if "set_aside" not in one] == ["1"]
        assert len({one["id"] for one in found}) == 3


def test_a_number_of_thousands_of_digits_costs_itself() -> None:
    """Python refuses to read one."""
    body = json.dumps({"_embedded": {"recordings": [recording(1, duration=5)]}})
    with client(raw(200, body.replace(": 5,", f": {'9' * 5000},").encode())) as vonage:
        (one,) = vonage.recordings({}).result()["recordings"]
    assert one["duration"] is None
    assert one["unreadable"] == {"duration": "9" * 5000}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16", "utf-16-be", "utf-32"])
def test_a_list_in_any_encoding(encoding: str) -> None:
    """A whole answer in another encoding than UTF-8."""
    body = json.dumps({"_embedded": {"recordings": [recording(cnam="Núñez")]}}, ensure_ascii=False)
    with client(raw(200, body.encode(encoding))) as vonage:
        assert vonage.recordings({}).result()["recordings"][0]["cnam"] == "Núñez"


def test_a_recording_on_its_own_is_read_the_same() -> None:
    """What a person looks at is what is listed."""
    with client(shown(recording(1, end="never"))) as vonage:
        assert vonage.recording("1").line()["end"] == "never"
