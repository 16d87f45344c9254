"""Checks of the places in recordings.jsonl against manifests and metadata."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from archive import paths
from archive.documents import metadata as metadata_documents
from archive.documents import reading, recordings_list
from archive.documents.metadata import Metadata
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError, Missing
from archive.problem import quoted
from archive.store.directory import Store, Stored
from archive.zip.verification import Member

from .chain_index import ChainIndex
from .manifest_claims import Claims, Manifests

_MOST_NAMED = 5
#: So many documents are remembered, each of at most so many bytes.
_HELD, _HELD_BYTES = 4096, 16 * 1024
_LACKING = "a field of a line is missing or has the wrong type"


class PathChecks:
    """Compares places with the manifests of ZIPs and the metadata of single recordings."""

    def __init__(self, store: Store, manifests: Manifests, chains: ChainIndex) -> None:
        self._store = store
        self._manifests = manifests
        self._chains = chains
        #: With the sum of the bytes.
        self._held: dict[str, tuple[str, Metadata]] = {}

    def metadata(self, path: str) -> Metadata | str | None:
        """Return the metadata of a single recording, without its description; a sentence if it
        cannot be used; None if there is none.

        A manifest, a list, the walk and the audio ask for the same metadata one after the other: it
        is never changed, and read once.
        """
        held = self._held.get(path)
        if held is not None:
            return held[1]
        return self._usable(path, lambda: self._content(path))

    def metadata_in(self, stored: Stored, content: bytes) -> Metadata | str | None:
        """Return the same of a document that was just read."""
        held = self._held.get(stored.path)
        if held is not None and held[0] == stored.sha256:
            return held[1]
        return self._usable(stored.path, lambda: (stored, content))

    def _content(self, path: str) -> tuple[Stored, bytes]:
        data = reading.read(self._store, path)
        return Stored(path, len(data), hashlib.sha256(data).hexdigest()), data

    def _usable(self, path: str, read: Callable[[], tuple[Stored, bytes]]) -> Metadata | str | None:
        try:
            stored, data = read()
            if self._chains.contradicts(stored):
                return "cannot be relied on for its audio"
            metadata = metadata_documents.parse(data, path)
            if metadata.account is None:
                raise ValueError("it names no account")
            metadata = replace(
                metadata,
                account=str(metadata.account),
                recording_id=str(metadata.recording_id),
                job_id=str(metadata.job_id),
                recording={},
            )
        except Missing:
            return "is missing" if self._chains.covers(path) else None
        except ArchiveError as error:
            return error.reason
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except ValueError:
            return "is not readable as the metadata of a recording: it was changed"
        if len(data) <= _HELD_BYTES:
            self._hold(stored, metadata)
        return metadata

    def _hold(self, stored: Stored, metadata: Metadata) -> None:
        if len(self._held) >= _HELD:
            del self._held[next(iter(self._held))]
        self._held[stored.path] = stored.sha256, metadata

    def fault_of_single(self, single: Stored, recording_id: str | None = None) -> str | None:
        """Return what contradicts a claim about a recording that was fetched singly."""
        if paths.kind_of(single.path) != "audio":
            return f"names {quoted(single.path)}, which cannot be the path of a recording"
        path = paths.metadata_path(single.path)
        metadata = self.metadata(path)
        if metadata is None:
            return f"names {single.path}, but {path} is missing"
        if isinstance(metadata, str):
            # The metadata itself is reported.
            return None
        if metadata.audio != single or recording_id not in (None, metadata.recording_id):
            return f"contradicts {path} about {single.path}"
        return None

    def faults_of_lines(self, path: str, claims: Claims) -> Iterator[str]:
        """Yield the faults of the lines of a recordings.jsonl: places and their number."""
        assert claims.manifest is not None, "the manifest of an erasure names no list"
        counted, faults = _Counted(unexpected=claims.members), 0
        for number, data in enumerate(recordings_list.raw_lines(self._store, path), 1):
            fault = self._fault_of(data, counted, claims)
            if fault:
                faults += 1
                if faults <= _MOST_NAMED:
                    yield f"line {number} {fault}"
        if claims.manifest.complete is True and counted.missing:
            yield "lists missing recordings, but its manifest says that it is complete"
        if faults > _MOST_NAMED:
            yield f"has {faults} faulty lines in all; the others are not named here"
        for name, count in vars(counted).items():
            claimed = getattr(claims.manifest, name)
            if claimed != count:
                yield f"has {count} {name}, but its manifest says {quoted(claimed)}"

    def _fault_of(self, data: bytes | None, counted: _Counted, claims: Claims) -> str | None:
        if data is None:
            return "is too long for a line of a list"
        try:
            line = Line.parse(data)
        except ValueError as error:
            return f"is not readable ({error})"
        except TypeError:
            counted.listed += 1
            return f"is not readable ({_LACKING})"
        try:
            return self._fault_of_line(line, counted, claims)
        except (ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
            words = str(error) if type(error) is ValueError else _LACKING
            return f"is not readable ({words})"

    def _fault_of_line(self, line: Line, counted: _Counted, claims: Claims) -> str | None:
        counted.listed += 1
        if line.is_missing:
            counted.missing += 1
            return None
        counted.archived += 1
        place = line.stored()
        if not line.is_in_zip:
            return self.fault_of_single(place, line.id)
        if place.path in claims.parts:
            counted.unexpected -= 1
        if paths.kind_of(place.path) != "zip":
            return f"names {quoted(place.path)}, which is not a ZIP"
        member = Member(line.member or "", place.bytes, place.sha256)
        if not self._manifests.hold(place.path, member):
            return f"names {quoted(line.member)} in {place.path}, where no manifest lists it so"
        return None


@dataclass
class _Counted:
    """The number of lines of each kind, and the members that no line names."""

    listed: int = 0
    archived: int = 0
    missing: int = 0
    unexpected: int = 0
