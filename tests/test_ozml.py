"""OzML documents: the vendor's examples, and what each control ignores."""

from __future__ import annotations

from typing import Any, cast
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring

from providers.errors import WrongField
from providers.ozeki import ozml

from .ozeki_accounts import SAMPLES, sample

FINISHED = "http://yourapp.com/record_finished.php"
BARE: dict[str, Any] = {"call_id": None, "format": "mp3", "finished_url": None}


def built(control: str, **more: Any) -> bytes:
    """A document."""
    return ozml.recording(cast("ozml.Control", control), **{**BARE, **more})


def shape(document: bytes) -> list[tuple[str, dict[str, str], str]]:
    """Name, attributes and text of the root and of each command; space around text is none."""
    root: Element = fromstring(document)
    return [(one.tag, dict(one.attrib), (one.text or "").strip()) for one in root.iter()]


SPOKEN = (
    "Your call will be recorded. You can stop recording by pressing 1.\n"
    "  You have 1 minutes to talk."
)
EXAMPLES: dict[str, dict[str, Any]] = {
    "extension_simple.xml": {"control": "ozml_extension", "finish_digits": "12"},
    "extension_detailed.xml": {
        "control": "ozml_extension",
        "finish_digits": "1",
        "announcement": SPOKEN,
        "hang_up_after_seconds": 60,
    },
    "third_party_simple.xml": {"control": "ozml_third_party", "call_id": "6eg3ft"},
    "third_party_detailed.xml": {
        "control": "ozml_third_party",
        "call_id": "6eg3ft",
        "announcement": "Your call will be recorded.",
    },
}


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_builds_the_vendors_examples(name: str) -> None:
    """Command by command and attribute by attribute, nothing more and nothing less."""
    document = built(**{"format": "wav", "finished_url": FINISHED, **EXAMPLES[name]})

    assert shape(document) == shape(sample(name))


def test_every_example_is_built_and_explained() -> None:
    """No documented example lies about untested, and each is named in the README beside it."""
    names = {path.name for path in SAMPLES.iterdir()} - {"README.md"}
    about = sample("README.md").decode()

    assert {name for name in names if "_simple" in name or "_detailed" in name} == set(EXAMPLES)
    assert all(f"`{name}`" in about for name in names)


def test_all_six_parameters_of_record() -> None:
    """Each in the vendor's spelling; five under one control and three under the other."""
    extension = built(
        "ozml_extension",
        finished_url=FINISHED,
        max_seconds=60,
        silence_seconds=5,
        finish_digits="7890*#",
    )
    third_party = built("ozml_third_party", call_id="6eg3ft", finished_url=FINISHED)

    record = {"Format": "mp3", "FinishedUrl": FINISHED}
    assert shape(extension)[1:] == [
        ("Record", {**record, "Duration": "60", "Inactivity": "5", "FinishDigits": "7890*#"}, "")
    ]
    assert shape(third_party)[1:] == [("Record", {**record, "CallId": "6eg3ft"}, "")]


@pytest.mark.parametrize("control", ["ozml_third_party", "ozml_extension"])
def test_a_document_with_the_format_alone(control: str) -> None:
    """Everything else may be left out; the call is then the one that the notification is about."""
    assert shape(built(control)) == [("Response", {}, ""), ("Record", {"Format": "mp3"}, "")]


def test_the_empty_document() -> None:
    """It is well-formed, has the root that every document has, and asks for nothing."""
    assert shape(ozml.empty()) == [("Response", {}, "")]
    assert ozml.empty().startswith(b"<?xml version=")
    assert b"</Response>" in ozml.empty()


@pytest.mark.parametrize(
    ("control", "field", "value"),
    [
        ("ozml_extension", "call_id", "6eg3ft"),
        ("ozml_third_party", "max_seconds", 60),
        ("ozml_third_party", "silence_seconds", 5),
        ("ozml_third_party", "finish_digits", "1"),
        ("ozml_third_party", "hang_up_after_seconds", 60),
    ],
)
def test_what_a_control_ignores_is_refused(control: str, field: str, value: object) -> None:
    """The caller relied on it: the error names it, says that it is ignored, and where it is not."""
    with pytest.raises(WrongField, match="is ignored under") as caught:
        built(control, **{field: value})

    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    assert control in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_seconds", 0),
        ("max_seconds", -1),
        ("max_seconds", 1.5),
        ("max_seconds", True),
        ("silence_seconds", "5"),
        ("hang_up_after_seconds", 0),
        ("finish_digits", ""),
        ("finish_digits", "A"),
        ("finish_digits", "1 2"),
        ("finish_digits", "\u0661"),
        ("format", "ogg"),
        ("format", "MP3"),
        ("announcement", " "),
        ("announcement", "a\x00b"),
        ("announcement", "a\ud800b"),
        ("finished_url", "http://a/\x0b"),
        ("finished_url", "http://a/\uffff"),
        ("control", "http"),
    ],
)
def test_what_no_server_could_read_is_refused(field: str, value: object) -> None:
    """The error names the field."""
    with pytest.raises(WrongField) as caught:
        built(**cast("dict[str, Any]", {"control": "ozml_extension", field: value}))

    assert caught.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        "a < b && c > \"d\" 'e' ]]>",
        "</Speak><Hangup/>",
        "<!--",
        "&amp;",
        "Grabación — 録音 \U0001f399",
        "two\nlines\tand a tab",
    ],
)
def test_text_stays_text(text: str) -> None:
    """Whatever an announcement, an id or an address holds: it comes back the same."""
    document = built(
        "ozml_third_party", announcement=text, call_id=text, finished_url=f"http://a/?{text}"
    )
    _, speak, record = shape(document)

    assert speak == ("Speak", {"CallId": text, "Party": "all"}, text)
    assert record == (
        "Record",
        {"CallId": text, "Format": "mp3", "FinishedUrl": f"http://a/?{text}"},
        "",
    )


def test_an_address_is_escaped_as_xml_not_as_a_url() -> None:
    """OzML has addresses raw, except for XML's own escapes (docs/providers/ozeki.md, C3)."""
    assert b'FinishedUrl="http://a/?b=1&amp;c=%20"' in built(
        "ozml_extension", finished_url="http://a/?b=1&c=%20"
    )
