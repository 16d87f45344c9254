"""Checks of the values of a request to a VoipNow server, before anything is sent.

The checks raise ValueError with a sentence that follows the field's name, as pydantic's
AfterValidator expects. The documented facts: docs/providers/voipnow.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from providers.errors import WrongField

__all__ = [
    "FORMATS",
    "WrongField",
    "call_id",
    "check",
    "extension",
    "recording_format",
    "user_id",
    "view_id",
]

FORMATS = ("wav", "wav49")

_EXTENSION = re.compile(r"@self|[0-9]{1,20}\*[0-9]{1,20}")
_USER = re.compile(r"@(me|viewer|owner)|[0-9]{1,20}")
_CALL = re.compile(r"[A-Za-z0-9]{1,128}")


def extension(value: str) -> str:
    """Check an extension's number in the server's notation, or the value for every extension of the
    user.
    """
    if not _EXTENSION.fullmatch(value):
        raise ValueError("must be an extension's number such as 0003*210, or @self")
    return value


def user_id(value: str) -> str:
    """Check the user that owns the extension."""
    if not _USER.fullmatch(value):
        raise ValueError("must be @me, @viewer, @owner or the number of a user")
    return value


def call_id(value: str) -> str:
    """Check the id of a PhoneCall: letters and digits, as the vendor demands."""
    if not _CALL.fullmatch(value):
        raise ValueError("must be a call's id of letters and digits, as the calls are listed")
    return value


def view_id(value: str) -> str:
    """Check the id of a PhoneCallView, such as 01."""
    if not value.strip() or not value.isprintable() or len(value) > 128:
        raise ValueError("must be the id of a view such as 01, as the calls are listed")
    return value


def recording_format(value: str) -> str:
    """Check the format in which the server stores the recording."""
    if value not in FORMATS:
        raise ValueError("must be wav or wav49")
    return value


_JUDGES: dict[str, Callable[[str], str]] = {
    "extension": extension,
    "user_id": user_id,
    "call_id": call_id,
    "view_id": view_id,
    "format": recording_format,
}


def check(**values: str) -> None:
    """Check values by the names of their fields. Raises WrongField for the first wrong one."""
    for name, value in values.items():
        try:
            _JUDGES[name](value)
        except ValueError as wrong:
            sentence = str(wrong)
        else:
            continue
        raise WrongField(name, sentence)
