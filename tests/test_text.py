"""Bytes of answers: one letter that cannot be read costs that letter, not the answer."""

from __future__ import annotations

import json
from xml.etree.ElementTree import tostring

import pytest

from providers.http import json_answers, xml_answers
from providers.http.text import decoded

LIST = '{"cnam": "%s", "id": 1}'


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (LIST % "Ñandú 😀", "Ñandú 😀"),
        (b'{"cnam": "Jos\xc3", "id": 1}', "Jos\ufffd"),
        (b'{"cnam": "J\xf0\x9f\x98", "id": 1}', "J\ufffd"),
        (b'{"cnam": "\xe2\x82", "id": 1}', "\ufffd"),
        ((LIST % "Ñandú").encode("latin-1"), "Ñandú"),
        ((LIST % "5 € Müller").encode("cp1252"), "5 € Müller"),
        (b'{"cnam": "Mu\xc3\xb1oz y Mu\xf1oz", "id": 1}', "Muñoz y Muñoz"),
        (b'{"cnam": "\x81x", "id": 1}', "\ufffdx"),
        (b"\xef\xbb\xbf" + (LIST % "Ñ").encode(), "Ñ"),
        ((LIST % "Ñ").encode("utf-16"), "Ñ"),
        ((LIST % "Ñ").encode("utf-16-le"), "Ñ"),
        ((LIST % "Ñ").encode("utf-16-be"), "Ñ"),
        ((LIST % "Ñ").encode("utf-32"), "Ñ"),
        (b'{"cnam": "a\\ud83d", "id": 1}', "a\ud83d"),
        (b'{"cnam": "a\\u0000b", "id": 1}', "a\0b"),
        (b'{"cnam": "a\0b\tc\nd\x1b", "id": 1}', "a\0b\tc\nd\x1b"),
        (b' \r\n{"cnam": "x", "id": 1}\n\0', "x"),
    ],
)
def test_json_in_any_encoding(body: bytes | str, name: str) -> None:
    """UTF-8 with broken letters, Windows-1252, UTF-16 and UTF-32; marks and zeros around it."""
    content = json_answers.parsed(body.encode() if isinstance(body, str) else body)
    assert content == {"cnam": name, "id": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"<html/>", b"{'a': 1}", b"\xff\xfe"])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    """Nothing, a half, too deep, a page."""
    with pytest.raises(ValueError, match=r"."):
        json_answers.parsed(body)


def test_a_number_without_end_costs_itself() -> None:
    """Python refuses to read it as a number; it stays what was sent."""
    digits = "9" * 5000
    assert json_answers.parsed(f'{{"a": {digits}, "b": 1e999, "c": NaN}}'.encode()) == {
        "a": digits,
        "b": None,
        "c": None,
    }


@pytest.mark.parametrize("body", [b"plain", "Ñ".encode(), "Ñ".encode("utf-16")])
def test_what_is_whole_is_certain(body: bytes) -> None:
    """No byte of it had to be guessed."""
    assert decoded(body).is_certain


def test_what_is_guessed_is_not_certain() -> None:
    """A success that is read so is none."""
    assert decoded(b"Jos\xe9") == ("Jos\ufffd", False)
    assert decoded(b"Jos\xe9 ") == ("José ", False)


def test_what_is_no_text_at_all_is_not_guessed_at() -> None:
    """16 MiB of bytes that are no UTF-8 would take a minute."""
    assert decoded(b"\xe9" * (2 << 20)) == ("\ufffd" * (2 << 20), False)


UTF16 = '<?xml version="1.0" encoding="utf-16"?>'


@pytest.mark.parametrize(
    ("body", "name", "is_certain"),
    [
        (f"{UTF16}<a>é</a>".encode(), "é", True),
        (f"{UTF16}<a>é</a>".encode("utf-16"), "é", True),
        (f"{UTF16}<a>é</a>".encode("utf-16-le"), "é", True),
        (f"\ufeff{UTF16}<a>é</a>".encode(), "é", True),
        ('<?xml version="1.0" encoding="Unicode"?><a>é</a>'.encode(), "é", True),
        ('<?xml version="1.0" encoding="utf-8"?><a>é</a>'.encode("utf-16"), "é", True),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"), "é", True),
        ('<?xml version="1.0" encoding="utf-8"?><a>é.</a>'.encode("latin-1"), "é.", False),
        ("<a>é.</a>".encode("latin-1"), "é.", False),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode(), "é", True),
        ('<?xml version="1.0" encoding="UTF-16LE"?><a>é</a>'.encode(), "é", True),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("utf-16"), "é", True),
        ('<?xml version="1.0" encoding="no-such"?><a>é</a>'.encode(), "é", False),
        ('<?xml version="1.0" encoding="no-such"?><a>é.</a>'.encode("latin-1"), "é.", False),
        (b'<?xml version="1.0" encoding="utf-7"?><a>x</a>', "x", True),
        (b'<?xml version="1.0" encoding="Shift_JIS"?><a>x</a>', "x", True),
        (b'<?xml version="1.0" encoding=""?><a>x</a>', "x", False),
        (b"<a>Smith & Sons &nbsp; &amp; &lt;</a>", "Smith & Sons &nbsp; & <", True),
        (b"<a>x&#0;&#x1F;\x01&#65;&#xD800;</a>", "x\ufffd\ufffd\ufffdA\ufffd", True),
        (b'\r\n<?xml version="1.0"?><a>x</a>\0\r\n', "x", True),
        (b'<a xmlns="urn:b">x</a>', "x", True),
        (b'<p:a xmlns:p="urn:b">x</p:a>', "x", True),
    ],
)
def test_xml_whatever_it_declares(body: bytes, name: str, is_certain: bool) -> None:
    """Its bytes tell their encoding; what no XML may hold costs itself."""
    found = xml_answers.parsed(body)
    assert found is not None
    assert found.root.text == name, tostring(found.root)
    assert found.is_certain is is_certain


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"<a/>behind",
        b"<a/><b/>",
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    ],
)
def test_what_is_no_xml_or_declares_entities_is_none(body: bytes) -> None:
    """A half, more than one document, and every DTD."""
    assert xml_answers.parsed(body) is None


def test_lines_of_the_archive_hold_any_text() -> None:
    """What was read of an answer can be written as JSON in UTF-8."""
    for body in (b'{"a": "\\ud83d \\u0000"}', b'{"a": "Jos\xc3"}'):
        json.dumps(json_answers.parsed(body)).encode()
