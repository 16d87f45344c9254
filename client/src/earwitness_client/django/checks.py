"""Django's system checks of the setting EARWITNESS."""

from __future__ import annotations

from typing import Any

from django.core.checks import Error

from . import configuration

#: The id of each field's errors.
_IDS = {"": 1, "URL": 3, "QUEUE": 4, "KEY_PREFIX": 5, "NOTIFY_QUEUE": 6}
_UNKNOWN_FIELD = 2


def check_settings(**_: Any) -> list[Error]:
    """Return an error for everything that is wrong with the setting."""
    return [
        Error(str(fault), id=f"earwitness.E{_IDS.get(fault.field, _UNKNOWN_FIELD):03}")
        for fault in configuration.faults()
    ]
