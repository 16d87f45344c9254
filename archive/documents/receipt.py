"""The receipt of a certified call: the request, the answer, and a person's decision."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import SkipValidation, TypeAdapter

from archive.errors import Contradiction, Damaged
from archive.store.directory import Store, Stored

from . import reading
from .instants import Instant
from .writing import serialised

#: The version of the format.
SCHEMA = 1

#: The request's fields: the arguments of the task, by their names.
ASKED = ("country", "phone", "max_seconds", "company_name", "company_id")
_DECISION = ("decided", "by", "note", "decided_at")
#: No reader relies on it.
_Unread = Annotated[str, SkipValidation]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A receipt, with the fields of docs/archive-format.md. ``answer`` is base64. The last four
    fields belong to a decision, and are not written if they are None.
    """

    job_id: str
    request_id: str | None
    account: str
    provider: _Unread = ""
    country: str | None
    phone: str | None
    max_seconds: int | None
    company_name: str | None
    company_id: str | None
    requested_at: Instant
    sent_at: Instant | None
    answered_at: Instant | None
    outcome: Literal["placed", "refused", "unknown", "resolved", "unsent"]
    platform_phone: str | None
    error_message: str | None
    http_status: int | None
    answer: str
    decided: Literal["placed", "not placed"] | None = None
    by: str | None = None
    note: str | None = None
    decided_at: Instant | None = None
    version: _Unread = ""

    @property
    def raw_answer(self) -> bytes:
        """The platform's answer byte for byte. Raises ValueError if it is not base64."""
        return base64.b64decode(self.answer, validate=True)

    def to_bytes(self) -> bytes:
        """Return the bytes of the document."""
        values = {name: getattr(self, name) for name in _names()}
        for name in _DECISION:
            if values[name] is None:
                del values[name]
        return serialised({"schema": SCHEMA, **values}).encode()


@cache
def _names() -> Sequence[str]:
    """Return the names of a receipt's fields, in their order."""
    return tuple(field.name for field in fields(Receipt))


_RECEIPT: TypeAdapter[Receipt] = TypeAdapter(Receipt)
_SCHEMA: TypeAdapter[int] = TypeAdapter(Literal[1])


def read(store: Store, path: str) -> Receipt:
    """Read a receipt. Raises Missing and Dangerous; Damaged if it cannot be read as one."""
    content = reading.content_of(store, path)
    try:
        return _parsed(content)
    except ValueError:
        raise Damaged(path, "is not readable as a receipt; run verify") from None


def keep(store: Store, path: str, receipt: Receipt) -> Stored:
    """Write a receipt, or return the one that is already written.

    Raises Contradiction if the existing file has other content.
    """
    (outcome,) = keep_all(store, [(path, receipt)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def keep_all(store: Store, receipts: Sequence[tuple[str, Receipt]]) -> list[Stored | Exception]:
    """Write receipts under their paths together, `MOST_TOGETHER` at most; return for each, in the
    same order, what `keep` would return or raise. Raises StoreAway if nothing could be written.
    """
    contents = [(path, receipt.to_bytes()) for path, receipt in receipts]
    outcomes = store.create_all(contents)
    return [
        _adopted(store, path, content) if isinstance(outcome, FileExistsError) else outcome
        for (path, content), outcome in zip(contents, outcomes, strict=True)
    ]


def _adopted(store: Store, path: str, content: bytes) -> Stored | Exception:
    """Return a receipt that is already written."""
    try:
        if store.read(path) != content:
            return Contradiction(path, "contradicts the ledger; compare the two")
        return store.checksum(path)
    except Exception as error:  # noqa: BLE001 - it is the outcome of this receipt
        return error


def _parsed(content: dict[str, Any]) -> Receipt:
    _SCHEMA.validate_python(content.get("schema"))
    receipt = _RECEIPT.validate_python(content)
    receipt.raw_answer  # noqa: B018 - an answer that is not base64 makes it unreadable
    return receipt
