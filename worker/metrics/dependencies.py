"""Gauges of what this worker depends on, as it finds them itself, and of its own slots."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from celery.worker import state
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from archive.errors import ArchiveError, StoreAway
from archive.store.directory import Store
from config.settings import settings
from config.version import VERSION
from tasks.runtime import vouching
from tasks.runtime.context import bare_store, ledger
from worker.redis import queue_depths
from worker.redis.queue_depths import QUEUES, RedisState

from .families import Values, gauge
from .reading import LIFETIME_SECONDS, Reading

#: A bucket is asked less often than a folder: each question is paid for.
_BUCKET_LIFETIME_SECONDS = 25.0


class _Unreachable(Exception):
    """Why Redis, or the archive, does not serve this worker."""


@dataclass(frozen=True, slots=True)
class _Disks:
    """Free bytes of the disks: of the archive None if it is a bucket."""

    spool: int
    archive: int | None


class DependencyGauges(Collector):
    """Redis, the archive and the disks, as this worker finds them.

    Each is read by a thread of its own: what hangs delays neither a scrape nor the others.
    """

    def __init__(self) -> None:
        lifetime = _BUCKET_LIFETIME_SECONDS if _is_bucket() else LIFETIME_SECONDS
        self._redis = Reading(queue_depths.look, "Redis' part")
        self._archive = Reading(
            _archive_reader(), "the archive", expected=(_Unreachable,), lifetime_seconds=lifetime
        )
        self._disks = Reading(_disks, "the disks", expected=(OSError,))

    def refresh(self) -> None:
        """Begin to read everything at once, so that a scrape waits for the slowest alone."""
        for part in (self._redis, self._archive, self._disks):
            part.refresh()

    def ticked_at(self) -> datetime | None:
        """Return when a tick of beat was last carried out; None if Redis does not say."""
        found = self._redis.value()
        return None if found is None else found.ticked_at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family; without the figures of what does not answer in time."""
        self.refresh()
        yield from _redis(self._redis.value())
        yield gauge(
            "archive_up",
            "Whether this worker reaches the archive, and it is the ledger's.",
            (),
            {(): float(bool(self._archive.value()))},
        )
        yield from _free(self._disks.value())


class WorkerGauges(Collector):
    """The slots of this worker, and its version."""

    def __init__(self) -> None:
        #: Set once the worker's pool is there.
        self.slots: int | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family; of the slots no figures before the worker's pool is there."""
        slots = self.slots
        all_slots: Values = {} if slots is None else {(): slots}
        in_use: Values = {} if slots is None else {(): min(len(state.active_requests), slots)}
        yield gauge("worker_slots", "Tasks that this worker can run at once.", (), all_slots)
        yield gauge("worker_slots_in_use", "Tasks that this worker runs now.", (), in_use)
        yield gauge("build_info", "The version of this worker.", ("version",), {(VERSION,): 1})


#: The worker of this process.
this_worker = WorkerGauges()


def _redis(found: RedisState | None) -> Iterator[GaugeMetricFamily]:
    up: Values = {
        ("broker",): float(found is not None and found.broker),
        ("results",): float(found is not None and found.results),
    }
    yield gauge(
        "redis_up",
        "Whether Redis answers a new connection of this worker, as broker and for results.",
        ("use",),
        up,
    )
    depths = {} if found is None else found.depths
    yield gauge(
        "queue_messages",
        "Messages in the queue.",
        ("queue",),
        {(queue,): depths[queue].messages for queue in QUEUES if queue in depths},
    )
    yield gauge(
        "oldest_queue_message_age_seconds",
        "For how long the oldest of these has been seen there; 0 if there is none.",
        ("queue",),
        {(queue,): depths[queue].age for queue in QUEUES if queue in depths},
    )


def _free(found: _Disks | None) -> Iterator[GaugeMetricFamily]:
    spool: Values = {} if found is None else {(): float(found.spool)}
    archive: Values = {(): float(found.archive)} if found and found.archive is not None else {}
    yield gauge("spool_free_bytes", "Free bytes of the spool's disk.", (), spool)
    yield gauge(
        "spool_reserve_bytes",
        "Bytes of it to keep free: a download that needs them waits.",
        (),
        {(): float(settings().spool_reserve_bytes)},
    )
    yield gauge(
        "archive_free_bytes", "Free bytes of the archive's disk; absent for a bucket.", (), archive
    )


def _is_bucket() -> bool:
    return "://" in settings().archive_url


def _archive_reader() -> Callable[[], bool]:
    store: list[Store] = []

    def read() -> bool:
        try:
            store.extend([] if store else [bare_store()])
            vouching.refuse_other(store[0], ledger())
        except (ArchiveError, StoreAway, OSError) as error:
            raise _Unreachable(str(error)) from None
        return True

    return read


def _disks() -> _Disks:
    archive = None if _is_bucket() else free_bytes(Path(settings().archive_url))
    return _Disks(free_bytes(settings().spool_dir), archive)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of a folder's disk; of its nearest parent while it is not there yet.
    Raises OSError.
    """
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    disk = os.statvfs(nearest)
    return disk.f_bavail * disk.f_frsize
