"""The configured deployment, as commands use it."""

from __future__ import annotations

import getpass
import logging
import os
import socket

from config import logging as our_logging
from config.settings import Settings, settings
from ledger.ledger import Ledger
from tasks.runtime.context import ledger

from .verbosity import log_level

#: With -v they say everything, and the libraries only what is worth a line.
_OUR_LOGGERS = ("providers", "archive", "ledger", "tasks", "worker")


def configured() -> Settings:
    """Return the settings; set up masked logs on standard error. Raises ConfigurationError."""
    found, level = settings(), log_level()
    our_logging.configure(found.log_format, level, found.secret_values())
    if level >= logging.WARNING:
        # No line for each retry: the final failure becomes the command's own sentence.
        logging.getLogger("stamina").setLevel(logging.ERROR)
    else:
        for name in _OUR_LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)
    return found


def opened() -> Ledger:
    """Return the ledger, created if necessary. Raises ConfigurationError and LedgerError."""
    configured()
    ledger().identity.prepare()
    return ledger()


def operator() -> str:
    """Return the user and host that run the command, for the history of a job."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
