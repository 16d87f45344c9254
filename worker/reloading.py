"""Reloading the accounts at SIGHUP, in any of our processes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from config.reloading import Reloaded, reload_accounts
from config.settings import ConfigurationError, Settings, settings

from .short_secrets import notice_short_secrets

_log = logging.getLogger(__name__)


def reload(prepare: Callable[[Settings], object] | None = None) -> Reloaded:
    """Reload the accounts and log what changed.

    ``prepare`` is called with the new settings before they are adopted. Raises ConfigurationError;
    then nothing changed.
    """
    try:
        done = reload_accounts(prepare)
    except ConfigurationError as error:
        _log.error("the accounts stay as they were, because they cannot be reloaded: %s", error)
        raise
    _log.warning("%s", done)
    notice_short_secrets(settings())
    return done


def reload_at_hangup(action: Callable[[], object] = reload) -> None:
    """Call ``action`` at SIGHUP, in a thread of its own.

    A process that was started at a terminal ends when the terminal closes, as SIGTERM ends it.
    """
    has_terminal = _has_terminal()

    def handle(*_: object) -> None:
        if has_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        threading.Thread(target=_attempt, args=(action,), daemon=True).start()

    signal.signal(signal.SIGHUP, handle)


def _attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except ConfigurationError:
        pass  # logged
    except Exception:  # noqa: BLE001 - logged; the process keeps the accounts it has
        _log.exception("the accounts were not reloaded")


def _has_terminal() -> bool:
    return sys.__stdout__ is not None and not sys.__stdout__.closed and sys.__stdout__.isatty()
