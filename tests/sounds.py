"""Files of every format of audio, made as recorders make them, and files that only begin so."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

SAMPLES = Path(__file__).parent / "samples" / "audio"


def mp3() -> bytes:
    """A real MP3 file of 1.656 s."""
    return (SAMPLES / "busy.mp3").read_bytes()


def frames(header: bytes, length: int, count: int = 20) -> bytes:
    """MPEG frames of zeros with this header."""
    return (header + bytes(length - len(header))) * count


def xing(count: int, *, counted: int | None = None, name: bytes = b"Xing") -> bytes:
    """An MP3 file of so many frames behind a header frame that counts as many, or others."""
    head = b"\xff\xfb\x90\x64" + bytes(32) + name + struct.pack(">2L", 1, counted or count)
    return head.ljust(417, b"\0") + frames(b"\xff\xfb\x90\x64", 417, count)


def vbri(count: int) -> bytes:
    """The same with Fraunhofer's header."""
    head = b"\xff\xfb\x90\x64" + bytes(32) + b"VBRI" + bytes(10) + struct.pack(">L", count)
    return head.ljust(417, b"\0") + frames(b"\xff\xfb\x90\x64", 417, count)


def tag(size: int, *, footer: bool = False) -> bytes:
    """An ID3v2 tag."""
    synchsafe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    head = b"ID3\x04\0" + (b"\x10" if footer else b"\0") + synchsafe
    return head + bytes(size) + (b"3DI" + head[3:] if footer else b"")


def wav(seconds: int = 1) -> bytes:
    """A silent WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000 * seconds))
    return target.getvalue()


def wav_of(riff: int, data: int) -> bytes:
    """The same with these sizes, as recorders write them that do not know them."""
    whole = wav()
    return whole[:4] + struct.pack("<L", riff) + whole[8:40] + struct.pack("<L", data) + whole[44:]


def wav_with(tag_number: int, rate: int, *, order: str = "<", kind: bytes = b"RIFF") -> bytes:
    """A WAV file of another codec, byte order or size of sizes, half a second long."""
    sound = bytes(rate // 2)
    description = struct.pack(order + "HHLLHHH", tag_number, 1, 8000, rate, 1, 8, 0)
    chunks = b"fmt " + struct.pack(order + "L", len(description)) + description
    told = len(sound)
    if kind in (b"RF64", b"BW64"):
        large = struct.pack("<QQQL", 4 + len(chunks) + len(sound), len(sound), len(sound), 0)
        chunks = b"ds64" + struct.pack("<L", len(large)) + large + chunks
        told = 0xFFFFFFFF
    chunks += b"LIST" + struct.pack(order + "L", 4) + b"INFO"
    chunks += b"data" + struct.pack(order + "L", told) + sound
    size = 0xFFFFFFFF if told == 0xFFFFFFFF else 4 + len(chunks)
    return kind + struct.pack(order + "L", size) + b"WAVE" + chunks


def wav_behind(*chunks: tuple[bytes, bytes], described: int = 0) -> bytes:
    """A WAV file with chunks before its sound, ``described`` of them before its description."""
    whole = wav()
    written = [name + struct.pack("<L", len(held)) + held for name, held in chunks]
    written.insert(described, whole[12:36])
    inside = b"WAVE" + b"".join(written) + whole[36:]
    return b"RIFF" + struct.pack("<L", len(inside)) + inside


def ogg(first: bytes = b"OpusHead\x01\x01", pages: int = 3) -> bytes:
    """Ogg pages; the first one names the codec."""
    written = []
    for number in range(pages + 1):
        packet = first.ljust(60, b"\0") if number == 0 else bytes(200)
        flags = 2 if number == 0 else 4 if number == pages else 0
        head = b"OggS\0" + bytes([flags]) + struct.pack("<qLLL", 48000 * number, 7, number, 0)
        written.append(head + bytes([1, len(packet)]) + packet)
    return b"".join(written)


def flac() -> bytes:
    """The description of a FLAC file and some of its frames."""
    info = bytes(10) + (8000 << 12).to_bytes(4, "big") + bytes(20)
    return b"fLaC\x80\x00\x00\x22" + info + b"\xff\xf8" + bytes(500)


def adts(count: int = 10) -> bytes:
    """AAC frames of 100 bytes."""
    length = 100
    head = bytes([0xFF, 0xF1, 0x60, 0x40 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5, 0])
    return (head + bytes(length - 7)) * count


def boxes(*, moov: bool = True) -> bytes:
    """An M4A file."""

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">L", 8 + len(content)) + name + content

    described = box(b"moov", box(b"mvhd", bytes(100))) if moov else b""
    return box(b"ftyp", b"M4A \0\0\0\0M4A mp42") + box(b"mdat", bytes(3000)) + described


def amr(count: int = 50) -> bytes:
    """AMR frames of 12.2 kbit/s."""
    return b"#!AMR\n" + (b"\x3c" + bytes(31)) * count


def au(told: int | None = None) -> bytes:
    """A .au file of half a second."""
    size = 4000 if told is None else told
    return b".snd" + struct.pack(">5L", 24, size, 1, 8000, 1) + bytes(4000)


def aiff() -> bytes:
    """An AIFF file."""
    chunks = b"COMM" + struct.pack(">L", 18) + bytes(18)
    chunks += b"SSND" + struct.pack(">L", 4000) + bytes(4000)
    return b"FORM" + struct.pack(">L", 4 + len(chunks)) + b"AIFF" + chunks


def gsm(count: int = 100) -> bytes:
    """GSM frames without any header."""
    return (b"\xd2" + bytes(32)) * count


def wma() -> bytes:
    """The objects of a Windows Media file."""
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 30) + bytes(6)
    data = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 4024)
    return head + data + bytes(4000)


def caf() -> bytes:
    """A CAF file."""
    described = b"desc" + struct.pack(">q", 32) + bytes(32)
    return b"caff\0\1\0\0" + described + b"data" + struct.pack(">q", 4000) + bytes(4000)


def webm() -> bytes:
    """The beginning of a WebM file, its segment's size known."""
    ebml = b"\x1a\x45\xdf\xa3\x87" + b"\x42\x82\x84webm"
    return ebml + b"\x18\x53\x80\x67\x10\x00\x10\x00" + bytes(4096)
