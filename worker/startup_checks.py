"""A worker's checks before its first task: ledger, archive and Redis must belong together."""

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
from tasks.runtime.background import Background, StillRunning
from tasks.runtime.context import bare_store, ledger

from .redis.diagnosis import diagnose

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

REDIS_KEY = IDENTITY
_ARCHIVE_WAY_OUT = (
    "restore the ledger that belongs to this archive, or set EARWITNESS_ARCHIVE_URL to another "
    "archive"
)
_REBUILD = (
    f"{_ARCHIVE_WAY_OUT}; if that ledger is lost, point EARWITNESS_LEDGER_URL at an empty one and "
    "run: earwitness rebuild"
)
#: Set while the ledger could not be compared with its archive, because the archive is away.
comparison_pending = threading.Event()
#: How long a start waits for a check that can end later.
_PATIENCE_SECONDS = 5.0
#: How often a start says that it waits for a check.
_REPEAT_SECONDS = 10.0
_LEDGER = "the ledger"
#: The pause between two tries to reach an archive.
_RETRY_SECONDS = 1.0
REDIS_WAY_OUT = (
    "give each deployment a Redis database of its own (EARWITNESS_REDIS_URL) or a prefix of its "
    "own (EARWITNESS_REDIS_KEY_PREFIX), or, if the other one is gone for good, delete the key {key}"
)


def start_checks(app: Any) -> None:
    """Prepare an empty ledger, and refuse one that belongs to another archive or Redis.

    A refusal exits with an error message before the worker takes any task. While the ledger is
    away or hangs, the check waits for it. A worker starts with an archive that is full, read-only,
    away or hanging: jobs that need the archive wait, and certified calls are placed.
    """
    try:
        identity = _ended(_begun(ledger().identity.prepare, "ledger"), _LEDGER)
        _check_archive(identity)
        _check_redis(app, identity)
    except (ArchiveError, ConfigurationError, LedgerError, OSError, StoreRefused) as error:
        sys.exit(f"earwitness: {error}")


def _begun(check: Callable[[], Result], name: str) -> Background[Result]:
    return Background(lambda: _wait_for_ledger(check), f"check-{name}")


def _ended(check: Background[Result], what: str) -> Result:
    """Wait for the end of a check; log that it hangs, every few seconds."""
    waited = 0.0
    while True:
        try:
            return check.result(_REPEAT_SECONDS)
        except StillRunning:
            waited += _REPEAT_SECONDS
            _log.warning("%s has not answered for %.0f s; waiting for it", what, waited)


def _check_archive(identity: str) -> None:
    """Check the archive; if it hangs, continue if its answer can come later."""
    is_late = threading.Event()

    def check() -> None:
        try:
            _archive_checks(identity)
        except Exception as error:
            if is_late.is_set():
                _log.error("a check at the worker's start failed late: %s", error)
            raise

    check_runs = _begun(check, "archive")
    what = f"the archive {settings().archive_url}"
    try:
        check_runs.result(_PATIENCE_SECONDS)
    except StillRunning:
        if _wait_for_ledger(ledger().identity.is_empty):
            # Only the archive can tell whether an earlier ledger placed calls.
            _ended(check_runs, what)
            return
        is_late.set()
        comparison_pending.set()
        _log.warning(
            "%s has not answered for %.0f s; the worker starts, and jobs that need the archive "
            "wait",
            *(what, _PATIENCE_SECONDS),
        )


def _check_redis(app: Any, identity: str) -> None:
    """Claim Redis; if it hangs, continue: no messages arrive, and the sweeper tries again."""
    try:
        _begun(lambda: claim_redis(app, identity), "redis").result(_PATIENCE_SECONDS)
    except StillRunning:
        _log.warning("Redis has not answered for %.0f s; waiting for it", _PATIENCE_SECONDS)


def refuse_other_pools(pool: type) -> None:
    """Exit with an error message if tasks would not run in threads.

    Tasks share state that belongs to one process, and in a pool without threads one transfer would
    hold up every call.
    """
    if not issubclass(pool, ThreadPool):
        chosen = pool.__module__.rpartition(".")[2]
        sys.exit(
            f"earwitness: a worker runs its tasks in threads, not in the pool {chosen}, so it was "
            "not started; leave --pool out, and set the number of threads by --concurrency"
        )


def refuse_autoscaling(options: Mapping[str, Any]) -> None:
    """Exit with an error message if the number of threads is to change.

    Celery's thread pool cannot change its size, and the worker would end at its first task.
    """
    if options.get("autoscale"):
        sys.exit(
            "earwitness: the number of a worker's threads cannot change, so the worker was not "
            "started; leave --autoscale out, and set the number of threads by --concurrency"
        )


def notice_few_threads(threads: int, queues: frozenset[str]) -> None:
    """Warn if transfers, which may take hours, can occupy every thread of this worker.

    All other tasks of the worker would wait for them.
    """
    most = settings().transfers_per_worker
    if DOWNLOADS in queues and len(queues) > 1 and threads <= most:
        _log.warning(
            "%d concurrent transfer%s can take all threads of this worker (%d), and calls would "
            "wait for %s; start it with a --concurrency above EARWITNESS_TRANSFERS_PER_WORKER",
            most,
            "s" * (most != 1),
            threads,
            "it" if most == 1 else "them",
        )


