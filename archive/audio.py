"""What counts as audio: a file whose own bytes are, whatever it is called and said to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from . import mpeg
from .errors import Damaged
from .records import (
    Adts,
    Aiff,
    Amr,
    Au,
    Boxes,
    Flac,
    Matroska,
    Ogg,
    Wave,
    adts_length,
)
from .sound import Sound, Walk

__all__ = ["ENDINGS", "Listener", "Sound", "description", "fault_of", "hear", "kind", "listed", "may_be_sound", "verify"]

#: The endings of audio files, which are the formats that are known.
ENDINGS = ("mp3", "wav", "ogg", "flac", "aac", "m4a", "amr", "au", "aiff", "webm")

#: So many bytes, tags left out, decide what a file is.
HEAD = 64 * 1024
_PIECE = 1024 * 1024
#: How far the sound may be shorter than was listed, in seconds and as a share; one second more
#: where whole seconds are listed, since they are rounded up. A file that ends within a frame was
#: cut somewhere: it must be as long as was listed, but for that frame.
_SHORTER_SECONDS, _SHORTER_SHARE = 0.5, 0.05
_ROUNDED_SECONDS = 1.0
_LAST_FRAME_SECONDS = 0.15


class Listener:
    """Hears what a file is while its bytes pass by, in memory that does not grow.

    ``whole`` walks it to its end; else its beginning decides, which costs nothing.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._head = bytearray()
        self._skip = self._size = self._start = 0
        #: Whether the beginning has come, which is all that counts unless it is walked whole.
        self.decided = False
        self._walk: Walk | None = None

    def feed(self, piece: bytes) -> None:
        """The bytes that follow."""
        self._size += len(piece)
        taken = 0 if self.decided else self._beginning(piece)
        if self._whole and self._walk is not None and taken < len(piece):
            self._walk.feed(piece[taken:])

    def _beginning(self, piece: bytes) -> int:
        """Take what the beginning still lacks of a piece; how many of its bytes that was."""
        taken = 0
        while taken < len(piece) and not self.decided:
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
        """What it is, now that it has ended; None where it is no audio."""
        if not self.decided:
            self._decide(at_end=True)
        if self._walk is None:
            return None
        if not self._whole:
            return Sound(self._walk.format)
        return self._walk.sound(self._size - self._start)

    def _pass_tags(self) -> None:
        """Pass over the tags (ID3v2) in front of the sound; there may be several."""
        while length := _tag_length(self._head):
            self._start += length
            self._skip = max(0, length - len(self._head))
            del self._head[:length]

    def _decide(self, *, at_end: bool) -> None:
        head = bytes(self._head)
        self._head.clear()
        self.decided = True
        self._walk = _walk(head, at_end=at_end)
        if self._walk is not None and (self._whole or not self._walk.begun):
            self._walk.feed(head)
            if not self._walk.begun:
                self._walk = None


