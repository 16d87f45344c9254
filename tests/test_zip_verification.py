"""What verification of a ZIP archive finds, and what it costs."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import subprocess
import sys
import tomllib
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from archive.audio.detection import Listener
from archive.errors import ArchiveError, Damaged, Dangerous, Missing
from archive.zip.verification import Limits, Member, members, unpack
from config.settings import ROOT

SAMPLES = Path(__file__).parent / "samples" / "archives"
LIMITS = Limits(members=50, bytes=1024**3, ratio=200)
MEBIBYTE = 1024 * 1024
MEMORY = 64 * MEBIBYTE

TABLE: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(
    (SAMPLES / "samples.toml").read_text(encoding="utf-8")
)
EVERY_SAMPLE = [(kind, name) for kind, samples in TABLE.items() for name in samples]

#: Verifies the archive it is given, or reads its first member whole; prints the number of members
#: and by how many bytes the process's peak of memory lies above what it had before.
CHILD = """
import sys, zipfile
from pathlib import Path
from archive.zip.verification import Limits, members

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

file, how = Path(sys.argv[1]), sys.argv[2]
idle, count = peak(), 0
if how == "verify":
    for member in members(file, Limits(10**6, 10**12, 10**9), path=file.name):
        count += 1
else:
    with zipfile.ZipFile(file) as archive:
        count = len([archive.read(archive.infolist()[0])])
