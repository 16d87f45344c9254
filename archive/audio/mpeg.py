"""MPEG audio (MP3 and its older layers), frame by frame.

Layout of a frame's header: ISO 11172-3, 2.4.1.3, and ISO 13818-3 for the lower sampling rates;
MPEG 2.5 halves them once more.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache

from .properties import Sound

#: A run of this many frames, each at the position that the one before gives, cannot be a
#: coincidence.
RUN = 4
#: The bits of a header's second and third byte that stay the same in one file: version, layer and
#: sampling rate.
_FORM = 0xFE0C
#: The bytes between frames that decoders skip: more than this and more than a twentieth is damage.
_STRAY_BYTES = 1024
#: The lowest bit rate that a decoder knows; a shorter repetition is a pattern, not sound.
_SHORTEST_FREE = 24
_LONGEST_FREE = 8192
#: The tags that may follow the last frame.
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")

_BIT_RATES = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLING_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _fields(key: int) -> tuple[int, int, int, int, int] | None:
    """Return version, layer, bit rate's index, sampling rate in Hz and padding of a header's second
    and third byte; None if they belong to no header.
    """
    version, layer = key >> 11 & 3, key >> 9 & 3
    bit_rate, rate = key >> 4 & 15, key >> 2 & 3
    if key >> 13 != 7 or version == 1 or layer == 0 or bit_rate == 15 or rate == 3:
        return None
    return version, layer, bit_rate, _SAMPLING_RATES[version][rate], key >> 1 & 1


def _length(key: int) -> int:
    """Return a frame's bytes by its header; 0 if it is not a header or does not state them (free
    format).
    """
    fields = _fields(key)
    if fields is None or fields[2] == 0:
        return 0
    version, layer, bit_rate, rate, padding = fields
    rates = _BIT_RATES[min(version | 2, 3), layer if version == 3 or layer == 3 else 2]
    bits = rates[bit_rate - 1] * 1000
    if layer == 3:
        return (12 * bits // rate + padding) * 4
    return (144 if version == 3 or layer == 2 else 72) * bits // rate + padding


@cache
def _lengths(form: int) -> Sequence[int]:
    """Return the bytes of a frame by its header's second and third byte; 0 for those of another
    form.
    """
    return array("H", (_length(key) if key & _FORM == form else 0 for key in range(1 << 16)))


def _samples(form: int) -> tuple[int, int]:
    """Return the samples in a frame, and the samples per second."""
    fields = _fields(form)
    assert fields is not None
    version, layer, _, rate, _ = fields
    if layer == 3:
        return 384, rate
    return (1152 if version == 3 or layer == 2 else 576), rate


def find(head: bytes, *, whole: bool) -> MpegWalk | None:
    """Return the walk of the first run of frames in the beginning of a file, or None without a run.

    Zeros and other bytes before the run are passed over, as decoders do. ``whole`` says that
    ``head`` is the whole file: then fewer frames than a run are enough at its very beginning.
    """
    zeros = len(head) - len(head.lstrip(b"\0"))
    at = head.find(b"\xff", zeros)
    while at >= 0:
        form = _form(head, at)
        if form is not None:
            lengths = _lengths(form)
            if _lengths_free(head, at):
                lengths = _free(head, at, form)
            if _runs(head, at, lengths, whole=whole and at == zeros):
                return MpegWalk(at, form, lengths, head)
        at = head.find(b"\xff", at + 1)
    return None


def runs_from(data: bytes, at: int) -> bool:
    """Return whether a run of frames begins at this very offset, as in most recordings."""
    form = _form(data, at) if data[at : at + 1] == b"\xff" else None
    return form is not None and _runs(data, at, _lengths(form), whole=False)


def begins(head: bytes) -> bool:
    """Return whether bytes begin like a frame, with anything after it."""
    return head[:1] == b"\xff" and _form(head, 0) is not None


def _form(head: bytes, at: int) -> int | None:
    if at + 4 > len(head):
        return None
    key = head[at + 1] << 8 | head[at + 2]
    return None if _fields(key) is None else key & _FORM


def _lengths_free(head: bytes, at: int) -> bool:
    return head[at + 2] >> 4 == 0


def _free(head: bytes, at: int, form: int) -> Sequence[int]:
    """Return the lengths of free format: all frames are as long as the first, which ends at the
    next.
    """
    start = head[at : at + 2]
    following = head.find(start, at + 2, at + _LONGEST_FREE)
    if 0 <= following < at + _SHORTEST_FREE:
        return _lengths(form)
    while following >= 0:
        key = head[following + 1] << 8 | head[following + 2] if following + 3 <= len(head) else 0
        if _fields(key) is not None and key & _FORM == form and key >> 4 & 15 == 0:
            plain = following - at - (head[at + 2] >> 1 & 1)
            found = array("H", bytes(2 << 16))
            for protected in (0, 0x100):
                for private in (0, 1):
                    free = (form | protected) & 0xFF0C | private
                    found[free], found[free | 2] = plain, plain + 1
            return found
        following = head.find(start, following + 1, at + _LONGEST_FREE)
    return _lengths(form)


def _runs(head: bytes, at: int, lengths: Sequence[int], *, whole: bool) -> bool:
    for number in range(RUN):
        if at + 4 > len(head) or (whole and head.startswith(_TAGS, at)):
            return whole and number > 0 and (at <= len(head) or number > 1)
        length = lengths[head[at + 1] << 8 | head[at + 2]] if head[at] == 0xFF else 0
        if not length:
            return False
        at += length
    return True


def _is_frame(data: bytes, at: int, lengths: Sequence[int]) -> bool:
    return data[at] == 0xFF and lengths[data[at + 1] << 8 | data[at + 2]] > 0


class MpegWalk:
    """The walk over the frames of one file, fed from the file's beginning."""

    format = "mp3"
    begun = True
    may_begin = False

    def __init__(self, start: int, form: int, lengths: Sequence[int], head: bytes) -> None:
        self._lengths = lengths
        self._samples, self._rate = _samples(form)
        self._declared = _declared(head, start, lengths)
        self._skip, self._rest = start, b""
        self._start, self._frames, self._seconds = start, 0, 0.0
        # Bytes that belong to no frame: their number, their number before the last run of them, and
        # the beginning of that run.
        self._stray, self._stray_before, self._after = 0, 0, b""

    def feed(self, data: bytes) -> None:
        """Walk on over the following bytes."""
        if self._rest:
            data = self._rest + data
        lengths, at, stop, frames = self._lengths, self._skip, len(data) - 4, 0
        while at <= stop:
            # One step per frame, millions in a large file: nothing more than needed is done here.
            if data[at] == 0xFF and (found := lengths[data[at + 1] << 8 | data[at + 2]]):
                at += found
                frames += 1
            else:
                self._count(frames)
                at, frames = self._resync(data, at), 0
                lengths = self._lengths
        self._count(frames)
        self._skip, self._rest = max(0, at - len(data)), data[at:]

    def _count(self, frames: int) -> None:
        self._frames += frames
        self._seconds += frames * self._samples / self._rate

    def _changes(self, data: bytes, at: int) -> bool:
        """Return whether frames of another form begin right here, as in joined recordings."""
        form = _form(data, at) if data[at] == 0xFF else None
        if form is None or self._after:
            return False
        lengths = _lengths(form)
        following = at + lengths[data[at + 1] << 8 | data[at + 2]]
        goes_on = following + 4 > len(data) or _is_frame(data, following, lengths)
        if following == at or not goes_on:
            return False
        self._lengths, (self._samples, self._rate) = lengths, _samples(form)
        return True

    def _resync(self, data: bytes, at: int) -> int:
        """Return the position of the next frame after bytes that are none; near the end of the
        data, wait for more.
        """
        if self._changes(data, at):
            return at
        if not self._after:
            self._stray_before = self._stray
        self._after += data[at : at + 12 - len(self._after)]
        found = at
        while (found := data.find(b"\xff", found + 1)) >= 0:
            if found + 4 > len(data):
                break
            length = self._lengths[data[found + 1] << 8 | data[found + 2]]
            following = found + length
            if length and (following + 4 > len(data) or _is_frame(data, following, self._lengths)):
                self._stray += found - at
                self._after = b""
                return found
        stop = found if found >= 0 else len(data)
        self._stray += stop - at
        return stop

    def sound(self, size: int) -> Sound:
        """Return the properties found, after the file has ended with ``size`` bytes."""
        frames = self._frames - (self._skip > 0)
        is_cut = self._skip > 0 or (self._rest[:1] == b"\xff" and not self._after)
        stray = self._stray + len(self._rest)
        if self._after.startswith(_TAGS):
            stray = self._stray_before
        no_sound = (self._skip > 0) + (self._declared is not None)
        seconds = max(0.0, self._seconds - no_sound * self._samples / self._rate)
        fault = None
        if self._declared and frames - 1 < self._declared - max(1, self._declared // 100):
            fault = f"holds {frames - 1} of the {self._declared} frames that its header counts"
        elif stray > max(_STRAY_BYTES, (size - self._start) // 20):
            fault = f"holds {stray} bytes that are not sound"
        return Sound(self.format, seconds, fault, last_is_cut=is_cut)


def _declared(head: bytes, at: int, lengths: Sequence[int]) -> int | None:
    """Return the frames that the first frame counts, if that frame is not sound but a header (Xing,
    Info, VBRI): 0 if that header does not count them, None without such a header.
    """
    frame = head[at : at + lengths[head[at + 1] << 8 | head[at + 2]]]
    for name in (b"Xing", b"Info"):
        found = frame.find(name, 4, 48)
        if found >= 0 and len(frame) >= found + 12:
            counts = int.from_bytes(frame[found + 4 : found + 8], "big") & 1
            return int.from_bytes(frame[found + 8 : found + 12], "big") if counts else 0
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return int.from_bytes(frame[50:54], "big")
    return None
