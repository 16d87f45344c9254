"""A small archive with a file of every kind, made by the parts that make real ones."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import time
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from archive import chain, paths
from archive.audio.detection import Listener
from archive.audio.properties import Sound
from archive.documents import manifest, recordings_list
from archive.documents.chain_entry import Covered
from archive.documents.manifest import Manifest, Window
from archive.documents.metadata import Metadata
from archive.reconciliation import Reconciliation
from archive.store.directory import DirectoryStore, Store, Stored
from archive.zip import verification

from . import buckets

LIMITS = verification.Limits(members=100_000, bytes=10**12, ratio=1000)
DAY = date(2026, 11, 20)


def recording(number: int, **fields: Any) -> dict[str, Any]:
    """A recording as the provider lists it."""
    return {
        "id": str(number),
        "call_id": f"call-{number}",
        "caller_id": f"1732555{number:04}"[-11:],
        "dnis": "914412345678",
        "cnam": "JOSÉ GARCÍA",
        "call_direction": "INBOUND",
        "duration": 60_000,
        "start": f"2026-11-20T{number % 24:02}:04:05Z",
        "end": f"2026-11-20T{number % 24:02}:05:05Z",
        "extensions": ["999"],
        "rule_ids": [],
        "file_name": f"730048.{number}.mp3",
        "file_size_in_bytes": len(audio(number)),
        **fields,
    }


def audio(number: int) -> bytes:
    """The bytes of a recording: a tag and three MPEG frames; other ones for every number."""
    tag = b"ID3\x04\0\0\0\0\0" + bytes([number % 7]) + bytes(number % 7)
    return tag + frames(number, 3)


def frames(number: int, count: int) -> bytes:
    """MPEG frames of noise, 144 bytes each."""
    chance = random.Random(number)
    return b"".join(b"\xff\xe3\x28\xc4" + chance.randbytes(140) for _ in range(count))


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A ZIP archive; names may repeat."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


class Builder:
    """Fills an archive the way the tasks do."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.root = folder / "archive"
        self.store = store or DirectoryStore(self.root)
        self._scratch = folder / "scratch"
        self._scratch.mkdir(parents=True, exist_ok=True)

    def identity(self) -> None:
        """The file that says whose archive it is."""
        self.store.create(paths.IDENTITY_PATH, b'{"schema": 1, "ledger": "0b5e"}')

    def keep(self, path: str, data: bytes) -> Stored:
        """Store a large file from the spool."""
        source = self._scratch / "download"
        source.write_bytes(data)
        stored = self.store.keep(path, source, hashlib.sha256(data).hexdigest())
        source.unlink()
        return stored

    def export(
        self,
        account: str,
        job_id: str,
        listed: Iterable[Mapping[str, Any]],
        parts: Mapping[str, bytes],
        *,
        day: date | None = DAY,
        generation: int | None = 1,
        chained: bool = True,
        heard: bool = True,
    ) -> dict[str, Any]:
        """An export with its ZIPs; what is not in them is taken from earlier generations, else
        fetched singly, unless its ``id`` begins with 9. Its manifest, with its ``path``. Not
        ``heard``: as by releases that took any member for audio.
        """
        folder = paths.export_folder(account, day or DAY, job_id)
        with Reconciliation(self._scratch / "reconciliation") as reconciliation:
            self._read(reconciliation, folder, parts, heard=heard)
            reconciliation.start_pass()
            for one in listed:
                reconciliation.listed(one)
            known = manifest.latest(self.store, account, day) if day else None
            listing = recordings_list.read(self.store, known.recordings.path) if known else ()
            for line in listing:
                if not line.is_missing:
                    reconciliation.earlier(line.id, line.place)
            reconciliation.match()
            entries = []
            for one in reconciliation.missing():
                if not one["id"].startswith("9"):
                    stored, metadata = self.single(account, one, chained=False)
                    reconciliation.fetched(one["id"], stored)
                    entries.append(Covered.of(metadata))
            sealed = self._seal(reconciliation, folder, account, job_id, day, generation)
        if chained:
            chain.append(self.store, account, [Covered.of(sealed), *entries])
        return {**content_of(self.store, sealed.path), "path": sealed.path}

    def single(
        self,
        account: str,
        one: Mapping[str, Any],
        *,
        ending: str = "mp3",
        chained: bool = True,
    ) -> tuple[Stored, Stored]:
        """A recording that is fetched on its own, and its metadata."""
        path = paths.recording_path(account, DAY, one["id"], ending)
        stored = self.keep(path, audio(int(one["id"])))
        content = Metadata(
            account=account,
            provider="vonage",
            recording_id=one["id"],
            audio=stored,
            recording=dict(one),
            job_id="5d1c",
            created_at="2026-11-21T02:30:00Z",
            version="0.1.0",
        )
        beside = paths.recording_json_path(account, DAY, one["id"])
        try:
            metadata = self.store.create(beside, content.to_bytes())
        except FileExistsError:
            metadata = self.store.checksum(beside)
        if chained:
            chain.append(self.store, account, [Covered.of(metadata)])
        return stored, metadata

    def receipt(self, account: str, job_id: str) -> Stored:
        """The receipt of a certified call."""
        content = {"schema": 1, "job_id": job_id, "account": account, "outcome": "placed"}
        path = paths.receipt_path(account, DAY, job_id, 1)
        stored = self.store.create(path, json.dumps(content).encode())
        chain.append(self.store, account, [Covered.of(stored)])
        return stored

    def _read(
        self,
        reconciliation: Reconciliation,
        folder: str,
        parts: Mapping[str, bytes],
        *,
        heard: bool,
    ) -> None:
        for provider_job_id, data in parts.items():
            sha256 = hashlib.sha256(data).hexdigest()
            stored = self.keep(paths.part_path(folder, provider_job_id, sha256), data)
            reconciliation.part(provider_job_id, stored)
            with self.store.open(stored.path) as file:
                for member in verification.members(
                    file, LIMITS, path=stored.path, listener=_listener
                ):
                    unheard = replace(member, sound=Sound(None))  # type: ignore[arg-type]
                    reconciliation.member(provider_job_id, member if heard else unheard)

    def _seal(
        self,
        reconciliation: Reconciliation,
        folder: str,
        account: str,
        job_id: str,
        day: date | None,
        generation: int | None,
    ) -> Stored:
        target = self._scratch / "sealing"
        _, sha256 = recordings_list.write(target, reconciliation.lines())
        recordings = self.store.keep(paths.recordings_path(folder), target, sha256)
        target.unlink()
        sealed_as = manifest_of(reconciliation, recordings, account, job_id, day, generation)
        _, sha256 = sealed_as.write(target)
        sealed = self.store.keep(paths.manifest_path(folder), target, sha256)
        target.unlink()
        return sealed


