"""What a worker makes sure of before it takes up anything: that ledger, archive and Redis belong
together.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from celery.concurrency.thread import TaskPool as ThreadPool
from redis.exceptions import RedisError

from archive.errors import ArchiveError, NoSpace, StoreAway, StoreRefused, Unwritable, Vanished
from archive.paths import IDENTITY_PATH
from archive.store.directory import Store
from archive.store.guarded import refusal
from config.queues import DOWNLOADS, IDENTITY
from config.settings import ConfigurationError, settings
from ledger.errors import Foreign, LedgerAway, LedgerError
from ledger.identity import refuse_foreign
from ledger.quarantine import MEANING, WAY_OUT
from tasks.archive_watch import watch
from tasks.rebuild import backup_check
from tasks.runtime import archive_alerts, vouching
from tasks.runtime.context import bare_store, ledger

from .redis.diagnosis import trouble

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

REDIS_KEY = IDENTITY
_ARCHIVE_WAY_OUT = (
    "give back the ledger that belongs to this archive, or set EARWITNESS_ARCHIVE_URL to another "
    "archive"
)
_REBUILD = (
    f"{_ARCHIVE_WAY_OUT}; if that ledger is lost, let EARWITNESS_LEDGER_URL name an empty one and "
    "run: python -m worker rebuild"
)
#: Set while it is not known whether the ledger is older than its archive, which does not answer.
comparison_owed = threading.Event()
#: An archive that is away is asked again so soon.
_AGAIN_SECONDS = 1.0
REDIS_WAY_OUT = (
    "give each deployment a Redis database of its own (EARWITNESS_REDIS_URL) or a prefix of its "
    "own (EARWITNESS_REDIS_KEY_PREFIX), or, if the other one is gone for good, delete the key {key}"
)


def start_checks(app: Any) -> None:
    """Prepare an empty ledger, and refuse one that is not this archive's or this Redis'.

    Ends the process with a sentence; nothing was taken up. With the ledger away it waits for it. An
    archive that is full, read-only or away keeps no worker from its start: what needs the archive
    waits, and certified calls are placed.
    """
    try:
        identity = _patient(ledger().identity.prepare)
        _archive_checks(identity)
        claim_redis(app, identity)
    except (ArchiveError, ConfigurationError, LedgerError, OSError, StoreRefused) as error:
        sys.exit(f"earwitness: {error}")


def refuse_other_pools(pool: type) -> None:
    """End the process with a sentence where tasks would not run in threads: what they share here
    belongs to one process, and a transfer alone would hold up every call.
    """
    if not issubclass(pool, ThreadPool):
        chosen = pool.__module__.rpartition(".")[2]
        sys.exit(
            f"earwitness: a worker runs its tasks in threads, not in the pool {chosen}, so none "
            "was started; leave --pool out, and say how many by --concurrency"
        )


def refuse_autoscaling(options: Mapping[str, Any]) -> None:
    """End the process with a sentence where the number of threads shall change: Celery can not do
    that, and the worker would end at its first task.
    """
    if options.get("autoscale"):
        sys.exit(
            "earwitness: the number of a worker's threads can not change, so none was started; "
            "leave --autoscale out, and say how many by --concurrency"
        )


def notice_few_threads(threads: int, queues: frozenset[str]) -> None:
    """Say where transfers, which may take hours, can take every thread of this worker, so that all
    else that it consumes waits for them.
    """
    most = settings().transfers_per_worker
    if DOWNLOADS in queues and len(queues) > 1 and threads <= most:
        _log.warning(
            "%d transfers at once can take all threads of this worker (%d): calls wait for them; "
            "start it with a --concurrency of more than EARWITNESS_TRANSFERS_PER_WORKER",
            most,
            threads,
        )


def _archive_checks(identity: str) -> None:
    """Refuse an archive that is not this ledger's, or lacks what this ledger has archived."""
    while True:
        try:
            claim_archive(identity)
        except (NoSpace, Unwritable) as error:
            if isinstance(error, Unwritable) and not _is_begun():
                raise  # a first start: the address is to be mended, and nothing waits for it
            archive_alerts.refused(error)
            _log.warning("%s; the worker starts, and what needs the archive waits", error)
        except StoreRefused:
            raise
        except StoreAway as error:
            if ledger().identity.is_empty():
                # Whether calls were placed under an earlier ledger, the archive alone can tell.
                _log.warning("%s; waiting for it", error)
                time.sleep(_AGAIN_SECONDS)
                continue
            _log.warning("%s; the worker starts, and what needs the archive waits", error)
        notice_older_ledger()
        return


