"""Matching of a ZIP's members to the listed recordings.

Only members that are audio by their own bytes are considered. No public source tells how the
provider names them, so three ways are tried, the surest first. They work on the tables of
`reconciliation`, in slices, so that memory stays flat.
"""

from __future__ import annotations

import posixpath
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from .audio.acceptance import fault_of
from .audio.properties import Sound

_SLICE = 1000
_NUMBER = re.compile(r"[0-9]+")


def basename(name: str) -> str:
    """Return the last component of a member's or a recording's name, for either slash and for any
    form in which Unicode composes its letters.
    """
    return unicodedata.normalize("NFC", posixpath.basename(name.replace("\\", "/")))


def is_whole(
    size: int | None,
    duration: int | None,
    held: int,
    format: str,  # noqa: A002 - as everywhere
    seconds: float | None,
    fault: str | None,
    last_is_cut: int,
) -> bool:
    """Return whether a member of ``held`` bytes and with this sound is a whole recording that was
    listed with ``size`` and ``duration`` (in milliseconds), each None if not listed.
    """
    sound = Sound(format, seconds, fault, bool(last_is_cut))
    return fault_of(sound, held, expected_bytes=size, expected_ms=duration) is None


def match(db: sqlite3.Connection) -> None:
    """Match every member to at most one recording, and each recording to at most one member.

    The listed size and duration count in all three ways: a member of another size is cut or a page
    of errors, not the recording.
    """
    for number, name in _unmatched(db):
        _take_by_name(db, number, name)
    # If there are two files for one recording, the one of the listed kind is the recording.
    for same_ending in (True, False):
        for number, name in _unmatched(db):
            _take_by_number(db, number, name, same_ending=same_ending)
    _take_by_size(db)


def _unmatched(db: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Yield the unmatched members that are audio.

    They are read in whole slices: a cursor must not see the updates made on its way.
    """
    last = 0
    while rows := db.execute(
        "SELECT n, name FROM members WHERE recording IS NULL AND n > ? AND audio ORDER BY n "
        "LIMIT ?",
        (last, _SLICE),
    ).fetchall():
        yield from rows
        last = rows[-1][0]


def _take_by_name(db: sqlite3.Connection, number: int, name: str) -> None:
    for spelling in _spellings(name):
        # Of several recordings listed under one name, the one of this size and without a place
        # matches.
        found = db.execute(
            "SELECT id, is_whole(size, duration, members.bytes, format, seconds, fault, "
            "last_is_cut) AS fits FROM recordings, members WHERE recordings.name = ? AND n = ? "
            "AND source IS NOT 'part' ORDER BY NOT fits, path IS NOT NULL, size IS NULL, start, id "
            "LIMIT 1",
            (spelling, number),
        ).fetchone()
        if found and found[1]:
            _take(db, number, found[0])
        elif found:
            _leave(db, number)
        if found:
            return


def _spellings(name: str) -> Iterator[str]:
    """Yield the name, and the name as Windows writes it into archives that do not declare their
    encoding: such names are read by code page 437.
    """
    yield basename(name)
    if not name.isascii():
        with suppress(UnicodeError):
            yield basename(name.encode("cp437").decode("cp1252"))


def _take_by_number(db: sqlite3.Connection, number: int, name: str, *, same_ending: bool) -> None:
    """Match a member by a recording's id as a whole number in its name.

    The folders of the name count only if the file's own name has no id. A name with the ids of
    several recordings decides nothing, unless the size does; a name with the id of a recording of
    another listed size matches nothing. ``same_ending`` admits only a recording that was listed
    with the ending of this name.
    """
    base = basename(name)
    # Without its ending: the 3 of mp3 is not an id.
    for part in (base.rpartition(".")[0] or base, name[: len(name) - len(base)]):
        named = _named(db, part, number)
        sized = {recording for recording, found in named.items() if found.fits and found.is_sized}
        for choice in (set(named), sized):
            if len(choice) != 1:
                continue
            (recording,) = choice
            if named[recording].fits:
                if not same_ending or named[recording].ending == _ending(base):
                    _take(db, number, recording)
                return
        if len(named) == 1 and not same_ending:
            _leave(db, number)
        if named:
            return


@dataclass(frozen=True, slots=True)
class _Named:
    """A recording whose id is in a member's name: whether the member is the whole recording,
    whether the recording's size was listed, and the ending of its listed name.
    """

    fits: bool
    is_sized: bool
    ending: str


def _named(db: sqlite3.Connection, part: str, number: int) -> dict[str, _Named]:
    """Return the recordings whose ids are in a part of a member's name."""
    found = {}
    for candidate in dict.fromkeys(_NUMBER.findall(part)):
        row = db.execute(
            "SELECT id, is_whole(size, duration, members.bytes, format, seconds, fault, "
            "last_is_cut), size IS NOT NULL, recordings.name FROM recordings, members "
            "WHERE id = ? AND n = ? AND source IS NOT 'part'",
            (candidate, number),
        ).fetchone()
        if row:
            found[row[0]] = _Named(bool(row[1]), bool(row[2]), _ending(row[3] or ""))
    return found


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _leave(db: sqlite3.Connection, number: int) -> None:
    """Exclude a member from all matching: it has a recording's name, but not the recording's
    bytes.
    """
    db.execute("UPDATE members SET audio = FALSE WHERE n = ?", (number,))


def _take(db: sqlite3.Connection, number: int, recording: str) -> None:
    db.execute("UPDATE members SET recording = ? WHERE n = ?", (recording, number))
    db.execute(
        "UPDATE recordings SET (path, member, bytes, sha256, audio) = (SELECT path, name, "
        "members.bytes, members.sha256, format FROM members JOIN parts ON parts.n = part "
        "WHERE members.n = ?), source = 'part' WHERE id = ?",
        (number, recording),
    )


def _take_by_size(db: sqlite3.Connection) -> None:
    """Match members by a size that exactly one unmatched member and one unmatched recording
    have.
    """
    db.execute(
        "CREATE TEMP TABLE pairs AS "
        "SELECT one.n, other.id FROM (SELECT bytes, min(n) AS n FROM members "
        "  WHERE recording IS NULL AND audio AND bytes > 0 GROUP BY bytes HAVING count(*) = 1) one "
        "JOIN (SELECT size, min(id) AS id, max(path) AS path FROM recordings "
        "  WHERE source IS NOT 'part' GROUP BY size HAVING count(*) = 1) other "
        "ON other.size = one.bytes WHERE other.path IS NULL ORDER BY one.n"
    )
    last = 0
    while rows := db.execute(
        "SELECT n, id FROM pairs WHERE n > ? ORDER BY n LIMIT ?", (last, _SLICE)
    ).fetchall():
        for number, recording in rows:
            _take(db, number, recording)
        last = rows[-1][0]
    db.execute("DROP TABLE pairs")
