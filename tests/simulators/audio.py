"""Audio of recordings: real MP3 files of a few kilobytes, each made unique by an ID3v2 tag, and WAV
files of noise.

A recording that shall be larger continues with frames of noise that cannot be compressed, one that
shall be smaller has fewer frames. Every byte is a function of the recording's id and size, so that
nothing is kept and any range can be read.
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
NOISE_FRAMES = 256
MOST_PADDING = 1000
SMALLEST = 200


#: Files that are no recordings, whatever they are called and served as.
PRETENDERS: dict[str, bytes] = {
    "webvtt": b"WEBVTT\n\n00:00.000 --> 00:02.000\nGood morning\n",
    "srt": b"1\n00:00:00,000 --> 00:00:02,000\nGood morning\n",
    "json": b'{"transcript": "Good morning"}',
    "txt": b"Good morning\n",
    "csv": b"speaker;text\nA;Good morning\n",
    "html": b"<!DOCTYPE html><html><body>Please sign in</body></html>",
    "xml": b'<?xml version="1.0"?><transcript/>',
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "empty": b"",
    "zeros": bytes(5000),
    "sync_and_zeros": b"\xff\xfb\x90\x64" + bytes(5000),
    "tag_alone": b"ID3\x03\0\0\0\0\0\x0a" + bytes(10),
    "apple_double": b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(100),
}


@cache
def samples() -> list[bytes]:
    """The committed MP3 files, in the order of their names."""
    return [path.read_bytes() for path in sorted(SAMPLES.glob("*.mp3"))]


@dataclass(frozen=True)
class Frames:
    """How the frames of a sample look: the bytes of one, its milliseconds, and the header and bytes
    of a frame of noise that fits to them.
    """

    bytes: int
    milliseconds: int
    noise_header: bytes
    noise_bytes: int


#: By the second byte of a sample: MPEG 2.5 with 8 kHz and MPEG 2 with 16 kHz, layer III.
FRAMES = {
    0xE3: Frames(144, 72, b"\xff\xe3\xe8\xc4", 1440),
    0xF3: Frames(108, 36, b"\xff\xf3\xe8\xc4", 720),
}


@dataclass(frozen=True)
class Audio:
    """The file of one recording: `size` bytes, an ID3v2 tag and whole MPEG frames."""

    number: int
    size: int

    @property
    def milliseconds(self) -> int:
        """How long it lasts."""
        frames = _frames(self.number)
        held, noise, _ = _shape(self.number, self.size)
        return (held + noise) * frames.milliseconds

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from start up to stop, in pieces of at most a mebibyte."""
        stop = min(stop, self.size)
        head, block_bytes = _head(self.number, self.size), _block_bytes(self.number)
        if start < min(stop, len(head)):
            yield head[start:stop]
        at = max(start, len(head))
        while at < stop:
            block, inside = divmod(at - len(head), block_bytes)
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


def _shape(number: int, size: int) -> tuple[int, int, int]:
    """Frames of the sample, frames of noise behind them, and what the tag is padded with."""
    frames = _frames(number)
    room = size - len(_tag(number, 0))
    held = min(room, len(_sample(number))) // frames.bytes
    noise, padding = 0, room - held * frames.bytes
    if held * frames.bytes == len(_sample(number)):
        noise, padding = divmod(padding, frames.noise_bytes)
    return held, noise, padding


def _head(number: int, size: int) -> bytes:
    """Tag and sample, the tag padded so that the file comes out at its size."""
    held, _, padding = _shape(number, size)
    return _tag(number, padding) + _sample(number)[: held * _frames(number).bytes]


def _frames(number: int) -> Frames:
    return FRAMES[_sample(number)[1]]


def _block_bytes(number: int) -> int:
    return NOISE_FRAMES * _frames(number).noise_bytes


def _sample(number: int) -> bytes:
    return samples()[number % len(samples())]


def _tag(number: int, padding: int) -> bytes:
    text = b"\0" + f"Simulated recording {number}".encode("latin-1")
    frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
    length = len(frame) + padding
    synchsafe = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + synchsafe + frame + b"\0" * padding


def _noise(number: int, block: int) -> bytes:
    frames = _frames(number)
    noise = bytearray(random.Random(number << 32 | block).randbytes(_block_bytes(number)))
    for start in range(0, len(noise), frames.noise_bytes):
        noise[start : start + len(frames.noise_header)] = frames.noise_header
    return bytes(noise)
