"""Of an object store's settings, which have names of their own, what none of ours says."""

from __future__ import annotations

import os

#: Variables of the environment that hold a secret of the object store, as `obstore` reads them.
_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
)


def storage_secrets() -> tuple[str, ...]:
    """Every secret of the object store in this process' environment."""
    return tuple(value for name in _SECRETS if (value := os.environ.get(name)))
