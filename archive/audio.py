"""Verification of a single audio file: that it is one, of the size that was listed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .errors import Damaged

Kind = Literal["mp3", "wav"]

_HEAD = 512
_NAMES = {"mp3": "an MP3 file", "wav": "a WAV file"}
_UNTOLD = ("", "application/octet-stream", "binary/octet-stream")


def kind(head: bytes) -> Kind | None:
    """What a file is by its first bytes (12 are enough): "mp3", "wav", or None for neither."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:3] == b"ID3" or _is_mpeg_frame(head[:4]):
        return "mp3"
    return None


def verify(path: Path, *, content_type: str, expected_bytes: int | None) -> Kind:
    """Verify a fetched audio file.

    Parameters: `path` of the file; `content_type` as the provider's answer had it (empty where
    it had none); `expected_bytes`, the size the provider listed, None where it listed none.
    Returns the kind of file. Raises Damaged, with a sentence that a person understands.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not size:
        raise Damaged(path.name, "is empty; fetch it again")
    found = kind(head)
    if found is None:
        raise Damaged(path.name, f"is not audio but {_description(head)}")
    _check_type(path.name, found, content_type)
    _check_size(path.name, size, expected_bytes)
    if found == "wav":
        _check_riff(path.name, size, head)
    return found


def _is_mpeg_frame(head: bytes) -> bool:
    """Whether an MPEG audio frame of layer III begins here, with a valid bit and sampling rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sampling_rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bit_rate not in (0, 15) and sampling_rate != 3


def _description(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML): probably an error page or a login page of the provider"
    if start.startswith(b"<"):
        return "an XML text: probably an error message of the provider"
    if start.startswith((b"{", b"[")):
        return "a JSON text: probably an error message of the provider"
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP archive"
    return "something else: it begins neither like MP3 nor like WAV"


def _check_type(name: str, found: Kind, content_type: str) -> None:
    told = content_type.partition(";")[0].strip().lower()
    if told not in _UNTOLD and not told.startswith("audio/"):
        raise Damaged(
            name, f"begins like {_NAMES[found]}, but the provider calls it {told!r}, not audio"
        )


def _check_size(name: str, size: int, expected_bytes: int | None) -> None:
    if expected_bytes is None or size == expected_bytes:
        return
    fault = "is cut" if size < expected_bytes else "is longer than it should be"
    raise Damaged(
        name, f"{fault}: {size} bytes where the provider lists {expected_bytes}; fetch it again"
    )


def _check_riff(name: str, size: int, head: bytes) -> None:
    """A WAV file tells its own size; 0 and the largest number are a recorder's "not known"."""
    told = int.from_bytes(head[4:8], "little")
    if told not in (0, 0xFFFFFFFF) and size < told + 8:
        raise Damaged(name, f"is cut: {size} bytes where it should have {told + 8}; fetch it again")
