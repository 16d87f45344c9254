"""recordings.jsonl and manifest.json: written as streams, bytes that follow from their inputs."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from archive import paths
from archive.errors import Damaged
from archive.reconciliation import Reconciliation
from archive.store.directory import Store, Stored
from archive.store.fsync import full_disk

from . import reading

SCHEMA = 1

_HEADER_BYTES = 64 * 1024
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_recordings(target: Path, reconciliation: Reconciliation) -> tuple[int, str]:
    """Write recordings.jsonl; its size in bytes and its SHA-256. Raises NoSpace."""
    with _Summed(target) as file:
        for line in reconciliation.lines():
            file.write(serialised(line) + "\n")
    return file.size, file.sha256


def write_manifest(
    target: Path, header: Mapping[str, Any], reconciliation: Reconciliation, recordings: Stored
) -> tuple[int, str]:
    """Write manifest.json; its size in bytes and its SHA-256.

    ``header`` has the fields that the reconciliation does not know: schema, kind, account,
    provider, job_id, day, generation, window, timezone, filters, complete, created_at, version.
    Raises NoSpace.
    """
    counts = reconciliation.counts()
    with _Summed(target) as file:
        file.write("{\n")
        for name in ("schema", "kind", "account", "provider", "job_id", "day", "generation"):
            file.write(f' "{name}": {serialised(header[name])},\n')
        # A manifest of an older version has no time zone, and is written again without one.
        for name in [one for one in ("window", "timezone", "filters") if one in header]:
            file.write(f' "{name}": {serialised(header[name])},\n')
        file.write(' "parts": [')
        _write_all(file, _parts(reconciliation))
        file.write('],\n "files": [')
        _write_all(file, _files(reconciliation))
        file.write("],\n")
        about = {
            "path": recordings.path,
            "bytes": recordings.bytes,
            "sha256": recordings.sha256,
        }
        file.write(f' "recordings": {serialised(about)},\n')
        for name in ("listed", "archived", "missing", "unexpected"):
            file.write(f' "{name}": {getattr(counts, name)},\n')
        for name in ("complete", "created_at"):
            file.write(f' "{name}": {serialised(header[name])},\n')
        file.write(f' "version": {serialised(header["version"])}\n}}\n')
    return file.size, file.sha256


def serialised(value: object) -> str:
    """A value as JSON in one line, as it stands in both files."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # A number that JSON cannot say stays readable as a text.
        return serialised(_sayable(value))
    # Half of a surrogate pair is no UTF-8: where a provider sends one, it stays escaped.
    return text if not _SURROGATE.search(text) else json.dumps(value)


def _sayable(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {name: _sayable(one) for name, one in value.items()}
        case list() | tuple():
            return [_sayable(one) for one in value]
    return value


def read_manifest(store: Store, path: str) -> dict[str, Any]:
    """A manifest. Raises Missing; Dangerous and Damaged where it cannot be read as one."""
    return of_schema(reading.content_of(store, path), path)


def of_schema(content: dict[str, Any], path: str) -> dict[str, Any]:
    """The fields of a manifest of the schema that is known here. Raises Damaged for others."""
    if content.get("schema") != SCHEMA:
        raise Damaged(path, f"is not a manifest of schema {SCHEMA}; run verify")
    return content


def read_header(store: Store, path: str) -> dict[str, Any]:
    """A manifest's fields that stand before its parts (schema to filters), at little cost however
    many members it has. Raises as `read_manifest` does.
    """
    with store.open(path) as file:
        head, found, _ = file.read(_HEADER_BYTES).partition(b',\n "parts": [')
    try:
        content = reading.parsed(head + b"}") if found else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = read_manifest(store, path)
    if not _has_day(content.get("day"), content.get("generation")):
        raise Damaged(path, "is not readable as a manifest; run verify")
    return content


def _has_day(day: object, generation: object) -> bool:
    """Whether these can be the day and the generation of an export; both None where it has none."""
    try:
        told = None if day is None else date.fromisoformat(str(day)).isoformat()
    except ValueError:
        return False
    return told == day and isinstance(generation, int if day else int | None)


def latest(
    store: Store, account: str, day: date, *, before: int | None = None
) -> dict[str, Any] | None:
    """The manifest of a day's newest generation (``before`` another one), with its own path under
    ``path``; None where the day has none. Raises Damaged where one of the day can not be read.
    """
    newest = None
    for path in store.paths(f"{paths.exports_folder(account, day)}/"):
        if paths.kind_of(path) == "manifest":
            header = read_header(store, path)
            earlier = before is None or (header.get("generation") or 0) < before
            if header.get("day") == day.isoformat() and earlier:
                found = (header["generation"], path)
                newest = max(newest or found, found)
    return None if newest is None else {**read_manifest(store, newest[1]), "path": newest[1]}


def lines(store: Store, manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of a manifest's recordings.jsonl, one at a time. Raises Damaged for one that can
    not be read.
    """
    yield from lines_of(store, manifest["recordings"]["path"])


def lines_of(store: Store, path: str) -> Iterator[dict[str, Any]]:
    """The lines of the recordings.jsonl under ``path``, as `lines` gives them."""
    with store.open(path) as file:
        for data in reading.lines(file):
            yield read_line(data, path)


def read_line(data: bytes | None, path: str) -> dict[str, Any]:
    """A line of the recordings.jsonl under ``path``, which has an id. Raises Damaged, also for
    None: a line that is too long to be read.
    """
    try:
        line = None if data is None else reading.parsed(data)
    except ValueError:
        line = None
    if not isinstance(line, dict) or not isinstance(line.get("id"), str):
        raise Damaged(path, "is not readable; run verify")
    return line


def _parts(reconciliation: Reconciliation) -> Iterator[str]:
    """Each part as JSON, in pieces of a member each: a part may have a million of them."""
    for number, (provider_job_id, stored) in enumerate(reconciliation.parts()):
        about = {
            "provider_job_id": provider_job_id,
            "path": stored.path,
            "bytes": stored.bytes,
            "sha256": stored.sha256,
        }
        yield ("," if number else "") + "\n  " + serialised(about)[:-1] + ', "members": ['
        for n, member in enumerate(reconciliation.members(provider_job_id)):
            entry = {"name": member.name, "bytes": member.bytes, "sha256": member.sha256}
            yield ("," if n else "") + "\n   " + serialised(entry)
        yield "]}"


def _files(reconciliation: Reconciliation) -> Iterator[str]:
    for number, (recording_id, stored) in enumerate(reconciliation.files()):
        about = {
            "recording_id": recording_id,
            "path": stored.path,
            "bytes": stored.bytes,
            "sha256": stored.sha256,
        }
        yield ("," if number else "") + "\n  " + serialised(about)


def _write_all(file: _Summed, pieces: Iterable[str]) -> None:
    for piece in pieces:
        file.write(piece)


class _Summed:
    """A text file that is summed up as it is written."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, text: str) -> None:
        data = text.encode()
        self._digest.update(data)
        self.size += len(data)
        with full_disk(self._target.name, "it was not written"):
            self._file.write(data)

    def __enter__(self) -> Self:
        self._file = self._target.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with full_disk(self._target.name, "it was not written"):
            self._file.close()
