"""Searching an archive alone, without a ledger, and copying a recording out of the archive.

The files that `extract` writes can be handed to a lawyer: the audio, its line, and the proof of
both.
"""

from __future__ import annotations

import errno
import hashlib
import io
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from archive import paths
from archive.audio.detection import ENDINGS, HEAD, kind
from archive.documents import reading
from archive.documents.manifest import is_manifest
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError, Damaged, Missing
from archive.store.directory import PIECE, Store, Stored
from archive.store.protocol import summed
from archive.zip import verification

from .search_index import SearchResult, find

__all__ = ["Extraction", "SearchResult", "audio", "extract", "find", "found"]

#: A target, its expected SHA-256, and the function that opens its source.
_Copy = tuple[Path, str, Callable[[], BinaryIO]]


def found(
    store: Store, **conditions: Any
) -> tuple[list[SearchResult], ArchiveError | OSError | None]:
    """Return the results of `find` under its conditions, and the error of the first file that could
    not be read, or None.
    """
    results = []
    try:
        for result in find(store, **conditions):
            results.append(result)  # noqa: PERF402 - what came before an error counts
    except (ArchiveError, OSError) as error:
        return results, error
    return results, None


def audio(store: Store, line: Line) -> Iterator[bytes]:
    """Yield the audio of a recording, in pieces of 1 MiB at most, out of its ZIP or its own file.

    Parameters: `line` of a recording that is not missing. Raises Missing; Damaged, after the last
    piece of a file, if its sum is not the line's.
    """
    place = _place(line)
    path = place.path
    with store.open(path) as file:
        if line.is_in_zip:
            member = verification.Member(str(line.member), place.bytes, place.sha256)
            yield from verification.unpack(file, member, path=path)
            return
        digest = hashlib.sha256()
        while piece := file.read(PIECE):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != place.sha256:
        raise Damaged(path, "does not have the SHA-256 that it was archived with; run verify")


def extract(store: Store, recording_id: str, to: Path, account: str | None = None) -> list[Path]:
    """Copy a recording out of the archive, byte for byte, in constant memory.

    Parameters: `to`, a folder, created if absent, which may hold other recordings already;
    `account`, required if several accounts have a recording of that id.

    Returns the recording's files: ``<id>.<ending of its format>``; ``<id>.json``, its line with
    numbers and times; ``manifest.json``, a copy of the manifest that names its sum, or
    ``<id>~manifest.json`` if another export's manifest has that name. For a recording that was
    fetched singly ``<id>.json`` is a copy of its metadata, which names the sum itself. An existing
    file with the same bytes is left as it is.

    Raises Missing, Damaged (the sum differs; nothing is left), FileExistsError (other bytes have
    one of the names; nothing is ever overwritten), ValueError (several accounts have the
    recording).
    """
    return Extraction(store, to).add(_only(store, recording_id, account))


