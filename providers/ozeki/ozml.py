"""Writing the OzML documents that answer Ozeki's notifications and record a call.

The documented facts and the open questions: docs/providers/ozeki.md, "OzML".
"""

from __future__ import annotations

import re
from typing import Literal, get_args
from xml.etree.ElementTree import Element, SubElement, tostring

from providers.errors import WrongField

__all__ = ["Control", "empty", "recording"]

#: Who answers: an application that is notified of every call, or one that is an extension itself.
Control = Literal["ozml_third_party", "ozml_extension"]

_FORMATS = ("mp3", "wav")
#: The arguments that only one control takes (docs/providers/ozeki.md); the other ignores them.
_USED_BY: dict[str, Control] = {
    "call_id": "ozml_third_party",
    "max_seconds": "ozml_extension",
    "silence_seconds": "ozml_extension",
    "finish_digits": "ozml_extension",
    "hang_up_after_seconds": "ozml_extension",
}
_KEYS = re.compile(r"[0-9*#]{1,12}")
#: No other characters may occur in XML, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def empty() -> bytes:
    """Return the document that requests nothing."""
    return _written(Element("Response"))


def recording(  # noqa: PLR0913 - as many as the document has parts
    control: Control,
    *,
    call_id: str | None,
    format: Literal["mp3", "wav"],  # noqa: A002 - the vendor's word
    finished_url: str | None,
    announcement: str | None = None,
    max_seconds: int | None = None,
    silence_seconds: int | None = None,
    finish_digits: str | None = None,
    hang_up_after_seconds: int | None = None,
) -> bytes:
    """Return the document that records a call: announcement, Record, and a hang-up if requested.

    ``call_id`` is the call to record under third-party control; without it, the call of the
    notification. Under extension control the current call is always recorded, and the recording
    ends after ``max_seconds``, after ``silence_seconds`` without a voice, or when one of
    ``finish_digits`` is pressed. ``hang_up_after_seconds`` ends the call that long after the
    recording's start or, if a server runs the commands one after the other, after its end: the
    vendor's page has it both ways.

    Raises WrongField for an argument that the control ignores, and for one that no server could
    read.
    """
    if control not in get_args(Control):
        raise WrongField("control", f"must be one of {', '.join(get_args(Control))}")
    given = {
        "call_id": call_id,
        "format": format,
        "finished_url": finished_url,
        "announcement": announcement,
        "max_seconds": max_seconds,
        "silence_seconds": silence_seconds,
        "finish_digits": finish_digits,
        "hang_up_after_seconds": hang_up_after_seconds,
    }
    for field, value in given.items():
        if value is not None:
            _check(control, field, value)
    response = Element("Response")
    if announcement is not None:
        # Both parties hear the announcement; under extension control there is one other party.
        party = "all" if control == "ozml_third_party" else None
        _add(response, "Speak", announcement, CallId=call_id, Party=party)
    _add(
        response,
        "Record",
        CallId=call_id,
        Duration=max_seconds,
        Inactivity=silence_seconds,
        Format=format,
        FinishedUrl=finished_url,
        FinishDigits=finish_digits,
    )
    if hang_up_after_seconds is not None:
        _add(response, "Delay", str(hang_up_after_seconds))
        _add(response, "Hangup")
    return _written(response)


def _check(control: Control, field: str, value: object) -> None:
    used_by = _USED_BY.get(field, control)
    if used_by != control:
        raise WrongField(
            field, f"is ignored under {control}, and only used under {used_by}; leave it out"
        )
    if field.endswith("_seconds"):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise WrongField(field, "must be a whole number of seconds, at least 1")
    elif not isinstance(value, str) or not value.strip() or _NO_XML.search(value):
        raise WrongField(field, "is empty, or contains characters that XML cannot carry")
    elif field == "format" and value not in _FORMATS:
        raise WrongField(field, "must be mp3 or wav")
    elif field == "finish_digits" and not _KEYS.fullmatch(value):
        raise WrongField(field, "may hold only the keys 0 to 9, * and #, such as 7890*#")


def _add(response: Element, name: str, text: str = "", **attributes: str | int | None) -> None:
    """Add a command: its main argument is its text, the others are attributes."""
    texts = {key: str(value) for key, value in attributes.items() if value is not None}
    SubElement(response, name, texts).text = text


def _written(response: Element) -> bytes:
    """Return the document with a closing tag for every element, as the vendor writes all of
    them.
    """
    return bytes(
        tostring(response, encoding="utf-8", xml_declaration=True, short_empty_elements=False)
    )