print(count, peak() - idle)
"""

measured = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc"
)


@pytest.mark.parametrize(("kind", "name"), EVERY_SAMPLE)
def test_each_sample_is_told_apart(kind: str, name: str) -> None:
    """Archives of every tool verify, and each damage and danger is reported in words, by name."""
    file, expected = SAMPLES / kind / name, TABLE[kind][name]
    if kind == "whole":
        found = list(members(file, LIMITS, path=name))
        assert found == read_by_zipfile(file)
        assert len(found) == expected["members"]
        return
    with pytest.raises(Damaged if kind == "damaged" else Dangerous) as caught:
        list(members(file, LIMITS, path=name))
    assert str(caught.value).startswith(f"{name}: ")
    assert expected["says"] in str(caught.value)


def test_the_table_lists_every_sample() -> None:
    """No sample lies about without saying how it was made and what is to be found in it."""
    lying = {(file.parent.name, file.name) for file in SAMPLES.glob("*/*")}
    assert lying == set(EVERY_SAMPLE)


def test_a_danger_is_told_before_any_member_is_read() -> None:
    """The list of members is judged as a whole before the first one is given out."""
    for name in TABLE["dangerous"]:
        seen: list[int] = []
        with pytest.raises(Dangerous):
            next(members(SAMPLES / "dangerous" / name, LIMITS, path=name, on_bytes=seen.append))
        assert seen == []


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"", b"\r\n"),
        (b"", b"\n\n \t\x1a"),
        (b"", bytes(20_000)),
        (b"\r\n", b""),
        (b"PK00", b""),
        (b"MZ" + bytes(5000), b"\n"),
        (b"#!/bin/sh\nexec unzip $0\n", b""),
    ],
)
@pytest.mark.parametrize("name", sorted(TABLE["whole"]))
def test_bytes_around_an_archive_do_not_count(name: str, before: bytes, behind: bytes) -> None:
    """A line's end or zeros behind it, and whatever stands before it, as before archives that
    unpack themselves: the members are read as without.
    """
    if before and name == "python-empty.zip":
        return
    whole = (SAMPLES / "whole" / name).read_bytes()
    surrounded = io.BytesIO(before + whole + behind)
    expected = list(members(io.BytesIO(whole), LIMITS, path=name))
    assert list(members(surrounded, LIMITS, path=name)) == expected
    for one in expected[:1]:
        data = b"".join(unpack(surrounded, one, path=name))
        assert hashlib.sha256(data).hexdigest() == one.sha256


def test_an_archive_of_a_mac_is_read() -> None:
    """Data descriptors, folders, and beside each file one with its attributes: no audio."""
    file, sound = io.BytesIO(), (SAMPLES.parent / "audio" / "busy.mp3").read_bytes()
    with zipfile.ZipFile(Unseekable(file), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("calls/", b"")
        archive.writestr("calls/1.mp3", sound)
        archive.writestr("__MACOSX/calls/._1.mp3", b"\0\x05\x16\x07" + bytes(200))
    heard = members(file, LIMITS, path="a.zip", listener=lambda: Listener(whole=True))
    assert [(one.name, one.sound and one.sound.format) for one in heard] == [
        ("calls/1.mp3", "mp3"),
        ("__MACOSX/calls/._1.mp3", None),
    ]


class Unseekable:
    """A pipe: what is written to it cannot be changed afterwards."""

    def __init__(self, file: io.BytesIO) -> None:
        self.write, self.flush = file.write, file.flush


@pytest.mark.parametrize("name", ["python-zipfile.zip", "python-zip64-streamed.zip"])
def test_cut_anywhere_is_damaged(name: str) -> None:
    """However many bytes of an archive arrive, without the rest it is damaged."""
    whole = (SAMPLES / "whole" / name).read_bytes()
    for length in range(len(whole)):
        with pytest.raises(Damaged):
            list(members(io.BytesIO(whole[:length]), LIMITS, path=name))


@pytest.mark.parametrize(
    "name",
    ["python-streamed.zip", "python-bzip2-lzma.zip", "zip64-end.zip", "infozip.zip", "7zip.zip"],
)
def test_altered_anywhere_is_found_or_harmless(name: str) -> None:
    """Whichever byte is altered: an error of ours, or exactly the members that were there."""
    whole = (SAMPLES / "whole" / name).read_bytes()
    expected = list(members(io.BytesIO(whole), LIMITS, path=name))
    for at in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            altered = bytearray(whole)
            altered[at] ^= change
            try:
                found = list(members(io.BytesIO(altered), LIMITS, path=name))
            except ArchiveError:
                continue
            assert found == expected, f"byte {at} altered by {change:#x}"


def test_noise_is_never_more_than_an_error_of_ours() -> None:
    """Random bytes between the records of a ZIP raise Damaged or Dangerous, nothing else."""
    chance = random.Random(20261120)
    whole = (SAMPLES / "whole" / "zip64-end.zip").read_bytes()
    for _ in range(2000):
        noise = bytearray(whole)
        at = chance.randrange(len(whole))
        noise[at : at + 8] = chance.randbytes(8)
        with suppress(Damaged, Dangerous):
            list(members(io.BytesIO(noise), LIMITS, path="noise.zip"))


def test_a_member_that_lies_about_its_size_unpacks_no_further() -> None:
    """Declared sizes are not believed: no byte beyond them is taken for the member's."""
    seen: list[int] = []
    with pytest.raises(Damaged):
        list(
            members(
                SAMPLES / "damaged" / "bomb-that-lies.zip",
                LIMITS,
                path="bomb.zip",
                on_bytes=seen.append,
            )
        )
    assert sum(seen) <= 100


def test_silence_is_no_bomb() -> None:
    """Below 64 MiB the ratio does not count: an hour of silence in a WAV file verifies."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("silence.wav", bytes(50 * MEBIBYTE))
    assert [member.bytes for member in members(file, LIMITS, path="a.zip")] == [50 * MEBIBYTE]


def test_progress_is_told_while_verifying() -> None:
    """The callback hears of every unpacked byte, at most 1 MiB at a time, and may stop it all."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.mp3", bytes(3 * MEBIBYTE))
    seen: list[int] = []
    list(members(file, LIMITS, path="a.zip", on_bytes=seen.append))
    assert sum(seen) == 3 * MEBIBYTE
    assert max(seen) <= MEBIBYTE

    def stop(_: int) -> None:
        raise TimeoutError("the lease is lost")

    with pytest.raises(TimeoutError):
        list(members(file, LIMITS, path="a.zip", on_bytes=stop))