def _archive_checks(identity: str) -> None:
    """Refuse an archive that belongs to another ledger, or lacks files of this ledger."""
    while True:
        try:
            claim_archive(identity)
        except (NoSpace, Unwritable) as error:
            if isinstance(error, Unwritable) and not _is_in_use():
                raise  # a first start: no job waits, and the address is probably wrong
            archive_alerts.alert_refusal(error)
            _log.warning("%s; the worker starts, and jobs that need the archive wait", error)
        except StoreRefused:
            raise
        except StoreAway as error:
            if ledger().identity.is_empty():
                # Only the archive can tell whether an earlier ledger placed calls.
                _log.warning("%s; waiting for it", error)
                time.sleep(_RETRY_SECONDS)
                continue
            _log.warning("%s; the worker starts, and jobs that need the archive wait", error)
        notice_older_ledger()
        return


def _is_in_use() -> bool:
    """Return whether the archive names a ledger, or this ledger has archived any file."""
    try:
        if vouching.named_ledger(bare_store()) is not None:
            return True
    except (ArchiveError, OSError, StoreAway):
        pass
    return ledger().archive_record.anything()


def notice_older_ledger() -> None:
    """Quarantine a ledger that is older than its archive.

    Such a ledger was restored from a copy, and calls may have been placed since the copy was made.
    Also log a warning if the ledger is in quarantine already.
    """
    try:
        unknown = backup_check.unknown_files()
        comparison_pending.clear()
    except (ArchiveError, OSError, StoreAway) as error:
        _log.warning("cannot tell whether the ledger is older than the archive: %s", error)
        comparison_pending.set()
        unknown = []
    if unknown:
        sentence = backup_check.describe(unknown)
        note = f"{sentence}; {backup_check.WAY_OUT}"
        ledger().identity.quarantine(by=f"worker {ledger().worker}", note=note)
    if ledger().identity.quarantined():
        _log.warning("the ledger is in quarantine: %s; %s", MEANING, WAY_OUT)


def claim_archive(identity: str) -> None:
    """Check that the archive belongs to this ledger and holds its files; begin an empty one.

    Raises Foreign for an archive of another ledger, Vanished for one that lost files, StoreRefused
    for a store that lets a second file replace the first, and NoSpace, Unwritable and StoreAway.
    """
    bare = bare_store()
    where = f"the archive {settings().archive_url}"
    with _as_archive_errors(bare):
        named = vouching.named_ledger(bare)
        if named is None and (objection := _why_not_begun(bare, where)) is not None:
            # Another worker may have begun the archive and stored a file since the read above.
            named = vouching.named_ledger(bare)
            if named is None:
                raise objection
        if named is not None:
            refuse_foreign(identity, named, where, _REBUILD)
        vouching.refuse_shorter(bare, ledger(), watch.accounts())
        if not bare.gives_names_once():
            raise StoreRefused(
                bare.address,
                "does not refuse to overwrite a file, so any could be lost; "
                "nothing was started; use another filesystem, or an object store with conditional "
                "writes (If-None-Match, x-goog-if-generation-match)",
            )
        if named is None:
            vouching.begin(bare, identity)


def _why_not_begun(bare: Store, where: str) -> Foreign | Vanished | None:
    """Return why an archive without an owner may not be begun, None if it may."""
    if vouching.holds_files(bare):
        return Foreign(
            f"{where} holds files, but no {IDENTITY_PATH} that names their ledger; nothing was "
            f"started; {_ARCHIVE_WAY_OUT}"
        )
    if ledger().archive_record.anything():
        return Vanished(bare.address, vouching.describe_absent())
    return None


@contextmanager
def _as_archive_errors(store: Store) -> Iterator[None]:
    """Turn errors of the operating system into the archive's own errors."""
    try:
        yield
    except OSError as error:
        raise refusal(store.address, "", error) from error


def claim_redis(app: Any, identity: str) -> bool:
    """Write the identity into Redis if none is there; return whether Redis answers.

    Raises Foreign if another identity is there. With Redis away, only log a warning: no messages
    arrive either, and the sweeper tries again.
    """
    key = settings().redis_key(REDIS_KEY)
    try:
        client = app.backend.client
        theirs = client.get(key)
        if theirs is None:
            client.set(key, identity, nx=True)
            theirs = client.get(key)
    except RedisError as error:
        _log.warning("Redis: %s; %s", *diagnose(error))
        return False
    if theirs is not None:
        way_out = REDIS_WAY_OUT.format(key=key)
        refuse_foreign(identity, theirs.decode(errors="replace"), "this Redis database", way_out)
    return True


def _wait_for_ledger(action: Callable[[], Result]) -> Result:
    """Repeat the action until the ledger answers; return its result."""
    while True:
        try:
            return action()
        except LedgerAway as error:
            _log.warning("%s; waiting for it", error)
