"""Detection of a file's format, by its own bytes alone, while they pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

from . import mpeg
from .containers import ASF, Asf, Au, Boxes, Caf, Flac, Matroska, Ogg
from .frames import Adts, Amr, Gsm, adts_length, is_gsm
from .properties import Sound, Walk
from .riff import Aiff, Wave

#: The endings of audio files, which are also the names of the known formats.
ENDINGS = (
    *("mp3", "wav", "ogg", "flac", "aac", "m4a", "amr", "gsm", "au", "aiff", "caf", "wma", "webm"),
)
#: The number of bytes, without tags, that decide the format of a file.
HEAD = 64 * 1024

_PIECE = 1024 * 1024
#: Bytes that a server or a recorder may put before a file by mistake: zeros, a line end, a mark of
#: UTF-8.
_IN_FRONT = b"\0 \t\r\n\xef\xbb\xbf"
#: The beginnings of archives, documents and films, which may also hold sound.
_OTHER_KINDS = (
    *(
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x07\x08",
        b"Rar!\x1a\x07",
        b"7z\xbc\xaf\x27\x1c",
        b"\x1f\x8b",
    ),
    *(b"\xfd7zXZ\0", b"BZh", b"MSCF", b"%PDF-", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"MZ", b"\x7fELF"),
    *(b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01", b"FWS", b"CWS", b"SQLite format 3\0"),
    *(b"BM", b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"From ", b"070701"),
)
#: A box of MP4 begins with zeros itself: so many of them may be its own.
_OWN_ZEROS = 3
_MPEG = Sound(mpeg.MpegWalk.format)


class Listener:
    """Detects a file's format while its bytes pass by, in constant memory.

    ``whole`` walks the file to its end; otherwise its beginning decides, which costs nothing.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._head = bytearray()
        self._skip = self._size = self._start = 0
        #: Whether enough bytes have arrived to know the format, which is all that counts unless the
        #: file is walked whole.
        self.decided = self._is_mpeg = False
        self._walk: Walk | None = None

    def feed(self, piece: bytes) -> None:
        """Read the following bytes."""
        self._size += len(piece)
        if not self.decided and self._size == len(piece) and not self._whole:
            # Most recordings show their format in their first bytes, at hardly any cost.
            self.decided = self._is_mpeg = mpeg.runs_from(piece, _tags_length(piece))
        taken = 0 if self.decided or self._walk is not None else self._beginning(piece)
        if self._walk is not None and taken < len(piece) and not (self.decided and not self._whole):
            self._walk.feed(piece[taken:])
            self.decided = self.decided or not self._walk.may_begin

    def _beginning(self, piece: bytes) -> int:
        """Take the bytes that the beginning still lacks from a piece; return their number."""
        taken = 0
        while taken < len(piece) and not self.decided and self._walk is None:
            passed = min(self._skip, len(piece) - taken)
            start = taken + passed
            taken = min(start + HEAD - len(self._head), len(piece))
            self._skip -= passed
            self._head += piece[start:taken]
            self._pass_tags()
            if len(self._head) >= HEAD:
                self._decide(at_end=False)
        return taken

    def sound(self) -> Sound | None:
        """Return the sound, after the file has ended; None if the file is not audio."""
        if not self.decided and self._walk is None:
            self._decide(at_end=True)
        if self._is_mpeg:
            return _MPEG
        if self._walk is None or not self._walk.begun:
            return None
        if not self._whole:
            return Sound(self._walk.format)
        return self._walk.sound(self._size - self._start)

    def _pass_tags(self) -> None:
        """Pass over the tags (ID3v2) before the sound, of which there may be several, and over
        zeros that fill the whole beginning.
        """
        while length := _tag_length(self._head) or _zeros_length(self._head):
            self._start += length
            self._skip = max(0, length - len(self._head))
            del self._head[:length]

    def _decide(self, *, at_end: bool) -> None:
        head = bytes(self._head)
        self._head.clear()
        for start in _starts(head):
            self._walk = _walk(head[start:])
            if self._walk is not None:
                head = head[start:]
                self._start += start
                break
        else:
            self._walk = None if _is_other(head) else mpeg.find(head, whole=at_end)
        if self._walk is not None and (self._whole or not self._walk.begun):
            self._walk.feed(head)
        # Large chunks may precede the one that identifies the format.
        self.decided = self._walk is None or not self._walk.may_begin