class Extraction:
    """Copies recordings that were found into one folder, each manifest once.

    Parameters and files are those of `extract`.
    """

    def __init__(self, store: Store, to: Path) -> None:
        self._store = store
        self._to = to
        #: By a manifest's path in the archive: its SHA-256, and where its copy lies.
        self._manifests: dict[str, tuple[str, Path]] = {}

    def add(self, result: SearchResult) -> list[Path]:
        """Copy a recording; return its files, the audio first. Raises the errors of `extract`."""
        if result.line.is_missing:
            raise Missing(result.source, f"lists recording {result.line.shown_id} as missing")
        stem = paths.safe(result.line.id)
        if stem.lower() == "manifest":
            stem += "~"  # no other id gets this name; the copy of the manifest keeps its name
        self._to.mkdir(parents=True, exist_ok=True)
        companions = list(self._beside(result, stem))
        there = [target for target, sha256, _ in companions if _is_there(target, sha256)]
        audio_there = _audio_there(result, self._to, stem)
        files = [audio_there or _extract_audio(self._store, result, self._to, stem)]
        for target, _, opened in companions:
            if target not in there:
                with target.open("xb") as file, opened() as source:
                    shutil.copyfileobj(source, file, PIECE)
            files.append(target)
        return files

    def _beside(self, result: SearchResult, stem: str) -> Iterator[_Copy]:
        """Yield the files to write beside the audio: the target, its SHA-256, and the function that
        opens its source.
        """
        open_source = partial(self._store.open, result.source)
        if paths.kind_of(result.source) != "manifest":
            sha256 = self._store.checksum(result.source).sha256
            yield self._to / f"{stem}.json", sha256, open_source
            return
        line = result.line.text().encode()
        yield self._to / f"{stem}.json", hashlib.sha256(line).hexdigest(), partial(io.BytesIO, line)
        if result.source not in self._manifests:
            sha256 = self._store.checksum(result.source).sha256
            target = self._to / "manifest.json"
            if _is_another_manifest(target, sha256):
                target = self._to / f"{stem}~manifest.json"
            self._manifests[result.source] = sha256, target
        sha256, target = self._manifests[result.source]
        yield target, sha256, open_source


def _is_another_manifest(target: Path, sha256: str) -> bool:
    """Return whether another export's manifest has the name."""
    if not target.is_file() or target.stat().st_size > reading.LARGE.bytes:
        return False
    data = target.read_bytes()
    return is_manifest(data, target.name) and hashlib.sha256(data).hexdigest() != sha256


def _place(line: Line) -> Stored:
    try:
        return line.stored()
    except (ValueError, KeyError) as error:
        reason = f"is listed at an impossible place ({error}); run verify"
        raise Damaged(f"recording {line.shown_id}", reason) from None


def _only(store: Store, recording_id: str, account: str | None) -> SearchResult:
    results, damage = found(store, account=account, recording_id=recording_id)
    held = [result for result in results if not result.line.is_missing]
    if len(held) > 1:
        names = ", ".join(result.account for result in held)
        raise ValueError(
            f"several accounts have a recording {recording_id}: {names}; name the account"
        )
    if held:
        # The document that names its sum proves the audio, even if other files cannot be read.
        return held[0]
    if damage is not None:
        raise damage
    if results:
        raise Missing(results[0].source, f"lists recording {recording_id} as missing")
    raise Missing(recording_id, f"no recording {recording_id} in this archive")


def _audio_there(result: SearchResult, to: Path, stem: str) -> Path | None:
    """Return the recording's audio if it was already extracted."""
    targets = [to / f"{stem}.{ending}" for ending in ENDINGS]
    there = [target for target in targets if _is_there(target, result.line.sha256)]
    return there[0] if there else None


def _extract_audio(store: Store, result: SearchResult, to: Path, stem: str) -> Path:
    unfinished = to / f"{stem}.{secrets.token_hex(8)}.part"
    try:
        with unfinished.open("xb") as file:
            for piece in audio(store, result.line):
                file.write(piece)
        with unfinished.open("rb") as file:
            ending = kind(file.read(HEAD)) or _ending(result)
        target = to / f"{stem}.{ending}"
        if _is_there(target, result.line.sha256):
            return target
        return unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _ending(result: SearchResult) -> str:
    name = result.line.member if result.line.is_in_zip else result.line.path
    ending = str(name).rpartition(".")[2].lower()
    return ending if ending.isalnum() and ending.isascii() and len(ending) <= 5 else "bin"


def _is_there(target: Path, sha256: str) -> bool:
    """Return whether a file with this sum has the name. Raises FileExistsError if another file has
    it.
    """
    if not target.exists():
        return False
    if target.is_file():
        with target.open("rb") as file:
            if summed(file, target.name, None).sha256 == sha256:
                return True
    raise FileExistsError(
        errno.EEXIST, "exists already and was not overwritten; choose another folder", str(target)
    )
