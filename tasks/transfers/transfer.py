"""Transfers from a provider through the spool into the archive, resumed where they broke off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from archive.errors import NoSpace
from archive.spool.partial_download import PartialDownload
from config.settings import settings
from providers.errors import Uncertain
from providers.http.streaming import Body
from tasks.runtime import metrics, resumption
from tasks.runtime.context import account, spool
from tasks.runtime.runner import Attempt, GiveBack, Wait

#: Opens the provider's answer at an offset, with the validator of the bytes that are held.
Open = Callable[[str | None, int], AbstractContextManager[Body]]

#: From so many bytes on, a write to the ledger is worth it not to fetch them again.
_WORTH_BYTES = 8_000_000

#: A server that always starts from the beginning must not be followed for ever.
_MOST_RESTARTS = 3


class Meter:
    """The progress of a transfer, as people see it: bytes, total if known, bytes a second."""

    def __init__(self, attempt: Attempt, expected_bytes: int | None) -> None:
        self._attempt = attempt
        self._expected = expected_bytes
        self._began = time.monotonic()
        self._first: int | None = None

    def moved(self, held: int, total: int | None) -> None:
        """Record how many bytes are held now, of how many if known."""
        if self._first is None:
            self._first, self._began = held, time.monotonic()
        seconds = time.monotonic() - self._began
        rate = (held - self._first) / seconds if seconds > 0 else 0.0
        whole = total if total is not None else self._expected
        left = (whole - held) / rate if whole and rate and whole > held else None
        self._attempt.lease.transfer = {
            "bytes": held,
            "total": whole,
            "exact": total is not None,
            "rate": round(rate),
            "seconds_left": None if left is None else round(left),
        }


@contextmanager
def fetched(
    attempt: Attempt, name: str, open_body: Open, *, expected_bytes: int | None = None
) -> Iterator[tuple[PartialDownload, str, str]]:
    """Download the whole file into the spool; yield its part, its SHA-256 and its content type.

    The bytes of a broken transfer are kept for the next attempt. Raises what the provider's client
    raises, NoSpace and Damaged of the spool, and Wait past the longest time of one transfer.
    """

    def alive(_: int) -> None:
        attempt.check()

    with spool().part(name, on_bytes=alive) as part:
        with (
            metrics.transfers.labels(attempt.job.account).track_inprogress(),
            _remembered(attempt, part),
        ):
            content_type = _receive(attempt, part, open_body, Meter(attempt, expected_bytes))
        _, sha256 = part.finish()
        yield part, sha256, content_type


@contextmanager
def _remembered(attempt: Attempt, part: PartialDownload) -> Iterator[None]:
    """Let the job remember that this spool holds its bytes, if the transfer breaks off."""
    try:
        yield
    except NoSpace:
        # Another host may have room.
        resumption.forget(attempt)
        raise
    except Exception as error:
        if part.held:
            resumption.remember(attempt, stopped=isinstance(error, GiveBack))
        raise
    resumption.forget(attempt)


def _receive(attempt: Attempt, part: PartialDownload, open_body: Open, meter: Meter) -> str:
    until = time.monotonic() + settings().transfer_max_hours * 3600
    received = metrics.transferred_bytes.labels(attempt.job.account)
    for _ in range(_MOST_RESTARTS + 1):
        with open_body(part.etag, part.held) as body:
            if body.complete:
                return body.content_type
            if body.offset != part.held:
                # The provider answered from the start, or with another file: the held bytes are
                # stale.
                part.restart()
            if body.offset == part.held:
                part.begin(body.etag)
                is_noted = False
                for chunk in body.chunks():
                    attempt.check()
                    if time.monotonic() > until:
                        raise Wait("the transfer took too long; it will be resumed", 0)
                    part.write(chunk)
                    if not is_noted and part.held > _WORTH_BYTES:
                        # This process may be killed: the job's row must know by then.
                        is_noted = True
                        resumption.remember(attempt)
                        attempt.note()
                    received.inc(len(chunk))
                    meter.moved(part.held, body.total)
                return body.content_type
    raise Uncertain(
        account(attempt.job.account).provider,
        "the provider kept sending another part of the file than the requested one",
    )
