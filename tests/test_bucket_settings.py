"""The settings of an object store, which stand in the environment, and its refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from archive.store.directory import open_store
from config.storage import storage_secrets

from .buckets import Buckets
from .object_store_promises import refuses_naming

SECRET = "c2VjcmV0LXRoYXQtbm8tb25lLW1heS1zZWU="
AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-1"}
GOOGLE = {"GOOGLE_BEARER_TOKEN": SECRET}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "example", "AZURE_STORAGE_ACCOUNT_KEY": SECRET}
#: A key that is none: its fields are there, and its private key is no key.
KEY = {
    "type": "service_account",
    "client_email": "a@b",
    "private_key_id": "1",
    "private_key": SECRET,
}
GOOD = {"s3://bucket/x": AWS, "gs://bucket/x": GOOGLE, "az://container/x": AZURE}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("403", "AWS_SECRET_ACCESS_KEY"),
        ("400", "AWS_REGION"),
        ("301", "AWS_REGION"),
        ("501", "If-None-Match"),
    ],
)
def test_a_refusal_names_what_to_change(buckets: Buckets, status: str, said: str) -> None:
    """A wrong key, a wrong region, a store without put-if-absent: told at once as what somebody has
    to mend, without a word of what the server said, which may repeat a key.
    """
    refuses_naming(buckets, status, said)


def test_put_if_absent_can_not_be_switched_off(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says of it."""
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    assert buckets.store().gives_names_once()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which no object store is named."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("address", GOOD)
def test_each_store_opens_with_its_own_variables(bare: pytest.MonkeyPatch, address: str) -> None:
    """What makes sense is accepted, and shown as it was written."""
    for name, value in GOOD[address].items():
        bare.setenv(name, value)
    assert open_store(address).address == address


@pytest.mark.parametrize(
    ("address", "changed", "said"),
    [
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "storage.example:9000"}, "is not an address"),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL_S3": ""}, "AWS_ENDPOINT_URL_S3 is empty"),
        ("s3://bucket/x", {"AWS_REGION": ""}, "AWS_REGION is empty"),
        ("s3://bucket/x", {"AWS_SECRET_ACCESS_KEY": None}, "AWS_SECRET_ACCESS_KEY is not"),
        ("s3://bucket/x", {"AWS_ACCESS_KEY_ID": None}, "AWS_ACCESS_KEY_ID is not"),
        ("s3://bucket/x", {"AWS_CHECKSUM_ALGORITHM": "crc7"}, "not a valid checksum"),
        ("gs://bucket/x", {"GOOGLE_BASE_URL": "storage.example"}, "GOOGLE_BASE_URL is not an addr"),
        ("gs://bucket/x", {"GOOGLE_BASE_URL": ""}, "GOOGLE_BASE_URL is empty"),
        ("gs://bucket/x", {"GOOGLE_SERVICE_ACCOUNT_KEY": ""}, "GOOGLE_SERVICE_ACCOUNT_KEY is em"),
        ("gs://bucket/x", {"GOOGLE_SERVICE_ACCOUNT": "/nowhere"}, "GOOGLE_SERVICE_ACCOUNT"),
        (
            "gs://bucket/x",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere", "GOOGLE_BEARER_TOKEN": None},
            "cannot be read; check GOOGLE_APPLICATION_CREDENTIALS",
        ),
        ("gs://bucket/x", {"GOOGLE_SERVICE_ACCOUNT_KEY": SECRET}, "GOOGLE_SERVICE_ACCOUNT_KEY"),
        ("gs://bucket/x", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(KEY)}, "private key .* damag"),
        ("gs://bucket/x", {"GOOGLE_SKIP_SIGNATURE": "perhaps"}, "GOOGLE_... variables"),
        ("az://container/x", {"AZURE_STORAGE_ACCOUNT_NAME": None}, "ACCOUNT_NAME is not set"),
        ("az://container/x", {"AZURE_STORAGE_ACCOUNT_NAME": ""}, "ACCOUNT_NAME is empty"),
        ("az://container/x", {"AZURE_STORAGE_ACCOUNT_KEY": f"%{SECRET}"}, "is not base64"),
        ("az://container/x", {"AZURE_STORAGE_ENDPOINT": "example"}, "AZURE_STORAGE_ENDPOINT is"),
        (
            "az://container/x",
            {"AZURE_STORAGE_ACCOUNT_KEY": None, "AZURE_STORAGE_SAS_TOKEN": "nonsense"},
            "AZURE_STORAGE_SAS_TOKEN is not a shared access signature",
        ),
        ("az://container/x", {"AZURE_CREDENTIAL_TYPE": SECRET}, "AZURE_CREDENTIAL_TYPE is not a"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(
    bare: pytest.MonkeyPatch, address: str, changed: dict[str, str | None], said: str
) -> None:
    """Before any request, in one line, with the archive's address, and without a secret."""
    for name, value in {**GOOD[address], **changed}.items():
        if value is None:
            bare.delenv(name, raising=False)
        else:
            bare.setenv(name, value)
    with pytest.raises(ValueError, match=said) as caught:
        open_store(address)
    assert str(caught.value).startswith(f"{address} cannot be opened: ")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_credentials_of_another_kind_are_named(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file for workload identity federation, which obstore does not read, says what would be."""
    file = tmp_path / "credentials.json"
    file.write_text('{"type": "external_account"}')
    bare.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(ValueError, match=r"not supported \(external_account\).*service account"):
        open_store("gs://bucket/x")


def test_every_secret_of_a_store_is_hidden(bare: pytest.MonkeyPatch) -> None:
    """Keys and tokens, what lies within a key of Google's, and what signs an address of Azure's."""
    bare.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps({**KEY, "private_key": "the private key"}))
    bare.setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=2026&sig=the%20signature&sp=rl")
    alone = ("GOOGLE_BEARER_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_SECRET")
    for name in alone:
        bare.setenv(name, f"{name} itself")
    bare.setenv("AZURE_STORAGE_ACCOUNT_NAME", "example")
    hidden = set(storage_secrets())
    assert {"the private key", "the%20signature", *(f"{name} itself" for name in alone)} <= hidden
    assert os.environ["GOOGLE_SERVICE_ACCOUNT_KEY"] in hidden
    assert "example" not in hidden
