"""Streamed bodies: where their bytes belong, and that they are read whole or not believed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import httpx

from .errors import Uncertain, Unreachable

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d+)")


class Body:
    """An answer whose bytes are still to come.

    ``offset`` is where its first byte belongs, ``total`` the size of the whole object if told,
    ``etag`` a strong validator or None; ``complete`` means that nothing is left to fetch.
    """

    def __init__(
        self, provider: str, response: httpx.Response, *, asked: int, complete: bool = False
    ) -> None:
        self._provider = provider
        self._response = response
        self.complete = complete
        self.content_type = response.headers.get("Content-Type", "")
        etag = response.headers.get("ETag", "")
        # A weak validator does not promise the same bytes (RFC 9110, 13.1.5).
        self.etag = etag if etag.startswith('"') else None
        self.offset, self.total, self._expected = self._place(asked)
        self._raw = self._pieces()

    def first(self, size: int) -> bytes:
        """Up to the first ``size`` bytes, which ``chunks`` gives again; fewer only at the end."""
        taken: list[bytes] = []
        while sum(map(len, taken)) < size and (piece := next(self._raw, b"")):
            taken.append(piece)
        self._raw = itertools.chain(taken, self._raw)
        return b"".join(taken)[:size]

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come, each piece as large as the network gives them.

        Raises Uncertain when the body ends before its told length or the connection breaks; what
        came until then stands. A body without any length that is cut looks whole: what it holds
        must be verified.
        """
        received = 0
        for piece in self._raw:
            received += len(piece)
            yield piece
        if self._expected is not None and received != self._expected:
            raise Uncertain(
                self._provider,
                f"the transfer ended after {received} of {self._expected} bytes; it is resumed",
            )

    def _pieces(self) -> Iterator[bytes]:
        try:
            # As they come: gathering a larger piece would hide a slow transfer's progress.
            yield from self._response.iter_raw()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Unreachable(self._provider, "the connection broke") from None
        except httpx.TimeoutException:
            raise Uncertain(
                self._provider, "nothing came for too long; the transfer is resumed"
            ) from None
        except httpx.HTTPError as error:
            raise Uncertain(
                self._provider, f"the transfer broke off ({type(error).__name__}); it is resumed"
            ) from None

    def _place(self, asked: int) -> tuple[int, int | None, int | None]:
        length = self._response.headers.get("Content-Length")
        expected = int(length) if length and length.isdigit() else None
        if self._response.status_code != 206:
            return 0, expected, expected
        found = _RANGE.fullmatch(self._response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != asked:
            raise Uncertain(
                self._provider, f"another part was sent than the one asked for, from byte {asked}"
            )
        total = None if found[3] == "*" else int(found[3])
        return asked, total, int(found[2]) - asked + 1


def unsatisfied_total(response: httpx.Response) -> int | None:
    """The whole size that a 416 tells, or None."""
    found = _UNSATISFIED.fullmatch(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None