def _listener() -> Listener:
    return Listener(whole=False)


def manifest_of(
    reconciliation: Reconciliation,
    recordings: Stored,
    account: str = "india",
    job_id: str = "0b5e",
    day: date | None = DAY,
    generation: int | None = 1,
) -> Manifest:
    """The manifest of an export with these recordings."""
    counts = reconciliation.counts()
    return Manifest(
        account=account,
        provider="vonage",
        job_id=job_id,
        day=day.isoformat() if day else None,
        generation=generation,
        window=Window(**window_of(day or DAY)),
        timezone="Asia/Kolkata",
        filters={"call_direction": "INBOUND"},
        parts=reconciliation.parts(),
        files=reconciliation.files(),
        recordings=recordings,
        **vars(counts),
        complete=counts.missing == 0,
        created_at="2026-11-21T02:30:00Z",
        version="0.1.0",
    )


def content_of(store: Store, path: str) -> dict[str, Any]:
    """A document's fields, as any reader of JSON sees them."""
    content = json.loads(store.read(path))
    assert isinstance(content, dict)
    return content


def lines_of(store: Store, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of a manifest's list, as any reader of JSON sees them."""
    data = store.read(manifest["recordings"]["path"])
    return [json.loads(line) for line in data.splitlines()]


def window_of(day: date) -> dict[str, str]:
    """A day in India."""
    return {"start": f"{day - timedelta(days=1)}T18:30:00Z", "end": f"{day}T18:30:00Z"}


def full_archive(folder: Path) -> DirectoryStore:
    """The same as `fill`, in a directory."""
    fill(builder := Builder(folder))
    assert isinstance(builder.store, DirectoryStore)
    return builder.store


def fill(builder: Builder) -> Store:
    """Two accounts, two generations of a day, an export in several parts with subfolders, an index
    and a name twice, recordings fetched singly, one missing, receipts, chains of several entries.
    """
    builder.identity()
    listed = [recording(number) for number in range(101, 109)]
    first = zipped(
        [("index.csv", b"id;name"), *((f"a/730048.{n}.mp3", audio(n)) for n in (101, 102, 103))]
    )
    second = zipped([("730048.104.mp3", audio(104)), ("730048.104.mp3", audio(104) + b"twice")])
    builder.export("india", "1111-one", listed[:6], {"p-1": first, "p-2": second})
    third = zipped([("x-107.mp3", audio(107))])
    later = [*listed, recording(901)]
    builder.export("india", "2222-two", later, {"p-3": third}, generation=2)
    builder.single("india", recording(301))
    for number in range(3):
        builder.receipt("legal_es", f"call-{number}")
    four = zipped([(f"730048.{n}.mp3", audio(n)) for n in (201, 202)])
    own = [recording(n) for n in (201, 202, 203)]
    builder.export("legal_es", "3333-three", own, {"p-4": four}, day=None, generation=None)
    return builder.store


def age(store: Store, seconds: float = 3600) -> None:
    """Let every file have been stored so long ago, by the storage's own clock."""
    if not isinstance(store, DirectoryStore):
        buckets.serving(store.address).age(store.address, seconds)
        return
    then = time.time() - seconds
    for path in store.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (then, then))


def overwrite(store: Store, path: str, data: bytes | None) -> None:
    """Change (or remove, by None) a file of either kind of archive, as somebody would who should
    not.
    """
    if not isinstance(store, DirectoryStore):
        buckets.serving(store.address).overwrite(store.address, path, data)
        return
    target = store.root / path
    if data is None:
        target.unlink()
        return
    target.chmod(0o644)
    target.write_bytes(data)
