"""The object stores that can hold an archive: their settings, and their words in our errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """What the archive has to know of one kind of object store.

    `endpoints` and `settings` are variables of the environment: those that name another server, the
    first of them first, and the others that may not be empty. `faults` are objections of `obstore`
    to a setting, each with a sentence for the operator.
    """

    scheme: str
    place: str
    variables: str
    endpoints: tuple[str, ...]
    settings: tuple[str, ...]
    faults: Mapping[str, str]
    #: Where a machine of the cloud asks for its own credentials; `obstore` does so without others.
    machine: tuple[str, ...]
    #: What to do without credentials, and where requests are denied or rejected.
    credentials: str
    access: str
    addressing: str
    #: The variables that decide which server is asked.
    host: str
    #: The header without which a file could be overwritten.
    condition: str
    #: The codes of an answer about a missing bucket.
    no_bucket: tuple[str, ...]
    #: What a refusal contains if its only reason is an existing object.
    overwriting: tuple[str, ...] = ()


S3 = Service(
    scheme="s3",
    place="bucket",
    variables="AWS_...",
    endpoints=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    settings=(
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ),
    faults={
        "Missing SecretAccessKey": (
            "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both"
        ),
        "Missing AccessKeyId": (
            "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; set both"
        ),
    },
    machine=("169.254.169.254",),
    credentials=(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment "
        "(neither .env nor ~/.aws is read for them)"
    ),
    access=(
        "allow its key to read, list and write "
        "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the bucket's policy)"
    ),
    addressing="check AWS_REGION and AWS_ENDPOINT_URL",
    host="AWS_ENDPOINT_URL",
    condition="If-None-Match",
    no_bucket=("NoSuchBucket",),
)

GCS = Service(
    scheme="gs",
    place="bucket",
    variables="GOOGLE_...",
    endpoints=("GOOGLE_BASE_URL",),
    settings=(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_BEARER_TOKEN",
    ),
    faults={
        "unknown variant `external_account": (
            "its credentials are of a kind that is not supported (external_account); use the key "
            "of a service account, or the service account of the machine"
        ),
        "Unable to open service account file": (
            "a file of credentials cannot be read; check GOOGLE_APPLICATION_CREDENTIALS and "
            "GOOGLE_SERVICE_ACCOUNT"
        ),
        "Unable to decode service account file": (
            "its credentials are not those of a service account or a user; check "
            "GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_SERVICE_ACCOUNT and GOOGLE_SERVICE_ACCOUNT_KEY"
        ),
        "One of service account path or service account key": (
            "GOOGLE_SERVICE_ACCOUNT and GOOGLE_SERVICE_ACCOUNT_KEY are both set; set one of them"
        ),
        "pem file": (
            "the private key of its service account is damaged; check "
            "GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_SERVICE_ACCOUNT and GOOGLE_SERVICE_ACCOUNT_KEY"
        ),
    },
    machine=("169.254.169.254", "metadata.google.internal"),
    credentials=(
        "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY in the environment (.env "
        "is not read for them), or give the machine a service account"
    ),
    access=(
        "allow its service account to read, list and create objects "
        "(GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_SERVICE_ACCOUNT_KEY, the bucket's permissions)"
    ),
    addressing="check the bucket's name and GOOGLE_BASE_URL",
    host="GOOGLE_BASE_URL",
    condition="x-goog-if-generation-match",
    no_bucket=("NoSuchBucket",),
    # Replacing an object takes the right to delete it, which the archive's key does not need.
    overwriting=("storage.objects.delete",),
)

AZURE = Service(
    scheme="az",
    place="container",
    variables="AZURE_...",
    endpoints=("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    settings=(
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
    ),
    faults={
        "Account must be specified": (
            "AZURE_STORAGE_ACCOUNT_NAME is not set; set it to the name of the storage account"
        ),
        "Invalid Access Key": (
            "AZURE_STORAGE_ACCOUNT_KEY is not base64; copy the whole key of the storage account"
        ),
        "SAS query pair": (
            "AZURE_STORAGE_SAS_TOKEN is not a shared access signature; write it like "
            "sv=...&sp=...&sig=..."
        ),
        "SAS key": (
            "AZURE_STORAGE_SAS_TOKEN is not a shared access signature; write it like "
            "sv=...&sp=...&sig=..."
        ),
        "credential type": ("AZURE_CREDENTIAL_TYPE is not a kind of credentials"),
    },
    machine=("169.254.169.254",),
    credentials=(
        "set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_CLIENT_ID with "
        "AZURE_CLIENT_SECRET and AZURE_TENANT_ID in the environment (.env is not read for them), "
        "or give the machine a managed identity"
    ),
    access=(
        "allow its key or identity to read, list and write blobs (AZURE_STORAGE_ACCOUNT_KEY, "
        "AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID, the roles on the container)"
    ),
    addressing="check the container's name, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ENDPOINT",
    host="AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ENDPOINT",
    condition="If-None-Match",
    no_bucket=("ContainerNotFound",),
    overwriting=("BlobAlreadyExists", "BlobImmutableDueToPolicy", "UnauthorizedBlobOverwrite"),
)

SERVICES = {service.scheme: service for service in (S3, GCS, AZURE)}


def service_of(address: str) -> Service:
    """Return the object store of an archive's address, such as `gs://bucket/prefix`."""
    return SERVICES[address.partition("://")[0]]