def test_one_member_comes_out_by_its_sum() -> None:
    """Of two members with one name the one with the asked sum comes out, and no other."""
    file = SAMPLES / "whole" / "python-duplicate-names.zip"
    first, second = members(file, LIMITS, path=file.name)
    assert first.name == second.name
    with file.open("rb") as opened:
        for member in (second, first):
            audio = b"".join(unpack(opened, member, path=file.name))
            assert hashlib.sha256(audio).hexdigest() == member.sha256
        absent = Member(first.name, first.bytes, "0" * 64)
        with pytest.raises(Missing, match=r"a\.mp3"):
            list(unpack(opened, absent, path=file.name))


@measured
def test_memory_is_flat_with_seventy_thousand_members(tmp_path: Path) -> None:
    """70,000 members with long names take at most 64 MB more than an idle process."""
    file = tmp_path / "many.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(70_000):
            archive.writestr(f"2026/11/20/{number:08}".ljust(220, "x") + ".mp3", b"ID3")
    count, above = measure(file, "verify")
    assert count == 70_000
    assert above <= MEMORY
    # Many writers leave out ZIP64 and let the count of 16 bits run over.
    wrap_count(file)
    assert measure(file, "verify")[0] == 70_000


@measured
@pytest.mark.parametrize(
    "size",
    [
        256 * MEBIBYTE,
        pytest.param(4 * 1024 * MEBIBYTE + 1, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_memory_is_flat_with_a_large_member(tmp_path: Path, size: int) -> None:
    """A large member, of more than 4 GiB too, is streamed; reading it whole would be seen here."""
    file = tmp_path / "large.zip"
    with Sparse(file) as target, zipfile.ZipFile(target, "w") as archive:
        with archive.open("large.wav", "w", force_zip64=True) as member:
            for start in range(0, size, MEBIBYTE):
                member.write(bytes(min(MEBIBYTE, size - start)))
        archive.writestr("small.mp3", b"ID3")
    count, above = measure(file, "verify")
    assert count == 2
    assert above <= MEMORY
    if size < 1024 * MEBIBYTE:
        assert measure(file, "read the first member whole")[1] > MEMORY


@measured
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_memory_is_flat_with_a_dense_member(tmp_path: Path, method: int) -> None:
    """A few bytes that unpack to 128 MiB do so in small pieces, whatever method packed them."""
    file = tmp_path / "dense.zip"
    with zipfile.ZipFile(file, "w", method) as archive, archive.open("zeros.wav", "w") as member:
        for _ in range(128):
            member.write(bytes(MEBIBYTE))
    count, above = measure(file, "verify")
    assert count == 1
    assert above <= MEMORY // 2


class Sparse(io.FileIO):
    """A file in which zeros take no room."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")

    def write(self, data: Any) -> int:
        """Skip zeros, write anything else."""
        if len(data) > 1024 and not bytes(data).strip(b"\0"):
            self.seek(len(data), io.SEEK_CUR)
            return len(data)
        return super().write(data)


def read_by_zipfile(file: Path) -> list[Member]:
    """What the standard library finds in an archive."""
    with warnings.catch_warnings(), zipfile.ZipFile(file) as archive:
        warnings.simplefilter("ignore")
        read = [(info, archive.read(info)) for info in archive.infolist() if not info.is_dir()]
    return [
        Member(name_of(info), len(data), hashlib.sha256(data).hexdigest()) for info, data in read
    ]


def name_of(info: zipfile.ZipInfo) -> str:
    """Some tools write UTF-8 without marking it, which zipfile takes for code page 437."""
    if info.flag_bits & 0x800:
        return info.filename
    return info.filename.encode("cp437").decode("utf-8")


def measure(file: Path, how: str) -> tuple[int, int]:
    """Members, and bytes of memory above idle, of a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(file), how],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    count, above = run.stdout.split()
    return int(count), int(above)


def wrap_count(path: Path) -> None:
    """Replace a ZIP64 end by a plain one whose count has run over."""
    with path.open("r+b") as file:
        record = end64(file)
        _, _, _, _, _, _, _, count, size, start = struct.unpack("<4sQ2H2L4Q", record)
        file.seek(start + size)
        file.truncate()
        count &= 0xFFFF
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, start, 0))


def end64(file: BinaryIO) -> bytes:
    """The ZIP64 end of an archive without a comment."""
    file.seek(-(56 + 20 + 22), io.SEEK_END)
    return file.read(56)
