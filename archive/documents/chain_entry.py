"""An entry of the chain: its number, the SHA-256 of the one before, and the files it covers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from archive import paths
from archive.errors import Damaged
from archive.problem import quoted
from archive.store.directory import Store, Stored

from . import reading

#: The sum of the entry before the first one.
NOTHING = "0" * 64


@dataclass(frozen=True, slots=True)
class Covered:
    """A file under the chain: its path, and the SHA-256 that it must have."""

    path: str
    sha256: str

    @classmethod
    def of(cls, stored: Stored) -> Self:
        """Return a stored file as an entry names it."""
        return cls(stored.path, stored.sha256)


@dataclass(frozen=True)
class ChainEntry:
    """An entry, with the fields of docs/archive-format.md."""

    n: int
    previous: str
    entries: Sequence[Covered]

    def to_bytes(self) -> bytes:
        """Return the bytes of the document."""
        return _serialised(asdict(self))


@dataclass(frozen=True)
class Examined:
    """An entry as a verification reads it: the reason to distrust it, or the entry, and whether its
    bytes are the only possible ones for its content.
    """

    fault: str | None
    entry: ChainEntry | None = None
    is_plain: bool = False


def read(store: Store, account: str, number: int) -> ChainEntry:
    """Read an entry of an account's chain. Raises Missing, Dangerous, and Damaged if it is not an
    entry or has another number.
    """
    path = paths.chain_path(account, number)
    try:
        content = reading.content_of(store, path)
        entry = _parsed(content)
    except (Damaged, ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(path, "is not readable as an entry of the chain; run verify") from None
    if entry.n != number:
        raise Damaged(path, f"claims to be entry {entry.n!r}; run verify")
    return entry


def examine(data: bytes, number: int, account: str) -> Examined:
    """Examine the bytes of the entry with this number in an account's chain."""
    try:
        content = reading.parsed(data, reading.LARGE)
    except ValueError as error:
        return Examined(f"is not readable as an entry of the chain ({error}): it was changed")
    fault = _fault(content, number, account)
    if fault is not None:
        return Examined(fault)
    # Compared in the order of its own fields: only a changed bit makes a difference.
    return Examined(None, _parsed(content), _serialised(content) == data)


def _serialised(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _parsed(content: dict[str, Any]) -> ChainEntry:
    entries = [Covered(one["path"], one["sha256"]) for one in content["entries"]]
    if not all(isinstance(text, str) for one in entries for text in (one.path, one.sha256)):
        raise TypeError
    return ChainEntry(content.get("n"), content.get("previous"), entries)  # type: ignore[arg-type]


def _fault(content: Any, number: int, account: str) -> str | None:
    """Return what is wrong with the fields of an entry, or None."""
    if not isinstance(content, dict) or content.keys() != {"n", "previous", "entries"}:
        return "does not have the fields of an entry of the chain: it was changed"
    if content["n"] != number:
        return f"claims to be entry {quoted(content['n'])}: it was changed or moved"
    if not reading.is_sum(content["previous"]) or not isinstance(content["entries"], list):
        return "does not have the fields of an entry of the chain: it was changed"
    for entry in content["entries"]:
        if not isinstance(entry, dict) or entry.keys() != {"path", "sha256"}:
            return "does not name the files it covers: it was changed"
        path = entry["path"]
        if not reading.is_sum(entry["sha256"]) or not isinstance(path, str):
            return "does not name the files it covers: it was changed"
        if path != paths.IDENTITY_PATH and not paths.is_of(account, path):
            return f"names {quoted(path)}, which is not a file of {account}"
    return None
