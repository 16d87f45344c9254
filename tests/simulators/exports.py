"""ZIP archives of export jobs, streamed to disk, and archives that a client must refuse."""

from __future__ import annotations

import copy
import struct
import uuid
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol

from .audio import PRETENDERS
from .messages import Body, Shortened, Text

ZIP64_FROM = (1 << 31) - 1
LOCAL_HEADER = 30
FLAGS_IN_LOCAL, FLAGS_IN_CENTRAL = 6, 8
SIZE_IN_LOCAL, SIZE_IN_CENTRAL = 22, 24
SHARERS = 500


class Layout(Protocol):
    """The switches that decide how an archive is written."""

    compression: str
    data_descriptors: bool
    zip64: bool


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    name: str
    body: Body
    at: datetime

    @classmethod
    def index(cls, at: datetime, names: Sequence[str]) -> Member:
        """A CSV beside the recordings, which belongs to none of them."""
        return cls("index.csv", Text("\n".join(["file", *names, ""]).encode()), at)


@dataclass(frozen=True)
class Archive:
    """A finished file and its entity tag."""

    path: Path
    size: int
    etag: str

    @classmethod
    def of(cls, path: Path, size: int | None = None) -> Archive:
        return cls(path, path.stat().st_size if size is None else size, uuid.uuid4().hex)


class _Unseekable:
    """A file that zipfile can only write forward, so that it uses data descriptors."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def build(path: Path, members: Sequence[Member], layout: Layout) -> Archive:
    """Writes the archive piece by piece; the file appears under its name when it is whole."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        target: Any = _Unseekable(file) if layout.data_descriptors else file
        with zipfile.ZipFile(target, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # duplicate names are wished for
            for member in members:
                _write(archive, member, layout)
    unfinished.rename(path)
    return Archive.of(path)


def _write(archive: zipfile.ZipFile, member: Member, layout: Layout) -> None:
    stored = layout.compression == "stored"
    info = zipfile.ZipInfo(member.name, member.at.timetuple()[:6])
    info.filename = member.name  # as it is: ZipInfo tidies some names
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    large = layout.zip64 or member.body.size > ZIP64_FROM
    with archive.open(info, "w", force_zip64=large) as target:
        for piece in member.body.read(0, member.body.size):
            target.write(piece)


def damaged(
    path: Path,
    whole: Archive,
    members: Sequence[Member],
    kind: str,
    parameters: Mapping[str, Any],
    *,
    layout: Layout,
) -> Archive:
    """The archive with the damage that a fault of the kind asks for, in a file of its own."""
    if kind == "truncated_zip":
        return Archive.of(whole.path, max(0, whole.size - int(parameters["missing_bytes"])))
    if kind == "rebuilt_zip":
        return build(path, list(reversed(members)), layout)
    if kind == "bad_name":
        return build(path, [_renamed(members[0], parameters["name"]), *members[1:]], layout)
    if kind in ("cut_member", "other_member"):
        return build(path, _with_another(members, kind, parameters), layout)
    if kind == "surrounded_zip":
        return _surrounded(path, whole, parameters)
    if kind == "zip_bomb":
        return _bomb(path, members, parameters)
    if kind == "overlapping_members":
        return _overlapping(path, members)
    _copy(whole, path)
    change = _break_sum if kind == "bad_crc" else _encrypt
    change(path, int(parameters["member"]))
    return Archive.of(path)


def _renamed(member: Member, name: str) -> Member:
    return Member(name, member.body, member.at)


def _with_another(
    members: Sequence[Member], kind: str, parameters: Mapping[str, Any]
) -> list[Member]:
    """The members, one of them cut or with other bytes under its name."""
    changed, index = list(members), int(parameters["member"])
    one = changed[index]
    if kind == "cut_member":
        body: Body = Shortened(one.body, int(one.body.size * float(parameters["share"])))
    else:
        body = Text(PRETENDERS[parameters["file"]])
    changed[index] = Member(one.name, body, one.at)
    return changed


def _surrounded(path: Path, whole: Archive, parameters: Mapping[str, Any]) -> Archive:
    """The archive with bytes before and behind it that its offsets do not count."""
    before, after = (parameters[side].encode("latin-1") for side in ("before", "after"))
    with whole.path.open("rb") as source, path.open("wb") as target:
        target.write(before)
        while piece := source.read(1 << 20):
            target.write(piece)
        target.write(after)
    return Archive.of(path)


def _copy(whole: Archive, path: Path) -> None:
    with whole.path.open("rb") as source, path.open("wb") as target:
        while piece := source.read(1 << 20):
            target.write(piece)


def _break_sum(path: Path, index: int) -> None:
    """Flips one bit in the middle of a member's data; its CRC-32 stays as it was."""
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[index]
    with path.open("r+b") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
        middle = info.header_offset + LOCAL_HEADER + name + extra + info.compress_size // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def _encrypt(path: Path, index: int) -> None:
    """Says in both headers that a member is encrypted."""
    for offset in _headers(path, index, FLAGS_IN_LOCAL, FLAGS_IN_CENTRAL):
        with path.open("r+b") as file:
            file.seek(offset)
            flags = struct.unpack("<H", file.read(2))[0]
            file.seek(offset)
            file.write(struct.pack("<H", flags | 1))


def _headers(path: Path, index: int, in_local: int, in_central: int) -> Iterator[int]:
    """Offsets of a field in a member's local and central header."""
    with zipfile.ZipFile(path) as archive:
        infos, central = archive.infolist(), archive.start_dir
    for info in infos[:index]:
        name = len(info.orig_filename.encode())
        central += 46 + name + len(info.extra) + len(info.comment)
    yield infos[index].header_offset + in_local
    yield central + in_central


def _bomb(path: Path, members: Sequence[Member], parameters: Mapping[str, Any]) -> Archive:
    """Zeros that deflate a thousandfold. A dishonest one declares a harmless size."""
    size = int(parameters["bytes"])
    info = zipfile.ZipInfo("recording.mp3", members[0].at.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive, archive.open(info, "w") as target:
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            target.write(block)
        target.write(block[: size & (1 << 20) - 1])
    if not parameters["honest"]:
        for offset in _headers(path, 0, SIZE_IN_LOCAL, SIZE_IN_CENTRAL):
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(struct.pack("<I", info.compress_size))
    return Archive.of(path)


def _overlapping(path: Path, members: Sequence[Member]) -> Archive:
    """Many entries of the central directory that share the bytes of one member."""
    data = b"".join(members[0].body.read(0, members[0].body.size))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recording.mp3", data)
        first = archive.infolist()[0]
        for _ in range(SHARERS):
            archive.filelist.append(copy.copy(first))
    return Archive.of(path)
