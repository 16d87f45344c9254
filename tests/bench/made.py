"""Archives to be verified and searched, made by the parts that make real ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from archive.store.directory import DirectoryStore
from archive.store.protocol import Stored
from ledger.core.job import job_id
from tests.archives import Builder, frames, recording, zipped

from .keeping import write_zip
from .sizes import Sizes

_FIRST = date(2026, 1, 1)
#: No id begins with 9, which the builder takes for one that cannot be fetched.
_IDS = 1_000_000
_SOUND = frames(0, 2)
#: On so many days were the small recordings of `mixed` made: a chain has an entry for each.
_SMALL_DAYS = 10
#: The account of `many`.
MANY = "many"


class Unflushed(DirectoryStore):
    """An archive that does not wait for the disk: only what lies in it is measured."""

    def keep(
        self,
        path: str,
        source: Path,
        sha256: str,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Stored:
        """Move the file to its path."""
        del on_bytes
        target = self._made(path)
        os.link(source, target)
        return Stored(path, target.stat().st_size, sha256)

    def create(self, path: str, data: bytes) -> Stored:
        """Write the file."""
        with self._made(path).open("xb") as file:
            file.write(data)
        return Stored(path, len(data), hashlib.sha256(data).hexdigest())

    def _made(self, path: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def mixed(folder: Path, sizes: Sizes) -> DirectoryStore:
    """Small recordings of some days that were fetched singly, and an export in large ZIPs."""
    store = Unflushed(folder / "archive")
    builder = Builder(folder, store)
    builder.identity()
    for number in range(_SMALL_DAYS):
        ids = range(_IDS + number, _IDS + sizes.singles, _SMALL_DAYS)
        _export_day(builder, "small", _FIRST + timedelta(days=number), ids)
    parts, listed = {}, []
    for part in range(sizes.zips):
        numbers = range(2 * _IDS + 10 * part, 2 * _IDS + 10 * part + 10)
        target = folder / "part.zip"
        write_zip(target, [f"730048.{number}.mp3" for number in numbers], sizes.zip_bytes)
        parts[f"p-{part}"] = target.read_bytes()
        listed += [recording(n, file_size_in_bytes=sizes.zip_bytes // 10) for n in numbers]
    builder.export("large", "0b5e-large", listed, parts)
    return store


def many(folder: Path, sizes: Sizes) -> DirectoryStore:
    """A day's export for each of many days."""
    store = Unflushed(folder / "archive")
    builder = Builder(folder, store)
    builder.identity()
    for number in range(sizes.days):
        first = _IDS + number * sizes.recordings_a_day
        ids = range(first, first + sizes.recordings_a_day)
        part = zipped((f"730048.{n}.mp3", _SOUND) for n in ids)
        _export_day(builder, MANY, _FIRST + timedelta(days=number), ids, p=part)
    return store


def _export_day(builder: Builder, account: str, day: date, ids: range, **parts: bytes) -> None:
    start = f"{day.isoformat()}T10:04:05Z"
    listed = [recording(n, start=start, file_size_in_bytes=len(_SOUND)) for n in ids]
    name = job_id(account, "earwitness.export.run", f"day:{day}#1")
    builder.export(account, name, listed, parts, day=day)


def last_id(sizes: Sizes) -> int:
    """The recording that was listed last in `many`."""
    return _IDS + sizes.days * sizes.recordings_a_day - 1
