"""What one process of ours shares among its tasks: the ledger, the store, the spool, the slots."""

from __future__ import annotations

import threading
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

#: Set when this process is told to stop: a transfer then gives its lease back at the next chunk.
stopping = threading.Event()


@cache
def ledger() -> Ledger:
    """The ledger that the settings name."""
    return Ledger(settings().ledger_url.get_secret_value(), lease_seconds=settings().lease_seconds)


@cache
def store() -> Store:
    """The archive that the settings name, as long as it is this ledger's. Raises ConfigurationError
    where what the environment says of its bucket makes no sense.
    """
    bare = bare_store()
    return Guarded(
        _opened(begins=False),
        lambda _, writing: vouching.assure(bare, ledger(), writing=writing),
    )


def bare_store() -> Store:
    """Whatever lies where the settings say that the archive does. Raises ConfigurationError."""
    return _opened(begins=True)


def _opened(*, begins: bool) -> Store:
    try:
        return open_store(settings().archive_url, begins=begins)
    except ValueError as error:
        raise ConfigurationError(f"EARWITNESS_ARCHIVE_URL: {error}") from None


@cache
def spool() -> Spool:
    """Where unfinished downloads lie."""
    return Spool(settings().spool_dir, settings().spool_reserve_bytes)


@cache
def transfer_slots() -> threading.BoundedSemaphore:
    """Transfers at once in this process; the other slots stay free for short actions."""
    return threading.BoundedSemaphore(settings().transfers_per_worker)


def zip_limits() -> Limits:
    """What a ZIP may unpack to."""
    return Limits(
        members=settings().zip_max_members,
        bytes=settings().zip_max_bytes,
        ratio=settings().zip_max_ratio,
    )


def account(alias: str) -> Account:
    """The account with this alias. Raises InvalidArgument."""
    try:
        return settings().accounts[alias]
    except KeyError:
        raise InvalidArgument(
            f"not done: account: no account is called {alias!r}; the accounts file names "
            f"{', '.join(sorted(settings().accounts)) or 'none'}"
        ) from None
