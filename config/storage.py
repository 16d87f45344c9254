"""The object stores that may hold the archive, and their secrets, whose settings are not ours."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

#: The schemes of their addresses, and what each of them calls the place of its objects.
OBJECT_STORES = {"s3": "bucket", "gs": "bucket", "az": "container"}
#: How their addresses are written, for people.
OBJECT_ADDRESSES = "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"

#: Environment variables of an object store that contain a secret, as `obstore` reads them.
_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_ENCRYPTION_KEY",
    "AZURE_ENCRYPTION_KEY",
    "AZURE_FABRIC_SESSION_TOKEN",
    # With it a process of Azure App Service gets tokens from the platform.
    "IDENTITY_HEADER",
)
#: The secrets within a key of a service account.
_WITHIN_A_KEY = ("private_key", "client_secret", "refresh_token")
#: What a shared access signature is signed with; the rest of it is no secret.
_SIGNATURES = ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN")


def storage_secrets() -> tuple[str, ...]:
    """Return every secret of the object store in this process' environment."""
    whole = (value for name in _SECRETS if (value := os.environ.get(name)))
    return (*whole, *_of_service_account(), *_of_signatures())


def _of_service_account() -> Iterator[str]:
    try:
        key = json.loads(os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY", ""))
    except ValueError:
        return
    for name in _WITHIN_A_KEY if isinstance(key, dict) else ():
        if isinstance(value := key.get(name), str):
            yield value


def _of_signatures() -> Iterator[str]:
    for name in _SIGNATURES:
        _, found, signature = f"&{os.environ.get(name, '').lstrip('?')}".partition("&sig=")
        if found and (value := signature.partition("&")[0]):
            yield value
