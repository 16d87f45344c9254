"""Searching an archive by itself, without a ledger, and taking a recording out of it.

What `extract` writes is what one hands to a lawyer: the audio, its line, and what proves it.
"""

from __future__ import annotations

import errno
import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import layout, zips
from .errors import Damaged, Missing
from .hits import Hit, find
from .listening import ENDINGS, HEAD, kind
from .manifest import serialised
from .store import PIECE, Store

__all__ = ["Hit", "audio", "extract", "find"]


def audio(store: Store, line: Mapping[str, Any]) -> Iterator[bytes]:
    """The audio of a recording, in pieces of 1 MiB at most, out of its ZIP or its own file.

    Parameters: `line`, of a recordings.jsonl, not one that is ``missing``.
    Raises Missing; Damaged, after the last piece of a file, where its sum is not the line's.
    """
    path = line["path"]
    with store.open(path) as file:
        if "member" in line:
            member = zips.Member(line["member"], line["bytes"], line["sha256"])
            yield from zips.unpack(file, member, path=path)
            return
        digest = hashlib.sha256()
        while piece := file.read(PIECE):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != line["sha256"]:
        raise Damaged(path, "does not have the SHA-256 that it was archived with; run verify")


def extract(store: Store, recording_id: str, to: Path, account: str | None = None) -> list[Path]:
    """Copy a recording out of the archive, byte for byte, in constant memory.

    Parameters: `to`, a folder, created where absent; `account`, needed where several accounts have
    a recording of that id.
    Returns what was written: ``<id>.<ending of its format>``; ``<id>.json``, its line with numbers
    and times; ``manifest.json``, a copy of the manifest that names its sum. For a recording that
    was fetched singly ``<id>.json`` is a copy of its metadata, which names its sum itself.
    Raises Missing, Damaged (the sum differs; nothing is left), FileExistsError (nothing is ever
    overwritten), ValueError (several accounts have it).
    """
    hit = _only(store, recording_id, account)
    stem = layout.safe(recording_id)
    if stem.lower() == "manifest":
        stem += "~"  # as no other id is called: the copy of the manifest keeps its name
    beside = [to / f"{stem}.json"]
    if layout.kind_of(hit.source) == "manifest":
        beside.append(to / "manifest.json")
    to.mkdir(parents=True, exist_ok=True)
    _refuse_existing([*beside, *(to / f"{stem}.{ending}" for ending in ENDINGS)])
    written = [_extract_audio(store, hit, to, stem)]
    for target in beside:
        with target.open("xb") as file:
            written.append(target)
            if target.name == "manifest.json" or len(beside) == 1:
                with store.open(hit.source) as source:
                    shutil.copyfileobj(source, file, PIECE)
            else:
                file.write(serialised(hit.line).encode() + b"\n")
    return written


def _only(store: Store, recording_id: str, account: str | None) -> Hit:
    hits = list(find(store, account=account, recording_id=recording_id))
    held = [hit for hit in hits if not hit.line.get("missing")]
    if len(held) > 1:
        names = ", ".join(hit.account for hit in held)
        raise ValueError(f"several accounts have a recording {recording_id}: {names}; name one")
    if held:
        return held[0]
    if hits:
        raise Missing(hits[0].source, f"lists the recording {recording_id}, but as missing")
    raise Missing(recording_id, "is no recording of this archive")


def _extract_audio(store: Store, hit: Hit, to: Path, stem: str) -> Path:
    partial = to / f"{stem}.{secrets.token_hex(8)}.part"
    try:
        with partial.open("xb") as file:
            for piece in audio(store, hit.line):
                file.write(piece)
        with partial.open("rb") as file:
            ending = kind(file.read(HEAD)) or _ending(hit)
        target = to / f"{stem}.{ending}"
        _refuse_existing([target])
        return partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def _ending(hit: Hit) -> str:
    name = hit.line.get("member", hit.line["path"])
    ending = str(name).rpartition(".")[2].lower()
    return ending if ending.isalnum() and ending.isascii() and len(ending) <= 5 else "bin"


def _refuse_existing(targets: list[Path]) -> None:
    for target in targets:
        if target.exists():
            raise FileExistsError(
                errno.EEXIST,
                "exists already and was not overwritten; name another folder",
                str(target),
            )
