"""Formats that consist only of coded frames of a few milliseconds: AMR, AAC, GSM."""

from __future__ import annotations

from .containers import Records

#: So many frames, each at the end of the one before, cannot be a coincidence.
_RUN = 8
_GSM_BYTES = 33


class Amr(Records):
    """AMR and AMR-WB as files: frames of 20 ms."""

    format = "amr"
    HEADER = 1
    FRAMES = True
    _NARROW = (12, 13, 15, 17, 19, 20, 26, 31, 5, 6, 5, 5, 0, 0, 0, 0)
    _WIDE = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 5, 0, 0, 0, 0, 0)

    def __init__(self, head: bytes) -> None:
        super().__init__()
        wide = head.startswith(b"#!AMR-WB\n")
        self._magic, self._sizes = (9, self._WIDE) if wide else (6, self._NARROW)

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a frame."""
        if at == 0:
            return self._magic
        if head[0] & 0x83:
            self.fault = f"is cut or changed: no frame begins at byte {at}, where one should"
        # A good frame has this bit set, so zeros are not a frame.
        self.begun = self.begun or head[0] & 4 != 0
        return 1 + self._sizes[head[0] >> 3 & 15]

    def seconds(self, size: int) -> float | None:
        """Return the duration by the number of frames."""
        del size
        return max(0, self._records - 1) * 0.02


class Adts(Records):
    """AAC in frames of its own (ADTS)."""

    format = "aac"
    HEADER = 7
    FRAMES = True
    _RATES = (
        *(96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350),
    )

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a frame."""
        length = adts_length(head)
        if head.startswith((b"TAG", b"APETAGEX", b"ID3")):
            return 0
        if not length:
            self.fault = f"is cut or changed: no frame begins at byte {at}, where one should"
            return 1
        # Four in a row cannot be a coincidence.
        self.begun = self.begun or self._records >= 3
        self._rate = self._RATES[head[2] >> 2 & 15]
        return length

    def seconds(self, size: int) -> float | None:
        """Return the duration by the number of frames."""
        del size
        return self._records * 1024 / self._rate if self._records else None


def adts_length(head: bytes) -> int:
    """Return the bytes of the ADTS frame that begins here, or 0 without one."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


class Gsm(Records):
    """GSM 06.10 without any header, as telephone systems write it: each frame begins with 1101."""

    format = "gsm"
    HEADER = 1
    FRAMES = True

    def record(self, head: bytes, at: int) -> int:
        """Return the length of a frame."""
        if head[0] >> 4 != 0xD:
            self.fault = f"is cut or changed: no frame begins at byte {at}, where one should"
        self.begun = self.begun or self._records >= _RUN - 1
        return _GSM_BYTES

    def seconds(self, size: int) -> float | None:
        """Return the duration by the number of frames."""
        return size // _GSM_BYTES * 0.02


def is_gsm(head: bytes) -> bool:
    """Return whether the whole beginning of a file is GSM frames, a run of them at least, and no
    text: letters of many scripts begin with 1101 as well.
    """
    firsts = head[::_GSM_BYTES]
    # The last one may be cut, or may be no frame but bytes that a recorder added.
    if len(firsts) < _RUN or any(byte >> 4 != 0xD for byte in firsts[:-1] or firsts):
        return False
    try:
        head[: _RUN * _GSM_BYTES].decode()
    except UnicodeDecodeError as error:
        # A text may end here in the middle of a letter.
        return error.start < _RUN * _GSM_BYTES - 3
    return False
