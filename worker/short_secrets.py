"""Warnings of secrets that are too short to be hidden everywhere."""

from __future__ import annotations

import logging

from config.secrets import LONG
from config.settings import Settings

_log = logging.getLogger(__name__)

MEANING = (
    f"shorter than {LONG} characters: easily guessed, and hidden only in text from outside, since "
    "a log line may contain such a short word by chance"
)
ADVICE = f"replace it with one of {LONG} characters or more"


def notice_short_secrets(settings: Settings) -> None:
    """Log a warning for each secret that is too short; the warning names its setting."""
    for name in settings.short_secrets():
        _log.warning("%s is %s; %s", name, MEANING, ADVICE)
