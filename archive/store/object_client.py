"""A client of a bucket, configured by the environment: endpoint, region, credentials."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from config.masking import without
from config.storage import storage_secrets

from .object_services import AZURE, GCS, Service, service_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: What `obstore` says of a value that it cannot read, such as a boolean.
_VALUE = re.compile(r'source: "(.+)",?\n')
#: One request is tried for half a minute; then the job that needs it waits, and starts again.
_RETRIES = {
    "max_retries": 6,
    "backoff": {"max_backoff": timedelta(seconds=5)},
    "retry_timeout": timedelta(seconds=30),
}
#: The limit of a whole request: four parts of 8 MiB at once pass a line of 2.5 Mbit/s.
_TIMEOUT = timedelta(seconds=120)

BucketClient = S3Store | GCSStore | AzureStore


def opened(address: str, bucket: str, prefix: str) -> BucketClient:
    """Return a client for the objects under `prefix` in `bucket`; no request is made yet.

    Raises ValueError, naming the variable, if a variable of the environment is invalid.
    """
    service = service_of(address)
    for name in (*service.endpoints, *service.settings):
        if os.environ.get(name, " ").strip() == "" and name in os.environ:
            raise ValueError(
                f"{address} cannot be opened: {name} is empty; set it, or remove it from the "
                "environment"
            )
    http = _speaks_http(address, service)
    client, more = _client_of(service)
    try:
        return client(
            bucket,
            prefix=prefix or None,
            client_options={"timeout": _TIMEOUT, "allow_http": http},
            retry_config=_RETRIES,
            **more,
        )
    except BaseError as error:
        raise ValueError(f"{address} cannot be opened: {_reason(service, error)}") from None


def _client_of(service: Service) -> tuple[Callable[..., BucketClient], dict[str, Any]]:
    """Return a service's client and the options that no variable may change."""
    if service is GCS:
        return GCSStore, {}
    if service is AZURE:
        return AzureStore, {}
    # This overrides AWS_CONDITIONAL_PUT: without it files could be overwritten.
    return S3Store, {"conditional_put": "etag"}


def _speaks_http(address: str, service: Service) -> bool:
    """Return whether the effective endpoint is unencrypted."""
    speaks = []
    for name in service.endpoints:
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


def _reason(service: Service, error: BaseError) -> str:
    """Return `obstore`'s objection to a setting, on one line, without a secret."""
    message = str(error)
    for words, sentence in service.faults.items():
        if words in message:
            return sentence
    value = _VALUE.search(message)
    fault = value[1] if value else f"check the {service.variables} variables"
    return without(
        f"one of the {service.variables} variables of the environment is wrong: {fault}",
        storage_secrets(),
    )
