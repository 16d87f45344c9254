"""Comparison of the provider's list with the archive, recording by recording.

The comparison is kept in a scratch file of SQLite, so that memory stays flat for any number of
recordings.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .audio.acceptance import listed
from .documents.manifest import Part, SingleFile
from .documents.recordings_list import Line, Place, is_set_aside, listed_fields
from .errors import NoSpace
from .matching import basename, is_whole, match
from .store.directory import Stored
from .zip.verification import Member

_SCHEMA = """
CREATE TABLE seen (pass INTEGER, id TEXT, PRIMARY KEY (pass, id)) WITHOUT ROWID;
CREATE TABLE recordings (
    id TEXT PRIMARY KEY, start TEXT, name TEXT, size INTEGER, duration INTEGER, line TEXT,
    path TEXT, member TEXT, bytes INTEGER, sha256 TEXT, audio TEXT, source TEXT,
    gap INTEGER NOT NULL DEFAULT FALSE
) WITHOUT ROWID;
CREATE INDEX by_start ON recordings (start, id);
CREATE TABLE set_aside (id TEXT PRIMARY KEY, start TEXT, line TEXT) WITHOUT ROWID;
CREATE INDEX by_name ON recordings (name);
CREATE INDEX by_size ON recordings (size);
CREATE TABLE parts (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE, path TEXT, bytes INTEGER, sha256 TEXT, own INTEGER
);
CREATE TABLE members (
    n INTEGER PRIMARY KEY, part INTEGER, name TEXT, bytes INTEGER, sha256 TEXT,
    audio INTEGER, format TEXT, seconds REAL, fault TEXT, last_is_cut INTEGER, recording TEXT
);
CREATE INDEX by_recording ON members (recording);
CREATE INDEX by_part ON members (part, name);
CREATE VIEW own_members AS
    SELECT members.* FROM members JOIN parts ON parts.n = part WHERE own;