def _is_begun() -> bool:
    """Whether the archive names a ledger, or this ledger has archived anything."""
    try:
        if vouching.named_ledger(bare_store()) is not None:
            return True
    except (ArchiveError, OSError, StoreAway):
        pass
    return ledger().archive_record.anything()


def notice_older_ledger() -> None:
    """Quarantine a ledger that is older than its archive: calls may have been placed since its copy
    was made. Say that there is a quarantine, whoever began it.
    """
    try:
        unknown = backup_check.unknown_files()
        comparison_owed.clear()
    except (ArchiveError, OSError, StoreAway) as error:
        _log.warning("whether the ledger is older than the archive is not known: %s", error)
        comparison_owed.set()
        unknown = []
    if unknown:
        sentence = backup_check.said(unknown)
        note = f"{sentence}; {backup_check.WAY_OUT}"
        ledger().identity.quarantine(by=f"worker {ledger().worker}", note=note)
    if ledger().identity.quarantined():
        _log.warning("the ledger is in quarantine: %s; %s", MEANING, WAY_OUT)


def claim_archive(identity: str) -> None:
    """Make sure that the archive is this ledger's and holds what it has archived; begin one where
    nothing was archived yet.

    Raises Foreign; Vanished; StoreRefused where a name can be given twice, so that a file would be
    lost; NoSpace, Unwritable, StoreAway.
    """
    bare = bare_store()
    where = f"the archive {settings().archive_url}"
    with _understood(bare):
        named = vouching.named_ledger(bare)
        if named is None and (objection := _why_not_begun(bare, where)) is not None:
            # Another worker may have begun it, and stored a file, since the name was read.
            named = vouching.named_ledger(bare)
            if named is None:
                raise objection
        if named is not None:
            refuse_foreign(identity, named, where, _REBUILD)
        vouching.refuse_shorter(bare, ledger(), watch.accounts())
        if not bare.gives_names_once():
            raise StoreRefused(
                bare.address,
                "lets a second file take a name that is taken, so any could be overwritten; "
                "nothing was started; use another filesystem, or an object store that knows "
                "If-None-Match",
            )
        if named is None:
            vouching.begin(bare, identity)


def _why_not_begun(bare: Store, where: str) -> Foreign | Vanished | None:
    """Why no archive may be begun where nothing says whose it is, or None."""
    if vouching.holds_files(bare):
        return Foreign(
            f"{where} holds files, but no {IDENTITY_PATH} that says whose they are; nothing was "
            f"started; {_ARCHIVE_WAY_OUT}"
        )
    if ledger().archive_record.anything():
        return Vanished(bare.address, vouching.absent())
    return None


@contextmanager
def _understood(store: Store) -> Iterator[None]:
    """What the operating system refuses, in the archive's own words."""
    try:
        yield
    except OSError as error:
        raise refusal(store.address, "", error) from error


def claim_redis(app: Any, identity: str) -> None:
    """Write the identity into Redis where none stands. Raises Foreign. With Redis away nothing can
    be read: the sweeper's rounds go on, and messages can not come either.
    """
    key = settings().redis_key(REDIS_KEY)
    try:
        client = app.backend.client
        client.set(key, identity, nx=True)
        theirs = client.get(key)
    except RedisError as error:
        _log.warning("Redis: %s; %s", *trouble(error))
        return
    if theirs is not None:
        way_out = REDIS_WAY_OUT.format(key=key)
        refuse_foreign(identity, theirs.decode(errors="replace"), "this Redis database", way_out)


def _patient(action: Callable[[], Result]) -> Result:
    """What it returns as soon as what it needs is there."""
    while True:
        try:
            return action()
        except LedgerAway as error:
            _log.warning("%s; waiting for it", error)
