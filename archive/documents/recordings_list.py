"""recordings.jsonl: one line for each recording that the provider listed, with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from archive.errors import Damaged
from archive.store.directory import Store, Stored

from . import reading
from .writing import SummedFile, serialised

_MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a recording: its file, or the ``member`` of its ZIP; the size in bytes and the
    SHA-256 of the recording itself; the format of its bytes, if it was detected.
    """

    path: str
    member: str | None = None
    bytes: int
    sha256: str
    audio: str | None = None

    @classmethod
    def of_file(cls, stored: Stored, audio: str | None) -> Self:
        """Return the place of a recording that has a file of its own."""
        return cls(path=stored.path, bytes=stored.bytes, sha256=stored.sha256, audio=audio)


#: The fields of a recording's place. A provider's field of the same name is not taken for one of
#: them.
_PLACE = frozenset({*Place.__dataclass_fields__, _MISSING})


def listed_fields(recording: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recording as its provider lists it, without those that a line has of
    its own: a provider's own ``missing`` would hide the file.
    """
    return {name: value for name, value in recording.items() if name not in _PLACE}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the list. ``fields`` has everything in the file: the fields that the provider
    listed, and the recording's place or ``missing``.

    An archive may hold any line: a property raises KeyError if its field is absent.
    """

    fields: dict[str, Any]

    @classmethod
    def of(cls, recording: Mapping[str, Any], place: Place | None) -> Self:
        """Return the line of a recording that was listed with these fields; without a place the
        recording is missing.
        """
        where = {_MISSING: True} if place is None else vars(place)
        given = {name: value for name, value in where.items() if value is not None}
        return cls({**listed_fields(recording), **given})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a line. Raises ValueError if it is not JSON, TypeError for any value but an
        object.
        """
        fields = reading.parsed(data)
        if not isinstance(fields, dict):
            raise TypeError
        return cls(fields)

    @property
    def id(self) -> str:
        """The recording's id at its provider."""
        return self.fields["id"]  # type: ignore[no-any-return]

    @property
    def shown_id(self) -> str:
        """The id as a message names it, also of a line without an id."""
        return str(self.fields.get("id"))

    @property
    def is_missing(self) -> bool:
        """Whether the recording is not in the archive."""
        return bool(self.fields.get(_MISSING))

    @property
    def is_in_zip(self) -> bool:
        """Whether the recording is a member of a ZIP."""
        return "member" in self.fields

    @property
    def set_aside(self) -> str | None:
        """Why the recording's entry could not be read, or None."""
        return self.fields.get("set_aside")

    @property
    def start(self) -> str | None:
        """The start of the recording, as it was listed."""
        return self.fields.get("start")

    @property
    def path(self) -> str:
        """The file that holds the recording."""
        return self.fields["path"]  # type: ignore[no-any-return]

    @property
    def member(self) -> str | None:
        """The name of the member, or None for a recording with a file of its own."""
        return self.fields.get("member")

    @property
    def sha256(self) -> str:
        """The SHA-256 of the recording in hex."""
        return self.fields["sha256"]  # type: ignore[no-any-return]

    @property
    def audio(self) -> str | None:
        """The format of the recording by its bytes, or None if no release has examined them."""
        return self.fields.get("audio")

    @property
    def place(self) -> Place:
        """The place of the recording."""
        return Place(
            path=self.path,
            member=self.member,
            bytes=self.fields["bytes"],
            sha256=self.sha256,
            audio=self.audio,
        )

    @property
    def shown_place(self) -> list[str]:
        """The member and its ZIP, or the file alone, as far as the line names them."""
        return [str(self.fields[name]) for name in ("member", "path") if self.fields.get(name)]

    def stored(self) -> Stored:
        """Return the recording's file, size and SHA-256. Raises ValueError and KeyError if the line
        names no possible ones.
        """
        return reading.stored_of(self.fields)

    def text(self) -> str:
        """Return the line as the file has it, with its line feed."""
        return serialised(self.fields) + "\n"


def spelled(text: str) -> bytes:
    """Return an ASCII text as a line spells it."""
    return serialised(text)[1:-1].encode()


def is_set_aside(recording: Mapping[str, Any]) -> bool:
    """Return whether a recording is listed with an entry that could not be read."""
    return bool(recording.get("set_aside"))


def write(target: Path, lines: Iterable[Line]) -> tuple[int, str]:
    """Write a list to a new file; return its size in bytes and its SHA-256. Raises NoSpace."""
    with SummedFile(target) as file:
        file.write_all(line.text() for line in lines)
    return file.size, file.sha256


def read(store: Store, path: str) -> Iterator[Line]:
    """Yield the lines of a list, one at a time. Raises Missing and Dangerous, and Damaged for a
    line that cannot be read.
    """
    for data in raw_lines(store, path):
        yield parse(data, path)


def raw_lines(store: Store, path: str) -> Iterator[bytes | None]:
    """Yield the bytes of each line of a list; None for a line that is too long to be read. Raises
    Missing and Dangerous.
    """
    with store.open(path) as file:
        yield from reading.lines(file)


def parse(data: bytes | None, path: str) -> Line:
    """Read a line, which must have an id, of the list under ``path``. Raises Damaged, for None
    too.
    """
    try:
        line = None if data is None else Line.parse(data)
    except (ValueError, TypeError):
        line = None
    if line is None or not isinstance(line.fields.get("id"), str):
        raise Damaged(path, "is not readable; run verify")
    return line
