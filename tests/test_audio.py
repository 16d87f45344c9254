"""What a single audio file must be like to be kept."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from archive.audio.acceptance import may_be_sound, verify
from archive.audio.detection import Listener, hear, kind
from archive.errors import Damaged

from .simulators.audio import PRETENDERS
from .sounds import (
    SAMPLES,
    adts,
    aiff,
    amr,
    au,
    boxes,
    caf,
    flac,
    frames,
    gsm,
    mp3,
    ogg,
    tag,
    vbri,
    wav,
    wav_behind,
    wav_of,
    wav_with,
    webm,
    wma,
    xing,
)

#: MPEG frames by their headers: version, layer, rates, padding.
FRAMES = {
    "MPEG 1 layer III 128 kbit/s": (b"\xff\xfb\x90\x64", 417),
    "MPEG 1 layer III, padded": (b"\xff\xfb\x92\x64", 418),
    "MPEG 1 layer III, 32 kHz, with CRC": (b"\xff\xfa\x98\x64", 576),
    "MPEG 1 layer II": (b"\xff\xfd\x84\x04", 384),
    "MPEG 1 layer I": (b"\xff\xff\x44\x04", 128),
    "MPEG 2 layer III": (b"\xff\xf3\x48\xc4", 144),
    "MPEG 2 layer II": (b"\xff\xf5\x84\xc4", 384),
    "MPEG 2 layer I": (b"\xff\xf7\x44\xc4", 128),
    "MPEG 2.5 layer III 8 kHz": (b"\xff\xe3\x18\xc4", 72),
    "free format": (b"\xff\xfb\x00\x64", 300),
}
#: RIFF and data sizes of recorders that write into a pipe, or were killed.
STREAMED = [
    (riff, data)
    for riff in (0, 36, 0x7FFFF024, 0x7FFFFFFF, 0x80000024, 0xFFFFFFFF, 16036)
    for data in (0, 0x7FFE0000, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 16000)
]
#: Codecs of a WAV file: PCM, ADPCM, float, A-law, mu-law, GSM, MP3, extensible.
CODECS = (0x1, 0x2, 0x3, 0x6, 0x7, 0x31, 0x55, 0xFFFE)
OTHERS = {
    "opus": (ogg(), "ogg"),
    "vorbis": (ogg(b"\x01vorbis" + bytes(5) + (8000).to_bytes(4, "little")), "ogg"),
    "speex": (ogg(b"Speex   "), "ogg"),
    "flac": (flac(), "flac"),
    "aac": (adts(), "aac"),
    "m4a": (boxes(), "m4a"),
    "amr": (amr(), "amr"),
    "amr-wb": (b"#!AMR-WB\n" + (b"\x44" + bytes(60)) * 9, "amr"),
    "au": (au(), "au"),
    "au of a stream": (au(0xFFFFFFFF), "au"),
    "aiff": (aiff(), "aiff"),
    "gsm": (gsm(), "gsm"),
    "wma": (wma(), "wma"),
    "caf": (caf(), "caf"),
    "webm": (webm(), "webm"),
    **{f"wav {codec:#x}": (wav_with(codec, 8000), "wav") for codec in CODECS},
    "rifx": (wav_with(1, 16000, order=">", kind=b"RIFX"), "wav"),
    "rf64": (wav_with(1, 16000, kind=b"RF64"), "wav"),
    "bw64": (wav_with(1, 16000, kind=b"BW64"), "wav"),
    "wav with much in front": (wav_behind((b"LIST", bytes(200_000)), (b"JUNK", bytes(8))), "wav"),
    "wav described late": (wav_behind((b"JUNK", bytes(200_000)), described=1), "wav"),
    "a line's end before wav": (b"\r\n" + wav(), "wav"),
    "zeros before wav": (bytes(417) + wav(), "wav"),
    "many zeros before wav": (bytes(200_000) + wav(), "wav"),
    "a mark of UTF-8 before ogg": (b"\xef\xbb\xbf" + ogg(), "ogg"),
    "zeros before m4a": (bytes(417) + boxes(), "m4a"),
    "many zeros before m4a": (bytes(200_000) + boxes(), "m4a"),
}
WHOLE = {
    "zeros before it": bytes(417) + mp3(),
    "many zeros before it": bytes(200_000) + mp3(),
    "noise before it": random.Random(1).randbytes(5000) + mp3(),
    "a tag": tag(200) + mp3(),
    "a tag of 200 KB": tag(200_000) + mp3(),
    "a tag with a footer": tag(50, footer=True) + mp3(),
    "two tags and padding": tag(50) + tag(60) + bytes(100) + mp3(),
    "ID3v1 behind it": mp3() + b"TAG" + bytes(125),
    "APE behind it": mp3() + b"APETAGEX" + bytes(40_000),
    "Lyrics3 behind it": mp3() + b"LYRICSBEGIN" + bytes(4000),
    "a few bytes inside": mp3()[:1440] + bytes(100) + mp3()[1440:],
    "a few bytes behind it": mp3() + b"\r\n",
    "recordings joined": b"".join(file.read_bytes() for file in sorted(SAMPLES.glob("*.mp3"))),
    "a frame that counts": xing(50),
    "a frame that counts, of constant bit rate": xing(50, name=b"Info"),
    "a frame that counts itself": xing(50, counted=51),
    "a frame that does not count": xing(50).replace(b"Xing\0\0\0\1", b"Xing\0\0\0\0"),
    "Fraunhofer's frame that counts": vbri(50),
    **{name: frames(*frame) for name, frame in FRAMES.items()},
}


def heard(data: bytes) -> object:
    """What is heard of bytes."""
    return hear(io.BytesIO(data), whole=True)


def checked(folder: Path, data: bytes, **given: object) -> str:
    """Verify bytes as a download's."""
    file = folder / "recording.part"
    file.write_bytes(data)
    asked: dict[str, object] = {"content_type": "audio/mpeg", "expected_bytes": None, **given}
    return verify(file, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_whole_mpeg_audio_is_kept(tmp_path: Path, data: bytes) -> None:
    """Every version and layer, with whatever recorders write before and behind the sound: with the
    listed size and without one.
    """
    for size in (len(data), None):
        assert checked(tmp_path, data, expected_bytes=size) == "mp3"


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.mp3")), ids=lambda file: file.name)
def test_real_mp3_files_are_kept_and_cut_ones_are_not(tmp_path: Path, file: Path) -> None:
    """Files of a real encoder are whole; cut to any length they are refused by their duration, and
    by their last frame where none is listed.
    """
    data = file.read_bytes()
    found = hear(io.BytesIO(data), whole=True)
    assert found is not None
    assert found.seconds is not None
    milliseconds = int(found.seconds * 1000)
    assert checked(tmp_path, data, expected_ms=milliseconds) == "mp3"
    for share in (0.9, 0.6, 0.5, 0.3):
        cut = data[: int(len(data) * share) | 1]
        with pytest.raises(Damaged, match="cut within its last frame"):
            checked(tmp_path, cut)
    with pytest.raises(Damaged, match=r"MP3, \d\.\d s of the listed \d\.\d s"):
        checked(tmp_path, data[: len(data) * 6 // 10], expected_ms=milliseconds)


@pytest.mark.parametrize(("data", "ending"), OTHERS.values(), ids=OTHERS)
def test_other_formats_are_kept_by_their_own_bytes(
    tmp_path: Path, data: bytes, ending: str
) -> None:
    """Whatever else a telephone system records: named by its format, whole or by its beginning."""
    for size in (len(data), None):
        assert checked(tmp_path, data, expected_bytes=size) == ending
    assert kind(data) == ending


@pytest.mark.parametrize("noted", [100, 8000, 15_999])
def test_a_wav_file_that_notes_too_little_is_as_long_as_it_is(tmp_path: Path, noted: int) -> None:
    """A recorder that was killed had noted a smaller size than it wrote in the end."""
    file = wav(90)[:40] + noted.to_bytes(4, "little") + b"\x80" * (90 * 16000)
    assert checked(tmp_path, file, expected_ms=90_001) == "wav"


@pytest.mark.parametrize(
    "data", [mp3() + bytes(4096), xing(50, counted=60), wav_of(0, 16036)[:-20], amr() + b"\xff\xff"]
)
def test_audio_as_long_as_was_listed_is_whole(tmp_path: Path, data: bytes) -> None:
    """What a file tells of itself may be wrong; where it lasts as long as was listed, it is whole.
    Where it does not, or where the duration cannot be the file's, it is cut.
    """
    found = hear(io.BytesIO(data), whole=True)
    assert found is not None
    assert found.seconds is not None
    lasts = int(found.seconds * 1000)
    assert checked(tmp_path, data, expected_ms=lasts)
    for expected_ms in (None, lasts + 5000, lasts // 1000 or 1):
        if expected_ms != 1 or lasts > 1000:
            with pytest.raises(Damaged):
                checked(tmp_path, data, expected_ms=expected_ms)


@pytest.mark.parametrize(("riff", "data"), STREAMED)
def test_a_wav_file_of_unknown_size_is_kept(tmp_path: Path, riff: int, data: int) -> None:
    """Recorders that write into a pipe never learn the sizes that they wrote first."""
    file = wav_of(riff, data)
    for size in (len(file), None):
        assert checked(tmp_path, file, expected_bytes=size, expected_ms=1000) == "wav"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "audio/mpeg",
        "AUDIO/X-WAV",
        "audio/mp3; charset=binary",
        "application/download",
        "application/force-download",
        "binary/octet-stream",
        "text/plain",
        "text/html; charset=UTF-8",
        "nonsense",
    ],
)
def test_the_bytes_decide_and_not_the_content_type(tmp_path: Path, content_type: str) -> None:
    """True audio is kept under any content type, and a page under none."""
    assert checked(tmp_path, mp3(), content_type=content_type) == "mp3"
    with pytest.raises(Damaged, match=r"a web page \(HTML\)"):
        checked(tmp_path, PRETENDERS["html"], content_type=content_type)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\r\n<!DOCTYPE html><html>Sign in</html>", "a web page (HTML)"),
        (b"\xef\xbb\xbf<HTML></HTML>", "a web page (HTML)"),
        (b'<?xml version="1.0"?><fault/>', "an XML text"),
        (PRETENDERS["webvtt"], "a transcript (WebVTT)"),
        (PRETENDERS["pdf"], "a PDF document"),
        (PRETENDERS["txt"], "neither like MP3 nor like WAV"),
        (b"PK\x03\x04" + bytes(50) + mp3(), "a ZIP archive"),
        (b"%PDF-1.7\n" + mp3(), "a PDF document"),
        (b"RIFF\x24\x00\x00\x00AVI LIST" + mp3(), "neither like MP3 nor like WAV"),
        (b"a.mp3".ljust(257, b"\0") + b"ustar" + bytes(250) + mp3(), "neither like MP3"),
        (b"\x1f\x8b\x08\x00" + mp3(), "neither like MP3"),
        (b"\0\0\x01\xba" + mp3(), "neither like MP3"),
        (b"\xff\xf1\x50\x80" + bytes(50), "neither like MP3 nor like WAV"),
        (PRETENDERS["sync_and_zeros"], "no frames after them"),
        (b'{"error": "not found"}', "a JSON text"),
        (tag(100), "no sound after it"),
        (b"fLaC" + bytes(5000), "neither like MP3"),
        (b"OggS" + bytes(5000), "neither like MP3"),
        (b"RIFF\xff\xff\xff\xffWAVE" + bytes(5000), "neither like MP3"),
        (b"\0\0\0\x18ftypM4A " + bytes(5000), "neither like MP3"),
        (b"#!AMR\n" + bytes(5000), "neither like MP3"),
        (b"\x1a\x45\xdf\xa3" + bytes(5000), "neither like MP3"),
        (b"caff\0\1\0\0" + bytes(5000), "neither like MP3"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(5000), "neither like MP3"),
        (b"\xd2" + bytes(5000), "neither like MP3"),
        (("\u0448" * 16 + "\n").encode() * 300, "neither like MP3"),
        (b"BM" + bytes(52) + b"\xff\xfb\x00\xff" * 5000, "neither like MP3"),
        (b"RIFF\xff\xff\xff\xffWAVEJUNK\x00\x00\x02\x00" + bytes(200_000), "neither like MP3"),
        (bytes(200_000), "neither like MP3"),
        (random.Random(3).randbytes(200_000), "neither like MP3"),
    ],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """Pages, texts, and files that only begin like audio are refused in words, also where they
    have the size that was listed.
    """
    for size in (len(data), None):
        with pytest.raises(Damaged) as caught:
            checked(tmp_path, data, expected_bytes=size)
        assert says in str(caught.value)
        assert str(caught.value).startswith("recording.part: ")


@pytest.mark.parametrize(
    ("data", "expected_ms", "says"),
    [
        (wav()[:-100], None, "is cut: 15944 bytes where it should have 16044"),
        (wav_of(0, 0)[:8000], 1000 + 1, "WAV, 0.5 s of the listed 1.0 s"),
        (wav()[:44], None, "has no sound in it"),
        (xing(50)[: 417 * 31], None, "holds 30 of the 50 frames that its header counts"),
        (vbri(50)[: 417 * 31], None, "holds 30 of the 50 frames"),
        (frames(b"\xff\xfb\x90\x64", 417) + bytes(90_000), None, "90000 bytes that are not sound"),
        (frames(b"\xff\xfb\x90\x64", 417, 544), 23_700, "MP3, 14.2 s of the listed 23.7 s"),
        (ogg()[:-1], None, "is cut"),
        (ogg(pages=2), 10_001, "OGG, 2.0 s of the listed 10.0 s"),
        (adts()[:-1], None, "is cut within its last frame"),
        (adts(10), 10_001, "is cut: AAC, 0.6 s of the listed 10.0 s"),
        (amr()[:-1], None, "is cut within its last frame"),
        (boxes()[:-1], None, "is cut"),
        (boxes(moov=False), None, "is cut"),
        (au()[:-1], None, "is cut"),
        (aiff()[:-2], None, "is cut"),
        (webm()[:-9], None, "is cut"),
        (wma()[:-9], None, "is cut"),
        (caf()[:-9], None, "is cut"),
        (gsm()[:-9], None, "is cut within its last frame"),
        (gsm(50), 10_001, "GSM, 1.0 s of the listed 10.0 s"),
    ],
)
def test_cut_audio_is_refused_where_no_size_is_listed(
    tmp_path: Path, data: bytes, expected_ms: int | None, says: str
) -> None:
    """What a file tells of itself, and the listed duration, show that it was cut."""
    with pytest.raises(Damaged) as caught:
        checked(tmp_path, data, expected_ms=expected_ms)
    assert says in str(caught.value)


def test_a_listed_size_is_enough_and_another_is_refused(tmp_path: Path) -> None:
    """A file of the listed size is what the provider has, as it has it; any other size is not."""
    cut = mp3()[:-1]
    assert checked(tmp_path, cut, expected_bytes=len(cut), expected_ms=90_000) == "mp3"
    with pytest.raises(Damaged, match="is cut: 3311 bytes where the provider lists 3312"):
        checked(tmp_path, cut, expected_bytes=3312)
    with pytest.raises(Damaged, match="is longer than listed: 3313 bytes"):
        checked(tmp_path, mp3() + b"\n", expected_bytes=3312)


@pytest.mark.parametrize(
    ("expected_ms", "cut", "whole"),
    [(1656, 0, True), (1300, 0, True), (2000, 0, True), (2500, 0, False), (1656, 1, True)],
)
def test_a_duration_is_never_exact(tmp_path: Path, expected_ms: int, cut: int, whole: bool) -> None:
    """A call lasts somewhat longer than its recording, whole seconds are rounded up, and a recorder
    may stop within the last frame; half a second more is missing sound.
    """
    data = mp3()[: len(mp3()) - cut]
    if whole:
        assert checked(tmp_path, data, expected_ms=expected_ms) == "mp3"
    else:
        with pytest.raises(Damaged, match=r"is cut: MP3, 1\.7 s of the listed 2\.5 s"):
            checked(tmp_path, data, expected_ms=expected_ms)


@pytest.mark.parametrize("size", [1, 7, 143, 4096, 65_537])
@pytest.mark.parametrize("name", ["two tags and padding", "a few bytes inside", "APE behind it"])
def test_pieces_of_any_size_sound_alike(name: str, size: int) -> None:
    """Whether a file comes byte by byte or at once, the same is heard."""
    data = WHOLE[name] if size > 1 else WHOLE[name][:8000]
    listener = Listener(whole=True)
    for start in range(0, len(data), size):
        listener.feed(data[start : start + size])
    assert listener.sound() == heard(data)


def test_cut_anywhere_nothing_is_raised() -> None:
    """Whatever is left of a file of any format: it is audio or none, and never an exception."""
    for data in (mp3()[:700], *(data[:900] for data, _ in OTHERS.values())):
        for stop in range(len(data)):
            heard(data[:stop])


def test_bytes_that_could_be_sound_are_told_from_pages() -> None:
    """Bare samples may begin with any byte; a page of text, zeros or nothing is not a recording."""
    for data in (b"\x7b\x7f\xff\x80" * 99, b"<\x00\x01" * 99, mp3()[:-9], b"\xff\xfb\x90\x64"):
        assert may_be_sound(data)
    for name in ("html", "json", "xml", "empty", "zeros"):
        assert not may_be_sound(PRETENDERS[name])
