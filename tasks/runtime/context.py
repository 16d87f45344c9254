"""Objects that one process shares among its tasks: ledger, store, spool, transfer slots."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from archive.spool.spool import Spool
from archive.store.directory import Store, open_store
from archive.store.guarded import Guarded
from archive.zip.verification import Limits
from config.accounts import Account
from config.settings import ConfigurationError, settings
from ledger.ledger import Ledger
from providers import registry  # noqa: F401 - it knows the accounts that the settings name
from tasks.errors import InvalidArgument

from . import vouching

#: Set when this process is stopping: a transfer then gives its lease back at the next chunk.
stopping = threading.Event()

#: The account of this thread's attempt, as it was when the attempt began.
_of_attempt: ContextVar[Account | None] = ContextVar("of_attempt", default=None)


@cache
def ledger() -> Ledger:
    """Return the ledger that the settings name."""
    return Ledger(settings().ledger_url.get_secret_value(), lease_seconds=settings().lease_seconds)


@cache
def store() -> Store:
    """Return the archive that the settings name; it works only while it is this ledger's.

    Raises ConfigurationError if the environment's settings of its bucket make no sense.
    """
    bare = bare_store()
    return Guarded(
        _opened(begins=False),
        lambda _, writing: vouching.assure(bare, ledger(), writing=writing),
    )


def bare_store() -> Store:
    """Return the store at the archive's address, unchecked. Raises ConfigurationError."""
    return _opened(begins=True)


def _opened(*, begins: bool) -> Store:
    try:
        return open_store(settings().archive_url, begins=begins)
    except ValueError as error:
        raise ConfigurationError(f"EARWITNESS_ARCHIVE_URL: {error}") from None


@cache
def spool() -> Spool:
    """Return the spool, which holds unfinished downloads."""
    return Spool(settings().spool_dir, settings().spool_reserve_bytes)


@cache
def transfer_slots() -> threading.BoundedSemaphore:
    """Return the semaphore of this process' transfers; other slots stay free for short actions."""
    return threading.BoundedSemaphore(settings().transfers_per_worker)


def zip_limits() -> Limits:
    """Return the limits of what a ZIP may unpack to."""
    return Limits(
        members=settings().zip_max_members,
        bytes=settings().zip_max_bytes,
        ratio=settings().zip_max_ratio,
    )


@contextmanager
def account_kept(alias: str) -> Iterator[None]:
    """Let `account` return one and the same account throughout an attempt.

    The accounts may be reloaded meanwhile, and half an attempt with another account than the other
    half could do harm.
    """
    token = _of_attempt.set(settings().accounts.get(alias))
    try:
        yield
    finally:
        _of_attempt.reset(token)


def account(alias: str) -> Account:
    """Return the account with this alias. Raises InvalidArgument, with ``unknown_account``."""
    kept = _of_attempt.get()
    if kept is not None and kept.alias == alias:
        return kept
    try:
        return settings().accounts[alias]
    except KeyError:
        refused = InvalidArgument(
            f"not done: account: no account is called {alias!r}; the accounts file names "
            f"{', '.join(sorted(settings().accounts)) or 'none'}"
        )
        refused.unknown_account = alias
        raise refused from None
