"""The secrets of an object store, whose settings are not ours."""

from __future__ import annotations

import os

#: Environment variables of the object store that contain a secret, as `obstore` reads them.
_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
)


def storage_secrets() -> tuple[str, ...]:
    """Return every secret of the object store in this process' environment."""
    return tuple(value for name in _SECRETS if (value := os.environ.get(name)))
