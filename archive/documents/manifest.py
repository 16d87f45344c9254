"""manifest.json: the recordings that an export archived, and whether anything is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, SkipValidation, TypeAdapter

from archive import paths
from archive.errors import Damaged
from archive.store.directory import Store, Stored
from archive.zip.verification import Member

from . import reading
from .instants import Instant
from .writing import SummedFile, serialised

#: The version of the format.
SCHEMA = 1

_EXPORT, _ERASURE = "export", "erasure"
_HEADER_BYTES = 64 * 1024
_ABOUT = ("kind", "account", "provider", "job_id", "day", "generation")
_ASKED = ("window", "timezone", "filters")
_COUNTS = ("listed", "archived", "missing", "unexpected")
_END = ("complete", "created_at", "version")

_One = TypeVar("_One")


@dataclass(frozen=True)
class Window:
    """The time from ``start`` up to, but excluding, ``end``."""

    start: Instant
    end: Instant


_DATE: TypeAdapter[date] = TypeAdapter(date)


def _day(value: object) -> str:
    return _DATE.validate_python(value).isoformat()


@dataclass(frozen=True, kw_only=True)
class Header:
    """The fields of a manifest before its parts: the owner of the export, and the request.
    ``timezone`` is None in manifests of older versions, which are written without it.
    """

    kind: Literal["export"] = "export"
    account: str
    provider: Annotated[str, SkipValidation]
    job_id: str
    day: Annotated[str, BeforeValidator(_day)] | None
    generation: Annotated[int, Field(ge=1)] | None
    window: Window | None
    timezone: Annotated[str | None, SkipValidation]
    filters: dict[str, Any] | None

    @property
    def known_timezone(self) -> str | None:
        """The time zone, if this program knows it."""
        try:
            return ZoneInfo(str(self.timezone)).key if self.timezone else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return None


@dataclass(frozen=True)
class Part:
    """A ZIP of the export, and the members in it, in the ZIP's order."""

    provider_job_id: str
    file: Stored
    members: Iterable[Member]

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """Take the fields of a document. Raises ValueError, KeyError and TypeError."""
        members = _Each(content["members"], _member)
        return cls(content.get("provider_job_id", ""), reading.stored_of(content), members)

    def text(self) -> Iterator[str]:
        """Yield the part as JSON, in pieces of one member each: a part may have a million of
        them.
        """
        about = {"provider_job_id": self.provider_job_id, **vars(self.file)}
        yield "\n  " + serialised(about)[:-1] + ', "members": ['
        for number, one in enumerate(self.members):
            member = {"name": one.name, "bytes": one.bytes, "sha256": one.sha256}
            yield ("," if number else "") + "\n   " + serialised(member)
        yield "]}"


@dataclass(frozen=True)
class SingleFile:
    """A recording that the export fetched singly, and its audio."""

    recording_id: str
    file: Stored

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """Take the fields of a document. Raises ValueError, KeyError and TypeError."""
        return cls(content.get("recording_id", ""), reading.stored_of(content))

    def text(self) -> Iterator[str]:
        """Yield the file as JSON."""
        yield "\n  " + serialised({"recording_id": self.recording_id, **vars(self.file)})


