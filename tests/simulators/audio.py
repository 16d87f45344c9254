"""Audio of recordings: real MP3 files of a few kilobytes, each made unique by an ID3v2 tag, and WAV
files of noise.

A recording that shall be larger goes on with noise that cannot be compressed. Every byte is a
function of the recording's id and size, so that nothing is kept and any range can be read.
"""

from __future__ import annotations

import hashlib
import random
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples" / "audio"
NOISE_BLOCK = 1 << 20
MOST_PADDING = 1000
SMALLEST = 200


@cache
def samples() -> list[bytes]:
    """The committed MP3 files, in the order of their names."""
    return [path.read_bytes() for path in sorted(SAMPLES.glob("*.mp3"))]


@dataclass(frozen=True)
class Audio:
    """The file of one recording: `size` bytes that begin with an ID3v2 tag and MPEG frames."""

    number: int
    size: int

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from start up to stop, in pieces of at most a mebibyte."""
        stop = min(stop, self.size)
        head = _head(self.number, self.size)
        if start < min(stop, len(head)):
            yield head[start:stop]
        at = max(start, len(head))
        while at < stop:
            block, inside = divmod(at - len(head), NOISE_BLOCK)
            piece = _noise(self.number, block)[inside : inside + stop - at]
            yield piece
            at += len(piece)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.read(0, self.size):
            digest.update(piece)
        return digest.hexdigest()


def invented(number: int, size_bytes: int | None = None) -> Audio:
    """The audio of recording `number`: of its natural size, or of exactly the size given."""
    if size_bytes is None:
        padding = random.Random(number).randrange(MOST_PADDING)
        return Audio(number, len(_tag(number, padding)) + len(_sample(number)))
    if size_bytes < SMALLEST:
        raise ValueError(f"a recording has at least {SMALLEST} bytes, not {size_bytes}")
    return Audio(number, size_bytes)


def wave_file(number: int) -> bytes:
    """The WAV file of recording `number`: half a second of noise that no other is like."""
    target = BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(random.Random(number).randbytes(8000))
    return target.getvalue()


def _head(number: int, size: int) -> bytes:
    """Tag and sample, the tag padded so that small files come out at their size."""
    plain = len(_tag(number, 0)) + len(_sample(number))
    padding = size - plain if 0 <= size - plain < MOST_PADDING else 0
    return (_tag(number, padding) + _sample(number))[:size]


def _sample(number: int) -> bytes:
    return samples()[number % len(samples())]


def _tag(number: int, padding: int) -> bytes:
    text = b"\0" + f"Simulated recording {number}".encode("latin-1")
    frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
    length = len(frame) + padding
    synchsafe = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + synchsafe + frame + b"\0" * padding


def _noise(number: int, block: int) -> bytes:
    return random.Random(number << 32 | block).randbytes(NOISE_BLOCK)
