"""Redaction of personal data in the output of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.masking import HIDDEN, mask, mask_tree

if TYPE_CHECKING:  # searching an archive needs no database
    from ledger.core.job import Job

#: Of these fields, at most a number's last three digits are shown, whatever its length.
PERSONAL_FIELDS = {
    "caller_id",
    "cnam",
    "company_id",
    "company_name",
    "dnis",
    "extension",
    "extensions",
    "phone",
    "platform_phone",
}
#: Fields of a recording that identify no person.
_RECORDING_FIELDS = ("id", "call_id", "path", "bytes", "sha256", "missing")
_NUMBER_CHARACTERS = set("0123456789+-. ()")


def masked(value: Any) -> Any:
    """Mask a task's parameters or a recording's fields."""
    return mask_tree(value, _masked, whole=PERSONAL_FIELDS)


def masked_line(line: dict[str, Any]) -> dict[str, Any]:
    """Mask a recording's line of the archive; keep its id, time and path.

    The name of its file at the provider is masked, because it may contain a number.
    """
    return {**masked(line), **{name: line[name] for name in _RECORDING_FIELDS if name in line}}


def _masked(name: str, value: Any) -> Any:
    if name in PERSONAL_FIELDS and value:
        return last_three(str(value))
    return mask(value) if isinstance(value, str) else value


def shown(job: Job, *, reveal: bool = False) -> dict[str, Any]:
    """Return the job, with personal data in its result masked unless ``reveal`` is set."""
    content = job.summary()
    if job.result and not reveal:
        hidden = {name: last_three(str(job.result[name])) for name in _personal(job.result)}
        content["result"] = {**job.result, **hidden}
    return content


def _personal(fields: dict[str, Any]) -> list[str]:
    return [name for name, value in fields.items() if name in PERSONAL_FIELDS and value]


def last_three(text: str) -> str:
    """Hide all but a number's last three digits; hide any other text entirely."""
    digits = "".join(letter for letter in text if letter.isdecimal())
    return HIDDEN + digits[-3:] if len(digits) > 3 and set(text) <= _NUMBER_CHARACTERS else HIDDEN