"""

_SLICE = 500


@dataclass(frozen=True)
class Counts:
    """The numbers of recordings that were listed, that are archived and that are missing, and of
    members that were not requested.
    """

    listed: int
    archived: int
    missing: int
    unexpected: int


class Reconciliation:
    """One run's listing, members and matches. A context manager; its file is removed at the end.

    If the file finds no more room, the context ends with NoSpace.
    """

    def __init__(self, scratch: Path, saved: Path | None = None) -> None:
        """Begin in the new file ``scratch``, or continue from a copy of what `save` left in
        ``saved``. Raises OSError where that cannot be read.
        """
        self._scratch = scratch
        scratch.unlink(missing_ok=True)
        if saved is not None:
            shutil.copyfile(saved, scratch)
        self._db = sqlite3.connect(scratch, isolation_level=None)
        # Nothing in a scratch file outlives the process, so nothing is made durable.
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA cache_size=-4000")
        self._db.create_function("is_whole", 7, is_whole, deterministic=True)
        if saved is None:
            self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        self._pass = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()
        self._scratch.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            reason = (
                "the spool's disk is full; the run could not compare its lists; free some space"
            )
            raise NoSpace(self._scratch.name, reason) from error

    def save(self, target: Path) -> None:
        """Move all that is known to the file ``target``. Nothing can be added afterwards."""
        self._db.execute("COMMIT")
        self._db.close()
        self._scratch.replace(target)

    def start_pass(self) -> None:
        """Begin another listing; only the last pass counts."""
        self._pass += 1
        self._db.execute("DELETE FROM seen WHERE pass < ?", (self._pass - 1,))
        self._db.execute("DELETE FROM recordings")
        self._db.execute("DELETE FROM set_aside")

    def listed(self, recording: Mapping[str, Any]) -> None:
        """Add a recording of this pass with every field as listed. The fields ``id``,
        ``start`` and, where known, ``file_name``, ``file_size_in_bytes`` (0 means unknown)
        and ``duration`` are used. A recording with ``set_aside`` counts as missing, even if
        the archive holds its file.
        """
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (self._pass, recording["id"]))
        line = listed_fields(recording)
        if is_set_aside(recording):
            self._db.execute(
                "INSERT OR REPLACE INTO set_aside (id, start, line) VALUES (?, ?, ?)",
                (recording["id"], recording.get("start") or "", json.dumps(line)),
            )
            return
        name, size = recording.get("file_name"), recording.get("file_size_in_bytes")
        self._db.execute(
            "INSERT OR REPLACE INTO recordings (id, start, name, size, duration, line) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                recording["id"],
                recording.get("start") or "",
                _storable(basename(name)) if name and isinstance(name, str) else None,
                listed(size),
                listed(recording.get("duration")),
                json.dumps(line),
            ),
        )

    def passes_agree(self) -> bool:
        """Return whether the last two passes listed the same ids."""
        (different,) = self._db.execute(
            "SELECT count(*) FROM (SELECT id FROM seen GROUP BY id HAVING count(*) < 2)"
        ).fetchone()
        return self._pass > 1 and different == 0

    def lists_every_size(self) -> bool:
        """Return whether every listed recording has a size: then a member of that size that begins
        like audio is whole, and need not be walked to its end.
        """
        found = self._db.execute("SELECT 1 FROM recordings WHERE size IS NULL LIMIT 1").fetchone()
        return found is None

    def part(self, provider_job_id: str, stored: Stored) -> None:
        """Add a stored ZIP of this run."""
        self._db.execute(
            "INSERT INTO parts (id, path, bytes, sha256, own) VALUES (?, ?, ?, ?, TRUE)",
            (provider_job_id, stored.path, stored.bytes, stored.sha256),
        )

    def earlier_zip(self, path: str) -> None:
        """Add a ZIP of an earlier generation, under its path: its members are matched again, and
        belong to no part of this run.
        """
        self._db.execute("INSERT INTO parts (id, path, own) VALUES (?, ?, FALSE)", (path, path))

    def member(self, provider_job_id: str, member: Member) -> None:
        """Add a member of a ZIP that was added before. Only a member that is audio may be a
        recording.
        """
        sound = member.sound
        heard = (sound.format, sound.seconds, sound.fault, sound.last_is_cut) if sound else None
        self._db.execute(
            "INSERT INTO members "
            "(part, name, bytes, sha256, audio, format, seconds, fault, last_is_cut) "
            "VALUES ((SELECT n FROM parts WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                provider_job_id,
                member.name,
                member.bytes,
                member.sha256,
                heard is not None,
                *(heard or (None, None, None, None)),
            ),
        )

    def earlier(self, recording_id: str, place: Place) -> None:
        """Add the place where an earlier generation archived a recording. A place that the
        recording has in a ZIP of this run takes precedence.
        """
        row = self._db.execute(
            "SELECT path, member FROM recordings WHERE id = ?", (recording_id,)
        ).fetchone()
        if row and row[0] in (None, place.path) and row[1] in (None, place.member):
            self._place(recording_id, place, "earlier")

    def heard(self, path: str, member: str, sha256: str) -> str | None:
        """Return the format of a member that was added, or None if the member is not audio or
        unknown.
        """
        row = self._db.execute(
            "SELECT format FROM members JOIN parts ON parts.n = part "
            "WHERE path = ? AND name = ? AND members.sha256 = ? LIMIT 1",
            (path, member, sha256),
        ).fetchone()
        return None if row is None else row[0]

    def fetched(self, recording_id: str, stored: Stored) -> None:
        """Add the file of a recording that was fetched singly."""
        ending = stored.path.rpartition(".")[2]
        self._place(recording_id, Place.of_file(stored, ending), "single")

    def gave_up(self, recording_id: str) -> None:
        """Leave a recording out of `missing`: it was asked for and could not be had. It has no
        place, and counts as missing.
        """
        self._db.execute("UPDATE recordings SET gap = TRUE WHERE id = ?", (recording_id,))

    def match(self) -> None:
        """Match members to recordings: by the basename of ``file_name``, otherwise by the id as a
        whole number in the member's name, otherwise by a size that is unique on both sides.
        """
        match(self._db)

    def not_understood(self) -> list[str]:
        """Return the names of three members if recordings are missing and more than half of the
        members that may be recordings stayed unmatched; otherwise none. A duplicate member counts
        once: an export that was created again holds the content of the first one again.
        """
        total, left = self._db.execute(
            "SELECT count(DISTINCT sha256), count(DISTINCT sha256) FILTER (WHERE recording IS NULL "
            "AND sha256 NOT IN (SELECT sha256 FROM members WHERE recording IS NOT NULL)) "
            "FROM own_members WHERE audio"
        ).fetchone()
        (absent,) = self._db.execute(
            "SELECT count(*) FROM recordings WHERE path IS NULL"
        ).fetchone()
        if left * 2 <= total or absent == 0:
            return []
        rows = self._db.execute(
            "SELECT name FROM own_members WHERE audio AND recording IS NULL ORDER BY n LIMIT 3"
        )
        return [name for (name,) in rows]

    def missing(self) -> Iterator[dict[str, Any]]:
        """Yield the listed recordings without a place, by start and id, except those that are set
        aside or were given up. The caller may give them places meanwhile.
        """
        last = ("", "")
        while rows := self._db.execute(
            "SELECT start, id, line FROM recordings WHERE path IS NULL AND NOT gap "
            "AND (start, id) > (?, ?) ORDER BY start, id LIMIT ?",
            (*last, _SLICE),
        ).fetchall():
            for _, _, line in rows:
                yield json.loads(line)
            last = rows[-1][:2]

    def adopt(self, lines: Iterable[Line]) -> None:
        """Take over the lines of a recordings.jsonl that a worker wrote before it died."""
        self.start_pass()
        for line in lines:
            self.listed(line.fields)
            if line.is_missing:
                continue
            taken = self._db.execute(
                "UPDATE members SET recording = ? WHERE n = (SELECT members.n FROM members "
                "JOIN parts ON parts.n = part WHERE path = ? AND name = ? AND members.sha256 = ? "
                "AND recording IS NULL LIMIT 1)",
                (line.id, line.path, line.member, line.sha256),
            )
            source = "part" if taken.rowcount else "earlier"
            if not taken.rowcount and not line.is_in_zip:
                source = "single"
            self._place(line.id, line.place, source)

    def lines(self) -> Iterator[Line]:
        """Yield the lines of recordings.jsonl, by start and id."""
        rows = self._db.execute(
            "SELECT line, path, member, bytes, sha256, audio, start, id FROM recordings UNION ALL "
            "SELECT line, NULL, NULL, NULL, NULL, NULL, start, id FROM set_aside ORDER BY start, id"
        )
        for line, path, member, size, sha256, audio, _start, _id in rows:
            place = Place(path=path, member=member, bytes=size, sha256=sha256, audio=audio)
            yield Line.of(json.loads(line), None if path is None else place)

    def parts(self) -> Iterator[Part]:
        """Yield the ZIPs of this run, in the order they were added, with their members."""
        rows = self._db.execute("SELECT id, path, bytes, sha256 FROM parts WHERE own ORDER BY n")
        for provider_job_id, path, size, sha256 in rows:
            stored = Stored(path, size, sha256)
            yield Part(provider_job_id, stored, self._members(provider_job_id))

    def _members(self, provider_job_id: str) -> Iterator[Member]:
        """Yield the members of one ZIP in its own order."""
        rows = self._db.execute(
            "SELECT name, members.bytes, members.sha256 FROM members JOIN parts ON parts.n = part "
            "WHERE parts.id = ? ORDER BY members.n",
            (provider_job_id,),
        )
        for row in rows:
            yield Member(*row)

    def files(self) -> Iterator[SingleFile]:
        """Yield the recordings fetched singly, by start and id."""
        rows = self._db.execute(
            "SELECT id, path, bytes, sha256 FROM recordings WHERE source = 'single' "
            "ORDER BY start, id"
        )
        for recording_id, path, size, sha256 in rows:
            yield SingleFile(recording_id, Stored(path, size, sha256))

    def counts(self) -> Counts:
        """Return the current counts."""
        listed, archived, set_aside = self._db.execute(
            "SELECT count(*), count(path), (SELECT count(*) FROM set_aside) FROM recordings"
        ).fetchone()
        listed += set_aside
        (unexpected,) = self._db.execute(
            "SELECT count(*) FROM own_members WHERE recording IS NULL"
        ).fetchone()
        return Counts(listed, archived, listed - archived, unexpected)

    def _place(self, recording_id: str, place: Place, source: str) -> None:
        self._db.execute(
            "UPDATE recordings SET path = ?, member = ?, bytes = ?, sha256 = ?, audio = ?, "
            "source = ? WHERE id = ?",
            (
                place.path,
                place.member,
                place.bytes,
                place.sha256,
                place.audio,
                source,
                recording_id,
            ),
        )


def _storable(text: str) -> str:
    """Return the text without halves of surrogate pairs, which JSON can spell and SQLite
    cannot hold.
    """
    return text.encode("utf-8", "replace").decode()
