"""Writing JSON for the archive: the same values always give the same bytes."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from archive.store.fsync import full_disk

_SURROGATE = re.compile("[\ud800-\udfff]")


def serialised(value: object) -> str:
    """Return a value as JSON on one line."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # JSON has no such number: it stays readable as a text.
        return serialised(_without_odd_numbers(value))
    # Half of a surrogate pair is not UTF-8: if a provider sends one, it stays escaped.
    return text if not _SURROGATE.search(text) else json.dumps(value)


def _without_odd_numbers(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {name: _without_odd_numbers(one) for name, one in value.items()}
        case list() | tuple():
            return [_without_odd_numbers(one) for one in value]
    return value


class SummedFile:
    """A new text file whose size and SHA-256 are known once it is written. A context manager."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 in hex of everything written so far."""
        return self._digest.hexdigest()

    def write(self, text: str) -> None:
        """Append a text. Raises NoSpace."""
        data = text.encode()
        self._digest.update(data)
        self.size += len(data)
        with full_disk(
            self._target.name,
            "the spool's disk is full; the document was not written; free some space",
        ):
            self._file.write(data)

    def write_all(self, pieces: Iterable[str]) -> None:
        """Append texts one after the other. Raises NoSpace."""
        for piece in pieces:
            self.write(piece)

    def __enter__(self) -> Self:
        self._file = self._target.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with full_disk(
            self._target.name,
            "the spool's disk is full; the document was not written; free some space",
        ):
            self._file.close()
