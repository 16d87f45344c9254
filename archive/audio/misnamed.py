"""Files that are not audio but are named as recordings, because older releases trusted their
names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from archive import paths
from archive.documents import recordings_list
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError
from archive.problem import quoted
from archive.store.directory import Store

from .acceptance import description
from .detection import Listener

_MOST_NAMED = 5
#: The bytes by which a file that is no audio is described.
_DESCRIBED = 512


def in_zip(store: Store, path: str, silent: Collection[bytes]) -> Iterator[str]:
    """Yield the faults of the lists of a ZIP's day that name members as recordings although they
    are not audio. ``silent`` are the SHA-256 (bytes) of such members. Lists of later generations
    count too.
    """
    if not silent:
        return
    found = 0
    day = path.rpartition("/")[0].rpartition("/")[0]
    for recordings in store.paths(f"{day}/", unlisted=True):
        if paths.kind_of(recordings) != "recordings":
            continue
        for recording, member in _named(store, recordings, path, silent):
            found += 1
            if found <= _MOST_NAMED:
                listed = f"{recordings} lists as recording {recording}"
                yield f"holds {quoted(member)}, which {listed} but which is not audio"
    if found > _MOST_NAMED:
        yield f"holds {found} listed recordings that are not audio; the others are not named here"


def _named(
    store: Store, recordings: str, path: str, silent: Collection[bytes]
) -> Iterator[tuple[str, str]]:
    """Yield the recordings that a list places in such a member. Lines that cannot be read are left
    out: the list's own inspection reports them.
    """
    with suppress(ArchiveError, OSError):
        for data in recordings_list.raw_lines(store, recordings):
            with suppress(ValueError, KeyError, TypeError):
                line = Line.parse(data or b"")
                if line.path == path and bytes.fromhex(line.sha256) in silent:
                    yield line.shown_id, str(line.member)


class Heard:
    """A single recording's file, heard as far as its beginning decides while its bytes pass by."""

    def __init__(self) -> None:
        self._listener = Listener(whole=False)
        self._head = b""

    def feed(self, piece: bytes) -> None:
        """Read the following bytes."""
        if len(self._head) < _DESCRIBED:
            self._head += piece[: _DESCRIBED - len(self._head)]
        if not self._listener.decided:
            self._listener.feed(piece)

    def fault(self) -> str | None:
        """Return the file's fault after its last byte, or None if it is audio."""
        if self._listener.sound() is not None:
            return None
        return f"is archived as a recording but is not audio: it is {description(self._head)}"
