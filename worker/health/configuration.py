"""A remote control command for ``doctor``: the fingerprints of a worker's configuration."""

from __future__ import annotations

from typing import Any

from celery.worker.control import inspect_command

from config.fingerprints import fingerprints
from config.settings import settings

#: The remote control command's name.
CONFIGURATION_COMMAND = "earwitness_configuration"
#: A longer salt is not ours.
_MAX_SALT = 64


@inspect_command(name=CONFIGURATION_COMMAND, args=[("salt", str)])
def configuration(_state: Any, salt: str) -> dict[str, Any]:
    """Return the fingerprints of every setting and field that all workers must have in common."""
    return {"fingerprints": fingerprints(settings(), salt[:_MAX_SALT])}
