"""What a single audio file must be like to be kept."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import pytest

from archive.audio import kind, verify
from archive.errors import Damaged

SAMPLES = Path(__file__).parent / "samples" / "audio"


def wav(seconds: int = 1) -> bytes:
    """A silent WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000 * seconds))
    return target.getvalue()


def mp3() -> bytes:
    """A real MP3 file."""
    return (SAMPLES / "busy.mp3").read_bytes()


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.mp3")), ids=lambda file: file.name)
def test_real_mp3_files_are_kept(file: Path) -> None:
    """Files of a real MP3 encoder are recognised, with the listed size and without one."""
    for size in (file.stat().st_size, None):
        assert verify(file, content_type="audio/mpeg", expected_bytes=size) == "mp3"


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(50), "audio/mpeg", "mp3"),
        (b"\xff\xfb\x90\x64" + bytes(400), "audio/mp3; charset=binary", "mp3"),
        (b"\xff\xf3\x48\xc4" + bytes(400), "AUDIO/MPEG", "mp3"),
        (b"\xff\xe3\x18\xc4" + bytes(400), "", "mp3"),
        (wav(), "audio/x-wav", "wav"),
        (wav(), "application/octet-stream", "wav"),
        (wav()[:4] + b"\xff\xff\xff\xff" + wav()[8:], "audio/wav", "wav"),
        (wav()[:4] + bytes(4) + wav()[8:], "audio/wav", "wav"),
    ],
)
def test_audio_is_recognised_by_its_first_bytes(
    tmp_path: Path, data: bytes, content_type: str, expected: str
) -> None:
    """MP3 with and without a tag, of every MPEG version, and WAV, streamed ones too, are kept."""
    file = tmp_path / "recording"
    file.write_bytes(data)
    assert verify(file, content_type=content_type, expected_bytes=len(data)) == expected
    assert kind(data[:12]) == expected


@pytest.mark.parametrize(
    ("data", "content_type", "difference", "says"),
    [
        (b"", "audio/mpeg", None, "is empty"),
        (b"\r\n<!DOCTYPE html><html>Sign in</html>", "audio/mpeg", None, "a web page (HTML)"),
        (b"\xef\xbb\xbf<HTML></HTML>", "text/html", 0, "a web page (HTML)"),
        (b'<?xml version="1.0"?><fault/>', "audio/mpeg", 0, "an XML text"),
        (b'{"error": "not found"}', "audio/mpeg", 0, "a JSON text"),
        (b"PK\x03\x04" + bytes(50), "audio/mpeg", 0, "a ZIP archive"),
        (b"RIFF\x24\x00\x00\x00AVI LIST", "audio/wav", 0, "neither like MP3 nor like WAV"),
        (b"\xff\xf1\x50\x80" + bytes(50), "audio/aac", 0, "neither like MP3 nor like WAV"),
        (b"\xff\xff\xff\xff" + bytes(50), "audio/mpeg", 0, "neither like MP3 nor like WAV"),
        (b"\xff\xfb", "audio/mpeg", 0, "neither like MP3 nor like WAV"),
        (mp3(), "text/html; charset=UTF-8", 0, "the provider calls it 'text/html', not audio"),
        (mp3()[:-1], "audio/mpeg", 1, "is cut: 3311 bytes where the provider lists 3312"),
        (mp3() + b"\n", "audio/mpeg", -1, "is longer than it should be: 3313 bytes"),
        (wav()[:-100], "audio/wav", None, "is cut: 15944 bytes where it should have 16044"),
    ],
)
def test_what_is_not_the_recording_is_refused(
    tmp_path: Path, data: bytes, content_type: str, difference: int | None, says: str
) -> None:
    """An error page with status 200, an empty, cut or too long file is refused in words."""
    file = tmp_path / "recording.part"
    file.write_bytes(data)
    expected = None if difference is None else len(data) + difference
    with pytest.raises(Damaged) as caught:
        verify(file, content_type=content_type, expected_bytes=expected)
    assert says in str(caught.value)
    assert str(caught.value).startswith("recording.part: ")
