"""How much commands say: the options -q and -v, which stand before a command's name."""

from __future__ import annotations

import logging
from typing import Any

import click

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def is_quiet() -> bool:
    """Return whether only results and errors are to be printed."""
    return bool(_option("quiet"))


def log_level() -> int:
    """Return the level from which log lines are printed."""
    if is_quiet():
        return logging.ERROR
    return _LEVELS[min(_option("verbose") or 0, len(_LEVELS) - 1)]


def _option(name: str) -> Any:
    context = click.get_current_context(silent=True)
    return None if context is None else context.find_root().params.get(name)
