"""Which member of a ZIP is which of the listed recordings.

Nothing public tells how the provider names its members, so three ways are tried, the surest first.
They work on the tables of `reconciliation`, in slices, so that memory stays flat.
"""

from __future__ import annotations

import posixpath
import re
import sqlite3
from collections.abc import Iterator

_SLICE = 1000
_NUMBER = re.compile(r"[0-9]+")
_NEVER_AUDIO = {"csv", "htm", "html", "json", "md", "pdf", "txt", "xls", "xlsx", "xml"}


def basename(name: str) -> str:
    """The last component of a member's or a recording's name, whichever slash it was made with."""
    return posixpath.basename(name.replace("\\", "/"))


def may_be_audio(name: str) -> bool:
    """Whether a member of this name may be a recording; an index or a page beside them is not."""
    return basename(name).rpartition(".")[2].lower() not in _NEVER_AUDIO


def match(db: sqlite3.Connection) -> None:
    """Match every member to at most one recording, and each recording to at most one member.

    What a recording was listed with counts whichever way it is found: a member of another size is
    not it, but cut or a page of errors.
    """
    for number, name, size in _unmatched(db, audio=False):
        _take_by_name(db, number, name, size)
    for number, name, size in _unmatched(db, audio=True):
        _take_by_number(db, number, name, size)
    _take_by_size(db)


def _unmatched(db: sqlite3.Connection, *, audio: bool) -> Iterator[tuple[int, str, int]]:
    """The unmatched members, all of them or those that may be audio.

    In slices that are read whole: a cursor must not see the updates made on its way.
    """
    last = 0
    while rows := db.execute(
        "SELECT n, name, bytes FROM members WHERE recording IS NULL AND n > ? AND audio >= ? "
        "ORDER BY n LIMIT ?",
        (last, audio, _SLICE),
    ).fetchall():
        yield from rows
        last = rows[-1][0]


def _take_by_name(db: sqlite3.Connection, number: int, name: str, size: int) -> None:
    # Of several recordings listed under one name, the one of this size and without a place.
    found = db.execute(
        "SELECT id, ifnull(size, ?) = ? AS fits FROM recordings WHERE name = ? "
        "AND source IS NOT 'part' ORDER BY NOT fits, path IS NOT NULL, size IS NULL, start, id "
        "LIMIT 1",
        (size, size, basename(name)),
    ).fetchone()
    if found and found[1]:
        _take(db, number, found[0])
    elif found:
        _leave(db, number)


def _take_by_number(db: sqlite3.Connection, number: int, name: str, size: int) -> None:
    """By the id as a whole number in the name, the folders only where the file's own name has
    none. A name with the ids of several recordings decides nothing, unless the size does; one of
    another size than was listed is nobody's.
    """
    base = basename(name)
    # Without its ending: the 3 of mp3 is no id.
    for part in (base.rpartition(".")[0] or base, name[: len(name) - len(base)]):
        named = _named(db, part)
        fitting = [recording for recording, listed in named.items() if listed == size]
        for choice in (list(named), fitting):
            if len(choice) == 1 and named[choice[0]] in (None, size):
                _take(db, number, choice[0])
                return
        if len(named) == 1:
            _leave(db, number)
        if named:
            return


def _named(db: sqlite3.Connection, part: str) -> dict[str, int | None]:
    """The recordings, and their listed sizes, whose ids stand in a part of a member's name."""
    found = {}
    for candidate in dict.fromkeys(_NUMBER.findall(part)):
        row = db.execute(
            "SELECT id, size FROM recordings WHERE id = ? AND source IS NOT 'part'", (candidate,)
        ).fetchone()
        if row:
            found[row[0]] = row[1]
    return found


def _leave(db: sqlite3.Connection, number: int) -> None:
    """It has a recording's name and not its bytes: it is none, and no other way makes it one."""
    db.execute("UPDATE members SET audio = FALSE WHERE n = ?", (number,))


def _take(db: sqlite3.Connection, number: int, recording: str) -> None:
    db.execute("UPDATE members SET recording = ? WHERE n = ?", (recording, number))
    db.execute(
        "UPDATE recordings SET (path, member, bytes, sha256) = (SELECT path, name, "
        "members.bytes, members.sha256 FROM members JOIN parts ON parts.n = part "
        "WHERE members.n = ?), source = 'part' WHERE id = ?",
        (number, recording),
    )


def _take_by_size(db: sqlite3.Connection) -> None:
    """By a size that one unmatched member and one unmatched recording have, and no other."""
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
