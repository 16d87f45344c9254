"""Audio formats that consist of records (chunks, boxes, pages, frames), each of which states its
own length. They are walked from record to record, in constant memory.
"""

from __future__ import annotations

from typing import Literal

from .properties import Sound

#: The start of the next record when no further record is read.
END = 1 << 62

Order = Literal["little", "big"]


class More(Exception):
    """The length of a record is only known from so many of its bytes."""


class Records:
    """A walk from record to record, which reads `HEADER` bytes of each."""

    format = ""
    HEADER = 8
    #: Whether the records are frames of a few milliseconds: then the last may lack a piece.
    FRAMES = False

    def __init__(self) -> None:
        self.begun = False
        self.fault: str | None = None
        self._at, self._rest, self._next = 0, b"", 0
        self._records = 0

    @property
    def may_begin(self) -> bool:
        """Whether the record that identifies the format may still come."""
        return not self.begun and self.fault is None and self._next < END

    def record(self, head: bytes, at: int) -> int:
        """Return the whole length of the record at the offset ``at`` that begins with ``head``, or
        0 if no record can be walked from here on. Raises More(bytes).
        """
        raise NotImplementedError

    def seconds(self, size: int) -> float | None:
        """Return the duration in seconds, if the format states it; ``size`` is the file's."""
        del size
        return None

    def feed(self, data: bytes) -> None:
        """Walk on over the following bytes."""
        data = self._rest + data
        start, stop = self._at - len(self._rest), self._at - len(self._rest) + len(data)
        needed = self.HEADER
        while self.fault is None and self._next + needed <= stop:
            try:
                offset = max(0, self._next - start)
                length = self.record(data[offset : offset + needed], self._next)
            except More as more:
                needed = int(more.args[0])
                continue
            needed = self.HEADER
            if length == 0:
                self._next = END
                break
            self._records += 1
            self._next += length
        self._at = stop
        self._rest = data[max(0, self._next - start) :] if self.fault is None else b""

    def sound(self, size: int) -> Sound:
        """Return the properties found, after the end of the file."""
        is_cut = self.FRAMES and size < self._next < END
        return Sound(self.format, self.seconds(size), self._fault(size), last_is_cut=is_cut)

    def _fault(self, size: int) -> str | None:
        if self.fault is None and not self.FRAMES and size < self._next < END:
            return is_cut_at(size, self._next)
        return self.fault


def is_cut_at(size: int, declared: int) -> str:
    """Return the words for a file of so many bytes that should have more."""
    return f"is cut: {size} bytes where it should have {declared}"


class Boxes(Records):
    """MP4, M4A, 3GP and related formats."""

    format = "m4a"
    _SECOND = frozenset(
        (b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"sidx", b"styp", b"uuid", b"meta")
    )

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[bytes] = set()

    def record(self, head: bytes, at: int) -> int:
        """Return the length of an outermost box."""
        declared, name = int.from_bytes(head[:4], "big"), head[4:8]
        if at and not self.begun:
            self.begun = name in self._SECOND
        self._seen.add(name)
        if declared == 1:
            if len(head) < 16:
                raise More(16)
            declared = int.from_bytes(head[8:16], "big")
        if declared == 0:
            return 0
        if declared < 8:
            self.fault = "is cut or changed: its boxes cannot be read"
        return declared

    def _fault(self, size: int) -> str | None:
        found = super()._fault(size)
        if found is None and not self._seen & {b"moov", b"moof"}:
            return "is cut: the description of its content (moov) is missing"
        return found


class Ogg(Records):
    """Ogg: Opus, Vorbis, Speex and FLAC in pages."""

    format = "ogg"
    HEADER = 27
    _CODECS = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC", b"fishead\0", b"PCM     ")

    def __init__(self) -> None:
        super().__init__()
        self._granule = self._granule_before = self._rate = 0

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a page: its table of lengths, and their sum."""
        if not head.startswith(b"OggS\0"):
            self.fault = f"is cut or changed: no page begins at byte {at}, where one should"
            return 1
        table = 27 + head[26]
        if len(head) < table + 40 * (at == 0):
            raise More(table + 40 * (at == 0))
        if at == 0:
            packet = head[table:]
            self.begun = packet.startswith(self._CODECS)
            if packet.startswith(b"OpusHead"):
                self._rate = 48000
            elif packet.startswith(b"\x01vorbis"):
                self._rate = int.from_bytes(packet[12:16], "little")
        granule = int.from_bytes(head[6:14], "little", signed=True)
        self._granule_before = self._granule
        self._granule = max(self._granule, granule)
        return table + sum(head[27:table])

    def seconds(self, size: int) -> float | None:
        """Return the duration by the number of samples of the last whole page."""
        is_cut = size < self._next < END
        granule = self._granule_before if is_cut else self._granule
        return granule / self._rate if self._rate else None


class Au(Records):
    """Sun's .au, also in the other byte order."""

    format = "au"
    HEADER = 24

    def __init__(self, head: bytes) -> None:
        super().__init__()
        self._order: Order = "little" if head.startswith(b"dns.") else "big"

    def record(self, head: bytes, at: int) -> int:
        """Return the length of the whole file."""
        del at
        start, declared, encoding, rate, channels = (
            int.from_bytes(head[n : n + 4], self._order) for n in range(4, 24, 4)
        )
        self.begun = start >= 24 and 0 < encoding < 64 and rate > 0 and 0 < channels < 256
        return 0 if declared in (0, 0xFFFFFFFF) else start + declared


class Flac(Records):
    """FLAC: the blocks of its description; its frames do not state their length."""

    format = "flac"

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a block of the description."""
        if at == 0:
            return 4
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:4], "big")
        if at == 4:
            if len(head) < 22:
                raise More(22)
            rate = int.from_bytes(head[14:17], "big") >> 4
            self.begun = kind == 0 and length == 34 and rate > 0
        return 0 if head[0] & 0x80 else 4 + length


class Matroska(Records):
    """WebM and Matroska: the beginning, and the segment's size if known."""

    format = "webm"
    HEADER = 12

    def record(self, head: bytes, at: int) -> int:
        """Return the length of an outermost element: its name of four bytes, its size of one to
        eight.
        """
        width = 8 - (head[4].bit_length() - 1) if head[4] else 9
        if width > 8:
            self.fault = "is cut or changed: its elements cannot be read"
            return 1
        declared = int.from_bytes(head[4 : 4 + width], "big") & (1 << 7 * width) - 1
        if at:
            self.begun = head.startswith(b"\x18\x53\x80\x67")
            if declared == (1 << 7 * width) - 1 or not self.begun:
                return 0
        return 4 + width + declared


#: The beginning of a Windows Media file, and of the object in it that holds the sound.
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


class Asf(Records):
    """Windows Media audio."""

    format = "wma"
    HEADER = 24

    def record(self, head: bytes, at: int) -> int:
        """Return the length of an object. The sound's object does not state its size in a
        stream.
        """
        del at
        declared = int.from_bytes(head[16:24], "little")
        # Another release of the format may put more before the sound.
        self.begun = self.begun or (head.startswith((ASF, _ASF_DATA)) and 24 <= declared < END)
        return 0 if declared < 24 else declared


class Caf(Records):
    """Apple's Core Audio Format."""

    format = "caf"
    HEADER = 12

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a chunk. The sound's chunk does not state its size in a stream."""
        if at == 0:
            return 8
        self.begun = self.begun or head.startswith(b"desc")
        declared = int.from_bytes(head[4:12], "big", signed=True)
        return 0 if declared < 0 or not head[:4].isalnum() else 12 + declared
