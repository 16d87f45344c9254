"""The metadata of a recording that was fetched singly: its description, and its audio's size and
sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import SkipValidation, TypeAdapter

from archive.errors import Damaged
from archive.store.directory import Store, Stored

from . import reading
from .instants import Instant
from .recordings_list import Line, Place
from .writing import serialised

#: The version of the format.
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of a recording, with the fields of docs/archive-format.md; ``audio`` stands for
    `path`, `bytes` and `sha256`. In metadata read from a file, only ``recording_id`` and ``audio``
    are sure to be present: `checked` refuses values that the format does not allow.
    """

    account: str
    provider: str
    recording_id: str
    audio: Annotated[Stored, SkipValidation]
    recording: dict[str, Any]
    job_id: str
    created_at: Instant
    version: Annotated[str, SkipValidation]
    kind: Literal["recording"] = "recording"

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Self:
        """Take the fields of a document. Raises ValueError if it names no recording, or no possible
        file.
        """
        try:
            audio, recording_id = reading.stored_of(content), content["recording_id"]
        except KeyError as error:
            raise ValueError(f"it has no {error}") from None
        names = ("account", "provider", "recording", "job_id", "created_at", "version", "kind")
        given: dict[str, Any] = {name: content.get(name) for name in names}
        return cls(**given, recording_id=recording_id, audio=audio)

    def checked(self) -> Metadata:
        """Return the metadata with every field as the format has it. Raises ValueError."""
        return _METADATA.validate_python(vars(self))

    def as_line(self) -> Line:
        """Return the recording as the line of a list has it. Raises ValueError if nothing is known
        of it.
        """
        try:
            listed = {"id": self.recording_id, **self.recording}
        except TypeError:
            raise ValueError("it does not describe its recording") from None
        return Line.of(listed, Place.of_file(self.audio, None))

    def to_bytes(self) -> bytes:
        """Return the bytes of the document."""
        content = {
            "schema": SCHEMA,
            "kind": self.kind,
            "account": self.account,
            "provider": self.provider,
            "recording_id": self.recording_id,
            "path": self.audio.path,
            "bytes": self.audio.bytes,
            "sha256": self.audio.sha256,
            "recording": self.recording,
            "job_id": self.job_id,
            "created_at": self.created_at,
            "version": self.version,
        }
        return serialised(content).encode()


_METADATA: TypeAdapter[Metadata] = TypeAdapter(Metadata)


def parse(data: bytes, path: str) -> Metadata:
    """Take the bytes of the document under ``path``. Raises Damaged for anything but a JSON object,
    ValueError if it names no recording, or no possible file.
    """
    return Metadata.parse(reading.fields(data, path))


def read(store: Store, path: str) -> Metadata:
    """Read the metadata of a recording. Raises Missing and Dangerous; Damaged if it cannot be read
    as metadata.
    """
    try:
        return parse(reading.read(store, path), path)
    except ValueError:
        raise Damaged(path, "is not readable as metadata; run verify") from None


def audio_path(store: Store, path: str) -> str:
    """Return the path of the audio that metadata names, even if the metadata has other
    faults. Raises Missing and Dangerous; Damaged if it names none.
    """
    content = reading.content_of(store, path)
    try:
        return str(content["path"])
    except KeyError:
        raise Damaged(path, "names no audio; run verify") from None
