"""WAV and AIFF: chunks whose sizes a recorder that writes into a pipe does not know."""

from __future__ import annotations

from .containers import END, More, Order, Records, is_cut_at

#: The values that a recorder writes for a size that it does not know yet, and never learns if it
#: writes into a pipe: 0, all ones, or the largest number that it dares, less the surrounding bytes.
_UNKNOWN_FROM = 0x7F000000


class Wave(Records):
    """RIFF, RIFX (big-endian), RF64 and BW64 (sizes of 64 bits in a chunk of their own)."""

    format = "wav"

    def __init__(self, kind: bytes) -> None:
        super().__init__()
        self._order: Order = "big" if kind == b"RIFX" else "little"
        self._large: int | None = None
        self._rate = 0
        self._data: tuple[int, int] | None = None
        self._goes_on = False

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a chunk; the one after the sound is the last that is read."""
        if at == 0:
            return 12
        if self._data is not None:
            # A recorder that was killed may have noted a smaller size than it wrote in the end.
            self._goes_on = not (head[:4].isascii() and head[:4].decode().isprintable())
            return 0
        name, declared = head[:4], int.from_bytes(head[4:8], self._order)
        if name == b"ds64":
            if len(head) < 24:
                raise More(24)
            self._large = int.from_bytes(head[16:24], "little")
        elif name == b"fmt ":
            if len(head) < 24:
                raise More(24)
            numbers = [int.from_bytes(head[a:b], self._order) for a, b in ((8, 10), (10, 12))]
            self._rate = int.from_bytes(head[16:20], self._order)
            if declared < 14 or 0 in numbers:
                self.fault = "is cut or changed: its description of the sound cannot be read"
        elif name == b"data":
            if self._large is not None and declared == 0xFFFFFFFF:
                declared = self._large
            self._data = at + 8, declared
            self.begun = self._rate > 0
            return 0 if self._declared() is None else 8 + declared + declared % 2
        elif not name.strip(b"\0") or not name.isascii():
            self.fault = "is cut or changed: it has no sound behind its description"
        return 8 + declared + declared % 2

    def _declared(self) -> int | None:
        declared = self._data[1] if self._data else 0
        unknown = declared == 0 or _UNKNOWN_FROM <= declared <= 0xFFFFFFFF or declared >= END
        return None if unknown else declared

    def seconds(self, size: int) -> float | None:
        """Return the duration by the bytes per second."""
        if self._data is None or not self._rate:
            return None
        held = size - self._data[0]
        declared = None if self._goes_on else self._declared()
        return min(held, held if declared is None else declared) / self._rate

    def _fault(self, size: int) -> str | None:
        if self._data is None:
            return super()._fault(size) or "has no sound in it"
        start, declared = self._data
        if size <= start:
            return "has no sound in it"
        # A number near 2 or 4 GiB may be a real size: then nearly all of the bytes exist.
        is_there = declared <= size - start
        if self._declared() is None and (is_there or declared == 0 or size < declared // 2):
            return None
        return None if start + declared <= size else is_cut_at(size, start + declared)


class Aiff(Records):
    """AIFF and AIFC."""

    format = "aiff"

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[bytes] = set()

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a chunk."""
        if at == 0:
            return 12
        self._seen.add(head[:4])
        self.begun = bool(self._seen & {b"COMM", b"FVER"})
        declared = int.from_bytes(head[4:8], "big")
        if head[:4] == b"SSND" and (declared == 0 or declared >= _UNKNOWN_FROM):
            return 0
        return 8 + declared + declared % 2