def hear(
    file: BinaryIO, *, whole: bool, on_bytes: Callable[[int], None] | None = None
) -> Sound | None:
    """Return the sound of an open file, read from its beginning; None if the file is not audio.
    Without ``whole`` only the beginning is read (with large tags, up to their end).
    """
    listener = Listener(whole=whole)
    file.seek(0)
    while piece := file.read(_PIECE if whole else HEAD):
        listener.feed(piece)
        if on_bytes:
            on_bytes(len(piece))
        if not whole and listener.decided:
            break
    return listener.sound()


def kind(head: bytes) -> str | None:
    """Return the format of a file by its beginning, 64 KiB or the whole file; None if it is not
    audio.
    """
    listener = Listener(whole=False)
    listener.feed(head)
    found = listener.sound()
    return None if found is None else found.format


def _tags_length(piece: bytes) -> int:
    at = 0
    while length := _tag_length(piece[at : at + 10]):
        at += length
    return at


def _tag_length(head: bytes | bytearray) -> int:
    if len(head) < 10 or not head.startswith(b"ID3") or head[3] == 0xFF or head[4] == 0xFF:
        return 0
    if any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _zeros_length(head: bytes | bytearray) -> int:
    """Return how many zeros of an all-zero beginning belong to no file."""
    return len(head) - _OWN_ZEROS if len(head) >= HEAD and not head.strip(b"\0") else 0


def _starts(head: bytes) -> Iterable[int]:
    """Return the positions in the beginning at which a file of another format than MPEG may
    start.
    """
    front = len(head) - len(head.lstrip(_IN_FRONT))
    return dict.fromkeys((0, front, max(0, front - _OWN_ZEROS)))


def _is_other(head: bytes) -> bool:
    """Return whether a file is plainly of another kind, so that frames of MPEG inside do not
    count.
    """
    is_tar = head[257:262] == b"ustar"
    is_film = head.startswith((b"RIFF", b"RIFX", b"FORM")) and head[8:12] != b"RMP3"
    return is_tar or is_film or head.startswith(_OTHER_KINDS)


def _walk(head: bytes) -> Walk | None:
    """Return the walk over a file with this beginning, except for MPEG."""
    if head[8:12] in _FORMS.get(head[:4], ()):
        return Aiff() if head.startswith(b"FORM") else Wave(head[:4])
    if head[4:8] == b"ftyp":
        return Boxes()
    for magic, opened in _MAGIC:
        if head.startswith(magic):
            return opened(head)
    if adts_length(head):
        return Adts()
    if is_gsm(head):
        return Gsm()
    return None


#: Formats of chunks, by the file's first four bytes and those that name the chunks' content.
_FORMS: dict[bytes, tuple[bytes, ...]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64"), (b"WAVE",)),
    b"FORM": (b"AIFF", b"AIFC"),
}
_MAGIC: tuple[tuple[tuple[bytes, ...], Callable[[bytes], Walk]], ...] = (
    ((b"#!AMR\n", b"#!AMR-WB\n"), Amr),
    ((b".snd", b"dns."), Au),
    ((b"OggS",), lambda _: Ogg()),
    ((b"fLaC",), lambda _: Flac()),
    ((b"\x1a\x45\xdf\xa3",), lambda _: Matroska()),
    ((b"caff\0\1",), lambda _: Caf()),
    ((ASF,), lambda _: Asf()),
)
