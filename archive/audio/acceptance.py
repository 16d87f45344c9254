"""Acceptance of audio: a file counts if its own bytes are audio, under any name or content type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from archive.errors import Damaged
from config.masking import mask_message

from . import mpeg
from .detection import HEAD, hear
from .properties import Sound

#: How far the sound may be shorter than was listed, in seconds and as a share. If whole seconds are
#: listed, one second more is allowed, since they are rounded up. A file that ends within a frame
#: was cut somewhere: it must be as long as was listed, except for that frame.
_SHORTER_SECONDS, _SHORTER_SHARE = 0.5, 0.05
_ROUNDED_SECONDS = 1.0
_LAST_FRAME_SECONDS = 0.15
#: The most letters of a content type that a message shows.
_MOST_NAMED = 60


def verify(
    path: Path,
    *,
    content_type: str,
    expected_bytes: int | None,
    expected_ms: int | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> str:
    """Verify a fetched audio file by its bytes.

    Parameters: `path` of the file; `content_type` of the provider's answer, used only to describe a
    file that is not audio; `expected_bytes` and `expected_ms`, the size and the duration that the
    provider listed, None if it listed none; `on_bytes`, called with the number of bytes after every
    piece (1 MiB at most). Returns the format, the ending of its name. Raises Damaged, with a
    sentence for people.
    """
    size = path.stat().st_size
    if not size:
        raise Damaged(path.name, "is empty; fetch it again")
    with path.open("rb") as file:
        found = hear(file, whole=not expected_bytes, on_bytes=on_bytes)
        if found is None:
            file.seek(0)
            shown = description(file.read(HEAD), content_type)
            raise Damaged(path.name, f"is not audio but {shown}")
    fault = fault_of(found, size, expected_bytes=expected_bytes, expected_ms=expected_ms)
    if fault:
        raise Damaged(path.name, f"{fault}; fetch it again")
    return found.format


def fault_of(
    sound: Sound, size: int, *, expected_bytes: int | None, expected_ms: int | None
) -> str | None:
    """Return why audio of ``size`` bytes is not the whole recording that was listed with this size
    and this duration in milliseconds, or None if it is.

    A listed size that the file has is enough. Without one the file's own header and the duration
    count: a fault, or an end within a frame, means that the file is cut, unless it lasts as long as
    was listed.
    """
    if expected_bytes:
        if size == expected_bytes:
            return None
        fault = "is cut" if size < expected_bytes else "is longer than listed"
        return f"{fault}: {size} bytes where the provider lists {expected_bytes}"
    shortfall = None
    if expected_ms and sound.seconds is not None:
        shortfall = expected_ms / 1000 - sound.seconds
    is_vouched = shortfall is not None and -_ROUNDED_SECONDS <= shortfall <= _LAST_FRAME_SECONDS
    if sound.fault and not is_vouched:
        return f"{sound.fault} ({_length(sound, expected_ms)})"
    if sound.last_is_cut and not is_vouched:
        return f"is cut within its last frame ({_length(sound, expected_ms)})"
    if shortfall is not None and expected_ms and shortfall > _tolerance(expected_ms):
        return f"is cut: {_length(sound, expected_ms)}"
    return None


def listed(number: object) -> int | None:
    """Return a listed size or duration, or None if it is unknown (None or 0)."""
    return number if type(number) is int and number > 0 else None


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
    """Return a description of bytes that are not audio, as far as their beginning shows."""
    named = content_type.partition(";")[0].strip().lower()
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\0").lower()
    for beginnings, shown in _OTHERS:
        if start.startswith(beginnings):
            return shown
    if mpeg.begins(head):
        return "4 bytes like those of an MP3 header, with no frames after them"
    if not named or named.startswith("audio/") or named in _OF_ANYTHING:
        return f"an unknown format: it begins {_UNLIKE}"
    named = mask_message(named)[:_MOST_NAMED]
    return f"an unknown format: it begins {_UNLIKE}, and the provider calls it {named!r}"


_CONTROL = bytes({*range(32), 0x7F} - {*b"\t\r\n\f"})
_OF_ANYTHING = ("application/octet-stream", "binary/octet-stream")
_UNLIKE = "neither like MP3 nor like WAV nor like any other known audio format"
_OTHERS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    (
        (b"<!doctype html", b"<html"),
        "a web page (HTML): probably the provider's error page or login page",
    ),
    ((b"<",), "an XML text: probably an error message from the provider"),
    ((b"{", b"["), "a JSON text: probably an error message from the provider"),
    ((b"webvtt",), "a transcript (WebVTT)"),
    ((b"%pdf-",), "a PDF document"),
    ((b"pk\x03\x04",), "a ZIP archive"),
    ((b"id3",), "an ID3 tag with no sound after it"),
)


def may_be_sound(head: bytes) -> bool:
    """Return whether bytes of an unknown format could still be a recording: they are
    not empty, not zeros, and not a page of the provider's (HTML, XML, JSON).
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64]
    # Bare samples may begin with any byte, but do not continue as a text does.
    beyond_ascii = sum(byte > 0x7F for byte in start)
    is_text = start.translate(None, _CONTROL) == start and 2 * beyond_ascii < len(start)
    return bool(head.strip(b"\0")) and not (is_text and start.startswith((b"<", b"{", b"[")))
