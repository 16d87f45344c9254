"""A client of a bucket, configured by the environment: endpoint, region, credentials."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from config.masking import without
from config.storage import storage_secrets

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_NEVER_EMPTY = (
    *_ENDPOINTS,
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
_REASON = re.compile(r"source: (.+?),?\n")
#: One request is tried for half a minute; then the job that needs it waits, and starts again.
_RETRIES = {
    "max_retries": 6,
    "backoff": {"max_backoff": timedelta(seconds=5)},
    "retry_timeout": timedelta(seconds=30),
}
#: The limit of a whole request: four parts of 8 MiB at once pass a line of 2.5 Mbit/s.
_TIMEOUT = timedelta(seconds=120)


def opened(address: str, bucket: str, prefix: str) -> S3Store:
    """Return a client for the objects under `prefix` in `bucket`; no request is made yet.

    Raises ValueError, naming the variable, if a variable of the environment is invalid.
    """
    for name in _NEVER_EMPTY:
        if os.environ.get(name, " ").strip() == "" and name in os.environ:
            raise ValueError(
                f"{address} cannot be opened: {name} is empty; set it, or remove it from the "
                "environment"
            )
    http = _speaks_http(address)
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            # This overrides AWS_CONDITIONAL_PUT: without it files could be overwritten.
            conditional_put="etag",
            client_options={"timeout": _TIMEOUT, "allow_http": http},
            retry_config=_RETRIES,  # type: ignore[arg-type]
        )
    except BaseError as error:
        raise ValueError(f"{address} cannot be opened: {_reason(error)}") from None


def _speaks_http(address: str) -> bool:
    """Return whether the effective endpoint is unencrypted."""
    speaks = []
    for name in _ENDPOINTS:
        endpoint = os.environ.get(name)
        if endpoint is None:
            continue
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                f"{address} cannot be opened: {name} is not an address; write it like "
                "https://storage.example:9000"
            )
        speaks.append(parts.scheme)
    return speaks[:1] == ["http"]


def _reason(error: BaseError) -> str:
    """Return `obstore`'s objection to a setting, on one line, without a secret."""
    found = _REASON.search(str(error))
    fault = found[1] if found else "check the AWS_... variables"
    if fault == "MissingSecretAccessKey":
        return "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both"
    if fault == "MissingAccessKeyId":
        return "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; set both"
    return without(f"an AWS_... variable of the environment is wrong: {fault}", storage_secrets())
