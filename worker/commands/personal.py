"""Personal data: which fields hold it, and how much of it is shown."""

from __future__ import annotations

from typing import Any

from config.masking import HIDDEN, mask

#: Of these at most a number's last three digits are shown, whatever its length.
OF_A_PERSON = {
    "caller_id",
    "cnam",
    "company_id",
    "company_name",
    "dnis",
    "extension",
    "extensions",
    "phone",
}
_IN_NUMBERS = set("0123456789+-. ()")


def masked(value: Any) -> Any:
    """Parameters of a task as anybody may see them."""
    if isinstance(value, dict):
        return {
            name: last_three(str(inner)) if name in OF_A_PERSON and inner else masked(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return mask(value) if isinstance(value, str) else value


def last_three(text: str) -> str:
    """A number's last three digits, of anything else nothing."""
    digits = "".join(letter for letter in text if letter.isdecimal())
    return HIDDEN + digits[-3:] if len(digits) > 3 and set(text) <= _IN_NUMBERS else HIDDEN