@dataclass(frozen=True, kw_only=True)
class Manifest(Header):
    """A manifest, with the fields of docs/archive-format.md. ``path`` is its place, and no field of
    the document.

    In a manifest read from a file, only ``recordings`` is sure to be present: `checked` refuses
    values that the format does not allow. ``parts`` and ``files`` are parsed when they are
    iterated, which raises ValueError, KeyError or TypeError for invalid ones.
    """

    parts: Annotated[Iterable[Part], SkipValidation]
    files: Annotated[Iterable[SingleFile], SkipValidation]
    recordings: Annotated[Stored, SkipValidation]
    listed: int
    archived: int
    missing: int
    unexpected: Annotated[int, SkipValidation]
    complete: bool
    created_at: Instant
    version: Annotated[str, SkipValidation]
    path: str = ""

    @classmethod
    def parse(cls, content: dict[str, Any], path: str) -> Self | None:
        """Take the fields of a document; return None for an erasure, whose fields are reserved.

        Raises Damaged for another schema, ValueError for anything but a manifest.
        """
        _refuse_other_schema(content, path)
        try:
            if content["kind"] == _ERASURE:
                return None
            parts = _Each(content["parts"], Part.parse)
            files = _Each(content["files"], SingleFile.parse)
            recordings = reading.stored_of(content["recordings"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"it has no {error}") from None
        given = {name: content.get(name) for name in (*_COUNTS, *_END)}
        return cls(
            **_header(content),
            **given,  # type: ignore[arg-type]
            parts=parts,
            files=files,
            recordings=recordings,
            path=path,
        )

    def stored(self) -> Iterator[Stored]:
        """Yield the ZIPs and the recordings fetched singly that this export stored."""
        yield from (part.file for part in self.parts)
        yield from (single.file for single in self.files)

    def checked(self) -> Manifest:
        """Return the manifest with every field as the format has it. Raises ValueError."""
        window = vars(self.window) if isinstance(self.window, Window) else self.window
        return _MANIFEST.validate_python({**vars(self), "window": window})

    def write(self, target: Path) -> tuple[int, str]:
        """Write the document to a new file; return its size in bytes and its SHA-256. Its parts are
        never held in memory. Raises NoSpace.
        """
        names = [name for name in _ASKED if name != "timezone" or self.timezone is not None]
        with SummedFile(target) as file:
            file.write(f'{{\n "schema": {SCHEMA},\n')
            file.write_all(self._fields(*_ABOUT, *names))
            file.write(' "parts": [')
            file.write_all(_joined(part.text() for part in self.parts))
            file.write('],\n "files": [')
            file.write_all(_joined(single.text() for single in self.files))
            file.write(f'],\n "recordings": {serialised(vars(self.recordings))},\n')
            file.write_all(self._fields(*_COUNTS, *_END[:-1]))
            file.write(f' "version": {serialised(self.version)}\n}}\n')
        return file.size, file.sha256

    def _fields(self, *names: str) -> Iterator[str]:
        for name in names:
            value = getattr(self, name)
            content = vars(value) if isinstance(value, Window) else value
            yield f' "{name}": {serialised(content)},\n'


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def parse(data: bytes, path: str) -> Manifest | None:
    """Take the bytes of the manifest under ``path``; return None for an erasure. Raises Damaged for
    anything but a JSON object, or for another schema; ValueError for anything but a manifest.
    """
    return Manifest.parse(reading.fields(data, path), path)


def read(store: Store, path: str) -> Manifest:
    """Read a manifest. Raises Missing and Dangerous; Damaged if it cannot be read as one."""
    found = read_any(store, path)
    if found is None:
        raise Damaged(path, "is the manifest of an erasure, which this version does not know")
    return found


def read_any(store: Store, path: str) -> Manifest | None:
    """Read a manifest as `read` does; return None for an erasure."""
    try:
        found = parse(reading.read(store, path), path)
        if found is None:
            return None
        return replace(found, parts=list(found.parts), files=list(found.files))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(path, "is not readable as a manifest; run verify") from None


def is_manifest(data: bytes, name: str) -> bool:
    """Return whether the bytes of the file of this name are a manifest of the known schema."""
    try:
        parse(data, name)
    except (Damaged, ValueError):
        return False
    return True


def read_header(store: Store, path: str) -> Header:
    """Read the fields of a manifest before its parts, at little cost for any number of members.
    Raises as `read` does.
    """
    with store.open(path) as file:
        head, found, _ = file.read(_HEADER_BYTES).partition(b',\n "parts": [')
    try:
        content = reading.parsed(head + b"}") if found else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = reading.content_of(store, path)
        _refuse_other_schema(content, path)
    if not _has_day(content.get("day"), content.get("generation")):
        raise Damaged(path, "is not readable as a manifest; run verify")
    return Header(**_header(content))


def is_export(header: Header) -> bool:
    """Return whether a header, possibly of a future version, belongs to an export."""
    return header.kind == _EXPORT


def latest(store: Store, account: str, day: date, *, before: int | None = None) -> Manifest | None:
    """Return the manifest of a day's newest generation (or the newest ``before`` another one); None
    if the day has none. Raises Damaged if a manifest of the day cannot be read.
    """
    newest = None
    for path in store.paths(f"{paths.exports_folder(account, day)}/"):
        if paths.kind_of(path) == "manifest":
            header = read_header(store, path)
            earlier = before is None or (header.generation or 0) < before
            if header.day == day.isoformat() and header.generation is not None and earlier:
                found = (header.generation, path)
                newest = max(newest or found, found)
    return None if newest is None else read(store, newest[1])


def _refuse_other_schema(content: dict[str, Any], path: str) -> None:
    if content.get("schema") != SCHEMA:
        raise Damaged(path, f"is not a manifest of schema {SCHEMA}; run verify")


def _header(content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a header as a document has them, None for each absent one."""
    window = content.get("window")
    if isinstance(window, dict):
        window = Window(window.get("start"), window.get("end"))  # type: ignore[arg-type]
    return {name: content.get(name) for name in (*_ABOUT, *_ASKED)} | {"window": window}


def _has_day(day: object, generation: object) -> bool:
    """Return whether these can be the day and the generation of an export; both are None in an
    export without a day.
    """
    try:
        normalized = None if day is None else date.fromisoformat(str(day)).isoformat()
    except ValueError:
        return False
    return normalized == day and isinstance(generation, int if day else int | None)


def _member(content: Mapping[str, Any]) -> Member:
    return Member(content["name"], content["bytes"], content["sha256"])


def _joined(elements: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the elements of a list, a comma between them."""
    for number, pieces in enumerate(elements):
        yield "," if number else ""
        yield from pieces


class _Each(Generic[_One]):
    """The elements of a document's list, each parsed when its turn comes. It can be iterated
    repeatedly.
    """

    def __init__(self, content: Iterable[Any], take: Callable[[Any], _One]) -> None:
        self._content = content
        self._take = take

    def __iter__(self) -> Iterator[_One]:
        return map(self._take, self._content)
