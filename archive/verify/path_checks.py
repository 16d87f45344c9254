"""Whether what recordings.jsonl says of each recording's place agrees with what vouches for it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from archive import paths
from archive.documents import reading
from archive.errors import ArchiveError, Missing
from archive.problem import quoted
from archive.store.directory import Store, Stored
from archive.zip.verification import Member

from .chain_index import Coverage
from .manifest_claims import Claims, Manifests

_MOST_NAMED = 5


@dataclass(frozen=True)
class Metadata:
    """What the metadata of a single recording says: whose it is and what its audio must be."""

    account: str
    recording_id: str
    job_id: str
    stored: Stored


class Places:
    """Compares places with the manifests of ZIPs and the metadata of single recordings."""

    def __init__(self, store: Store, manifests: Manifests, coverage: Coverage) -> None:
        self._store = store
        self._manifests = manifests
        self._coverage = coverage

    def metadata(self, path: str) -> Metadata | str | None:
        """The metadata of a single recording; in words why it can not be used; None where there
        is none.
        """
        try:
            data = reading.read(self._store, path)
            stored = Stored(path, len(data), hashlib.sha256(data).hexdigest())
            if self._coverage.contradicts(stored):
                return "cannot be relied on for its audio"
            content = reading.fields(data, path)
            return Metadata(
                str(content["account"]),
                str(content["recording_id"]),
                str(content.get("job_id")),
                reading.stored_of(content),
            )
        except Missing:
            return "is missing" if self._coverage.covers(path) else None
        except ArchiveError as error:
            return error.reason
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except (ValueError, KeyError):
            return "is not readable as the metadata of a recording: it was changed"

    def fault_of_single(self, single: Stored, recording_id: str | None = None) -> str | None:
        """What contradicts a claim about a recording that was fetched singly."""
        if paths.kind_of(single.path) != "audio":
            return f"names {quoted(single.path)}, which is no recording's place"
        path = paths.metadata_path(single.path)
        metadata = self.metadata(path)
        if metadata is None:
            return f"names {single.path}, but {path} is missing"
        if isinstance(metadata, str):
            # Said of the metadata itself.
            return None
        if metadata.stored != single or recording_id not in (None, metadata.recording_id):
            return f"contradicts {path} about {single.path}"
        return None

    def faults_of_lines(self, path: str, claims: Claims) -> Iterator[str]:
        """What is wrong with the lines of a recordings.jsonl: places and their number."""
        counts = {"listed": 0, "archived": 0, "missing": 0, "unexpected": claims.members}
        faults = 0
        with self._store.open(path) as file:
            for number, data in enumerate(reading.lines(file), 1):
                fault = self._fault_of(data, counts, claims)
                if fault:
                    faults += 1
                    if faults <= _MOST_NAMED:
                        yield f"line {number} {fault}"
        if claims.header.get("complete") is True and counts["missing"]:
            yield "lists missing recordings, where its manifest says that it is complete"
        if faults > _MOST_NAMED:
            yield f"and so on, {faults} lines in all"
        for name, count in counts.items():
            if claims.header.get(name) != count:
                told = quoted(claims.header.get(name))
                yield f"has {count} {name}, where its manifest says {told}"

    def _fault_of(self, data: bytes | None, counts: dict[str, int], claims: Claims) -> str | None:
        if data is None:
            return "is too long to be one of a list"
        try:
            return self._fault_of_line(reading.parsed(data), counts, claims)
        except (ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
            words = str(error) if type(error) is ValueError else "it lacks what a line has"
            return f"is not readable ({words})"

    def _fault_of_line(
        self, line: dict[str, Any], counts: dict[str, int], claims: Claims
    ) -> str | None:
        counts["listed"] += 1
        if line.get("missing"):
            counts["missing"] += 1
            return None
        counts["archived"] += 1
        place = reading.stored_of(line)
        if "member" not in line:
            return self.fault_of_single(place, line["id"])
        if place.path in claims.parts:
            counts["unexpected"] -= 1
        if paths.kind_of(place.path) != "zip":
            return f"names {quoted(place.path)}, which is no ZIP"
        if not self._manifests.hold(place.path, Member(line["member"], place.bytes, place.sha256)):
            return f"names {quoted(line['member'])} in {place.path}, where no manifest has it so"
        return None
