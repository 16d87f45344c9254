"""Saying which secrets are too short to be hidden everywhere."""

from __future__ import annotations

import logging

from config.secrets import LONG
from config.settings import Settings

_log = logging.getLogger(__name__)

MEANING = (
    f"shorter than {LONG} characters: easily guessed, and hidden only in what comes from outside, "
    "since a line of the log may hold so short a word by chance"
)
ADVICE = f"have it changed for one of {LONG} characters or more"


def notice_short_secrets(settings: Settings) -> None:
    """Warn of each secret that is too short, by the name of its setting."""
    for name in settings.short_secrets():
        _log.warning("%s is %s; %s", name, MEANING, ADVICE)
