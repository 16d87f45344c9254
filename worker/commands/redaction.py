"""Personal data: which fields hold it, and how much of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.masking import HIDDEN, mask, mask_tree

if TYPE_CHECKING:  # who searches an archive alone needs no database
    from ledger.core.job import Job

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
    "platform_phone",
}
#: Of a recording: these identify no person.
_OF_A_RECORDING = ("id", "call_id", "path", "bytes", "sha256", "missing")
_IN_NUMBERS = set("0123456789+-. ()")


def masked(value: Any) -> Any:
    """Parameters of a task, or fields of a recording, as anybody may see them."""
    return mask_tree(value, _masked, whole=OF_A_PERSON)


def masked_line(line: dict[str, Any]) -> dict[str, Any]:
    """A recording of the archive as anybody may see it. What says which one it is, when it was and
    where it lies stays; the name of its file at the provider may hold a number.
    """
    return {**masked(line), **{name: line[name] for name in _OF_A_RECORDING if name in line}}


def _masked(name: str, value: Any) -> Any:
    if name in OF_A_PERSON and value:
        return last_three(str(value))
    return mask(value) if isinstance(value, str) else value


def shown(job: Job, *, reveal: bool = False) -> dict[str, Any]:
    """The job as anybody may see it: of the numbers in its result the last three digits."""
    content = job.shown()
    if job.result and not reveal:
        hidden = {name: last_three(str(job.result[name])) for name in _given(job.result)}
        content["result"] = {**job.result, **hidden}
    return content


def _given(fields: dict[str, Any]) -> list[str]:
    return [name for name, value in fields.items() if name in OF_A_PERSON and value]


def last_three(text: str) -> str:
    """A number's last three digits, of anything else nothing."""
    digits = "".join(letter for letter in text if letter.isdecimal())
    return HIDDEN + digits[-3:] if len(digits) > 3 and set(text) <= _IN_NUMBERS else HIDDEN
