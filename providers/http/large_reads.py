"""Large reads from a connection, so that a file arrives in few pieces.

httpcore reads 64 KiB at a time, and TLS hands on one record of 16 KiB at a time. Every piece costs
the same in h11, httpcore and httpx, whatever its size.
"""

from __future__ import annotations

import ssl

import httpcore

#: The most that one read returns, in bytes. Records of TLS are put together, for which pieces of
#: 1 MiB cost more than they save.
LARGEST, LARGEST_TLS = 1 << 20, 1 << 18

_TLS_RECORD = 16 * 1024


class LargeReads:
    """Reads whatever has arrived at one connection: as much as was asked for, over TLS too, and up
    to 1 MiB at a time (256 KiB over TLS) once `enlarge` was called.

    Each read may be twice as long as the one before brought. So a slow connection reserves no large
    buffer.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        """Read from ``stream``, a connection of httpcore's own backend."""
        self._stream = stream
        socket = stream.get_extra_info("socket")
        self._tls = socket if isinstance(socket, ssl.SSLSocket) else None
        self._is_enlarged = False
        self._size = 0
        self._broken: OSError | None = None

    def enlarge(self) -> None:
        """Return more than is asked for from now on.

        Not for a chunked body: h11 copies the rest of a read once for each of its chunks, so large
        reads cost more than they save.
        """
        self._is_enlarged = True

    def restrain(self) -> None:
        """Return no more than is asked for from now on."""
        self._is_enlarged = False

    def read(self, max_bytes: int, timeout: float | None) -> bytes:
        """Wait until bytes arrive, ``timeout`` seconds at most, and return those that are there.

        Raises httpcore.ReadTimeout and httpcore.ReadError, each only once every byte before has
        been returned.
        """
        if self._broken is not None:
            raise httpcore.ReadError(str(self._broken))
        size = max(max_bytes, self._size) if self._is_enlarged else max_bytes
        data = self._stream.read(size, timeout=timeout)
        if self._tls is not None and data:
            data = self._further_records(self._tls, data, size)
        self._size = min(2 * len(data), LARGEST if self._tls is None else LARGEST_TLS)
        return data

    def _further_records(self, tls: ssl.SSLSocket, first: bytes, size: int) -> bytes:
        """Return ``first`` and the records behind it that have arrived already."""
        records, held = [first], len(first)
        tls.settimeout(0)
        while held < size:
            try:
                record = tls.recv(min(_TLS_RECORD, size - held))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self._broken = error
                break
            if not record:
                break
            records.append(record)
            held += len(record)
        return b"".join(records)