def hear(
    file: BinaryIO, *, whole: bool, on_bytes: Callable[[int], None] | None = None
) -> Sound | None:
    """What an open file is, read from its beginning; None where it is no audio. Without ``whole``
    its beginning alone is read (one with large tags as far as they go).
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
    """The format of a file by its beginning, 64 KiB or all of it; None where it is no audio."""
    listener = Listener(whole=False)
    listener.feed(head)
    found = listener.sound()
    return None if found is None else found.format


def verify(
    path: Path,
    *,
    content_type: str,
    expected_bytes: int | None,
    expected_ms: int | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> str:
    """Verify a fetched audio file by its bytes.

    Parameters: `path` of the file; `content_type` as the provider's answer had it, which only helps
    to say what a file is that is no audio; `expected_bytes` and `expected_ms`, the size and the
    duration that the provider listed, None where it listed none; `on_bytes`, told the number of
    bytes after every piece (1 MiB at most).
    Returns the format, the ending of its name. Raises Damaged, with a sentence for people.
    """
    size = path.stat().st_size
    if not size:
        raise Damaged(path.name, "is empty; fetch it again")
    with path.open("rb") as file:
        found = hear(file, whole=size != expected_bytes, on_bytes=on_bytes)
        if found is None:
            file.seek(0)
            raise Damaged(path.name, f"is not audio but {description(file.read(HEAD), content_type)}")
    fault = fault_of(found, size, expected_bytes=expected_bytes, expected_ms=expected_ms)
    if fault:
        raise Damaged(path.name, f"{fault}; fetch it again")
    return found.format


def fault_of(
    sound: Sound, size: int, *, expected_bytes: int | None, expected_ms: int | None
) -> str | None:
    """Why audio of ``size`` bytes is not the whole recording that was listed with this size and
    this duration in milliseconds; None where it is.

    A size that was listed, and is its own, is enough. Without one what the file tells of itself and
    the duration count, and a file that ends within a frame is cut unless the duration vouches for
    its end.
    """
    if expected_bytes:
        if size == expected_bytes:
            return None
        fault = "is cut" if size < expected_bytes else "is longer than it should be"
        return f"{fault}: {size} bytes where the provider lists {expected_bytes}"
    shortfall = None
    if expected_ms and sound.seconds is not None:
        shortfall = expected_ms / 1000 - sound.seconds
    if sound.fault:
        return f"{sound.fault} ({_length(sound, expected_ms)})"
    if sound.last_is_cut and (shortfall is None or shortfall > _LAST_FRAME_SECONDS):
        return f"is cut within its last frame ({_length(sound, expected_ms)})"
    if shortfall is not None and expected_ms and shortfall > _tolerance(expected_ms):
        return f"is cut: {_length(sound, expected_ms)}"
    return None


def listed(number: object) -> int | None:
    """A size or a duration as it was listed; None where it is not known, which 0 says too."""
    return number if isinstance(number, int) and number > 0 else None


def _tolerance(expected_ms: int) -> float:
    shorter = max(_SHORTER_SECONDS, _SHORTER_SHARE * expected_ms / 1000)
    return shorter + (_ROUNDED_SECONDS if expected_ms % 1000 == 0 else 0.0)


def _length(sound: Sound, expected_ms: int | None) -> str:
    name = sound.format.upper()
    if sound.seconds is None:
        return name
    listed = f" of the listed {expected_ms / 1000:.1f} s" if expected_ms else ""
    return f"{name}, {sound.seconds:.1f} s{listed}"


def description(head: bytes, content_type: str = "") -> str:
    """What bytes are that are no audio, in words, as far as their beginning tells."""
    said = content_type.partition(";")[0].strip().lower()
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\0").lower()
    for beginnings, shown in _OTHERS:
        if start.startswith(beginnings):
            return shown
    if mpeg.begins(head):
        return "4 bytes as an MP3 file begins, and no frames behind them"
    if not said or said.startswith("audio/") or said in _UNTOLD:
        return f"something else: it begins {_UNLIKE}"
    return f"something else: it begins {_UNLIKE}, and the provider calls it {said!r}"


_UNTOLD = ("application/octet-stream", "binary/octet-stream")
_UNLIKE = "neither like MP3 nor like WAV nor like another format of audio that is known here"
_OTHERS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    (
        (b"<!doctype html", b"<html"),
        "a web page (HTML): probably an error page or a login page of the provider",
    ),
    ((b"<",), "an XML text: probably an error message of the provider"),
    ((b"{", b"["), "a JSON text: probably an error message of the provider"),
    ((b"webvtt",), "a transcript (WebVTT)"),
    ((b"%pdf-",), "a PDF document"),
    ((b"pk\x03\x04",), "a ZIP archive"),
    ((b"id3",), "a tag (ID3) and no sound behind it"),
)


def may_be_sound(head: bytes) -> bool:
    """Whether bytes that are no audio known here could be a recording all the same: neither nothing
    or zeros nor a page of the provider's (HTML, XML, JSON).
    """
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    # Bare samples may begin with any byte, but are no text.
    is_text = not start.translate(None, bytes(range(32, 256)) + b"\t\r\n")
    return bool(head.strip(b"\0")) and not (is_text and start.startswith((b"<", b"{", b"[")))


def _tag_length(head: bytearray) -> int:
    if len(head) < 10 or not head.startswith(b"ID3") or head[3] == 0xFF or head[4] == 0xFF:
        return 0
    if any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _walk(head: bytes, *, at_end: bool) -> Walk | None:
    """The walk over a file that begins so."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return Wave(head[:4])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Aiff()
    if head[4:8] == b"ftyp":
        return Boxes()
    if head.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return Amr(head)
    if head.startswith((b".snd", b"dns.")):
        return Au(head)
    if head.startswith(b"OggS"):
        return Ogg()
    if head.startswith(b"fLaC"):
        return Flac()
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Matroska()
    if adts_length(head):
        return Adts()
    return mpeg.find(head, whole=at_end)
