"""The inspection of one file: against the chain, against its manifest or metadata, inside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from archive import paths
from archive.audio import misnamed
from archive.audio.detection import Listener
from archive.documents import reading
from archive.documents.metadata import Metadata
from archive.errors import ArchiveError, Missing
from archive.problem import quoted
from archive.store.directory import Store, Stored
from archive.store.protocol import refuse_larger, summed
from archive.zip import verification

from .chain_index import ChainIndex
from .manifest_claims import Claims, Manifests, Unusable
from .path_checks import PathChecks

#: Problems, a note, and why no document vouches for the file.
_Verdict = tuple[list[str], str | None, str | None]

#: The problem of a file that should be under a chain but is under none, if there is no other
#: problem.
UNCOVERED = "is not covered by the chain: nothing vouches for it"
#: The same problem for a ZIP or a list, until its run ends.
UNSEALED = "is not covered by a manifest: nothing vouches for it"
#: The document that vouches for a file is written after it, within seconds. For so long after a
#: file was stored no problem is reported; a host's clock may differ from the storage's by as much.
PENDING_SECONDS = 15 * 60.0


@dataclass(frozen=True)
class Finding:
    """The result of inspecting one file: problems as sentences, a note, the size in bytes (None if
    the file is missing), why no document vouches for the file, and whether the file is so young
    that one still may.
    """

    problems: list[str]
    note: str | None
    bytes: int | None
    unvouched: str | None = None
    is_young: bool = False


@dataclass(frozen=True)
class _Seen:
    """A file that was read whole: its sum, how it sounds if it is audio, and the content of
    metadata.
    """

    stored: Stored
    heard: misnamed.Heard | None
    content: bytes | None


class Inspection:
    """Inspects the files of one archive."""

    def __init__(
        self,
        store: Store,
        chains: ChainIndex,
        manifests: Manifests,
        path_checks: PathChecks,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._chains = chains
        self._manifests = manifests
        self._path_checks = path_checks
        self._on_bytes = on_bytes

    def inspect(self, path: str) -> Finding:
        """Read one file whole and compare it with every document that names it."""
        size: int | None = None
        try:
            seen = self._read(path)
            size = seen.stored.bytes
            return self._compared(seen)
        except Missing:
            return self._missing(path)
        except ArchiveError as error:
            return Finding([error.reason], None, size or 0)
        except OSError as error:
            return Finding([f"cannot be read: {error.strerror}"], None, size or 0)
        except ValueError:
            named = self._who_names(path) or "a document names it"
            return Finding([f"is not a possible path, but {named}"], None, None)

    def _read(self, path: str) -> _Seen:
        kind = paths.kind_of(path)
        heard = misnamed.Heard() if kind == "audio" else None
        content = bytearray() if kind == "metadata" else None
        keep = heard.feed if heard is not None else None if content is None else content.extend
        with self._store.open(path) as file:
            limit = reading.limit_of(path)
            if limit is not None:
                refuse_larger(path, file.seek(0, os.SEEK_END), limit.bytes)
                file.seek(0)
            stored = summed(file, path, self._on_bytes, keep)
        return _Seen(stored, heard, None if content is None else bytes(content))

    def _compared(self, seen: _Seen) -> Finding:
        stored, kind = seen.stored, paths.kind_of(seen.stored.path)
        problems, note, unvouched = self._against_chain(stored, kind)
        more, other_note, other_unvouched = self._inside(seen, kind)
        unvouched = unvouched or other_unvouched
        is_young = unvouched is not None and self._is_young(stored.path)
        return Finding([*problems, *more], note or other_note, stored.bytes, unvouched, is_young)

    def _missing(self, path: str) -> Finding:
        named = self._who_names(path)
        # A file that existed a moment ago and that no document names is not a loss.
        return Finding([f"is missing: {named}"] if named else [], None, None)

    def _is_young(self, path: str) -> bool:
        """Return whether the file was stored within `PENDING_SECONDS`. A time in the future counts
        only as far as clocks may differ: otherwise a file could be young for ever.
        """
        return abs(time.time() - self._store.modified(path)) < PENDING_SECONDS

    def _against_chain(self, stored: Stored, kind: paths.Kind | None) -> _Verdict:
        covers = self._chains.covers(stored.path)
        if not covers and kind in paths.CHAINED:
            # In an archive in use, a file written a moment ago may be under the chain by now.
            self._chains.refresh(stored.path)
            covers = self._chains.covers(stored.path)
            if not covers and kind == "identity" and self._chains.is_empty:
                return [], "not yet covered by the chain", None
            if not covers and self._chains.is_damaged_about(stored.path):
                return (
                    [],
                    "may be covered by an entry of the chain that is damaged or missing",
                    None,
                )
            if not covers:
                return [], None, UNCOVERED
        if not covers and kind is None:
            if paths.is_among_files(stored.path):
                return [], None, "is not a file of an archive, but is among its files"
            return [], "is not a file of an archive: nothing vouches for it", None
        problems = [
            f"has the SHA-256 {stored.sha256} where {cover.entry} says {cover.sha256}: one of the "
            "two was changed or replaced"
            for cover in covers
            if cover.sha256 != stored.sha256
        ]
        return problems, None, None

    def _inside(self, seen: _Seen, kind: paths.Kind | None) -> _Verdict:
        stored = seen.stored
        match kind:
            case "manifest":
                return list(self._faults_of_manifest(stored.path)), None, None
            case "recordings" | "zip":
                return self._beside_manifest(stored, kind)
            case "metadata":
                return list(self._faults_of_metadata(stored, seen.content or b"")), None, None
            case "audio":
                return self._against_metadata(stored, seen.heard)
        return [], None, None

    def _faults_of_manifest(self, path: str) -> Iterator[str]:
        claims = self._manifests.of(path.rpartition("/")[0])
        if isinstance(claims, Unusable):
            yield claims.fault or "was removed during the verification"
            return
        if claims.manifest is None:
            return
        if claims.manifest.account != paths.account_of(path):
            account = quoted(claims.manifest.account)
            yield f"belongs to the account {account}: it was changed or moved"
        for single in claims.singles:
            fault = self._path_checks.fault_of_single(single)
            if fault:
                yield fault

    def _beside_manifest(self, stored: Stored, kind: str) -> _Verdict:
        claims = self._manifests.of(stored.path.rpartition("/")[0])
        problems = list(_fault_of_name(stored)) if kind == "zip" else []
        if isinstance(claims, Unusable):
            return (
                (problems, "cannot be checked: its manifest cannot be used", None)
                if claims.fault
                else (problems, None, UNSEALED)
            )
        claimed = claims.siblings.get(stored.path)
        if claimed is None:
            if any(one.sha256 == stored.sha256 for one in claims.siblings.values()):
                return problems, "is a second copy of a file that its manifest names", None
            return problems, None, "is not named by its manifest: nothing vouches for it"
        if claimed != stored:
            problems.append(_other_sum(stored, "its manifest", claimed))
        elif kind == "zip":
            problems += self._faults_of_members(stored.path)
        else:
            problems += self._path_checks.faults_of_lines(stored.path, claims)
        return problems, None, None

    def _faults_of_members(self, path: str) -> Iterator[str]:
        claimed, silent = self._manifests.members(path), set()
        # A ZIP that was accepted under its limits is measured against its size then, and no more.
        limits = verification.Limits(*self._manifests.measured(path), ratio=float("inf"))
        with self._store.open(path) as file:
            found = verification.members(
                file, limits, path=path, on_bytes=self._on_bytes, listener=_listener
            )
            for one, other in zip_longest(found, claimed):
                if one is None or one != other:
                    yield f"holds {_shown(one)} where its manifest says {_shown(other)}"
                    return
                if one.sound is None:
                    silent.add(bytes.fromhex(one.sha256))
        yield from misnamed.in_zip(self._store, path, silent)

    def _faults_of_metadata(self, stored: Stored, content: bytes) -> Iterator[str]:
        path, metadata = stored.path, self._path_checks.metadata_in(stored, content)
        if metadata is None or isinstance(metadata, str):
            yield metadata or "was removed during the verification"
            return
        stem = path.rpartition("/")[2].removesuffix(".json")
        if metadata.account != paths.account_of(path):
            yield f"belongs to the account {quoted(metadata.account)}: it was changed or moved"
        if stem not in {paths.safe(metadata.recording_id), metadata.job_id}:
            recording = quoted(metadata.recording_id)
            yield f"describes the recording {recording}: it was changed or moved"
        if not paths.is_beside(metadata.audio.path, path):
            yield f"names {quoted(metadata.audio.path)}, which is not its audio"

    def _against_metadata(self, stored: Stored, heard: misnamed.Heard | None) -> _Verdict:
        path = paths.metadata_path(stored.path)
        metadata = self._path_checks.metadata(path)
        if metadata is None:
            return [], None, "has no metadata: nothing vouches for it"
        if isinstance(metadata, str):
            return [], "cannot be checked: its metadata cannot be used", None
        if metadata.audio.path != stored.path:
            return [], None, f"{path} names another file: nothing vouches for it"
        if metadata.audio == stored:
            fault = heard.fault() if heard else None
            return [fault] if fault else [], None, None
        return [_other_sum(stored, path, metadata.audio)], None, None

    def _who_names(self, path: str) -> str | None:
        """Return the document that names a file that should exist, or None."""
        covers = self._chains.covers(path)
        if covers:
            return f"{covers[0].entry} names it"
        if paths.kind_of(path) == "audio":
            described_by = paths.metadata_path(path)
            metadata = self._path_checks.metadata(described_by)
            is_named = isinstance(metadata, Metadata) and metadata.audio.path == path
            return f"{described_by} names it" if is_named else None
        claims = self._manifests.of(path.rpartition("/")[0])
        is_named = isinstance(claims, Claims) and path in claims.siblings
        return "its manifest names it" if is_named else None


def _listener() -> Listener:
    return Listener(whole=False)


def _fault_of_name(stored: Stored) -> Iterator[str]:
    named = stored.path.split(".")[-2]
    if not stored.sha256.startswith(named):
        yield f"has the SHA-256 {stored.sha256}, which does not begin with {named} as its name says"


def _other_sum(found: Stored, witness: str, named: Stored) -> str:
    return (
        f"has {found.bytes} bytes and the SHA-256 {found.sha256} where {witness} says "
        f"{named.bytes} and {named.sha256}: it was damaged or replaced"
    )


def _shown(member: verification.Member | None) -> str:
    if member is None:
        return "no more members"
    return f"{quoted(member.name)} ({member.bytes} bytes, SHA-256 {member.sha256})"
