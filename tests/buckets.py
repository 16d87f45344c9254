"""An object store for tests: moto's server on the loopback, with as many buckets as asked for."""

from __future__ import annotations

import logging
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

from archive.object_store import ObjectStore

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "a secret key",
    "AWS_REGION": "eu-west-1",
}


class Buckets:
    """A running server of S3."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint}

    def create(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        return name

    def store(self) -> ObjectStore:
        """An empty archive in a bucket of its own."""
        return ObjectStore(self.create(), "some/archive")

    def client(self) -> object:
        """Another program's view of the same server."""
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="eu-west-1")


@contextmanager
def running() -> Iterator[Buckets]:
    """A server in this process; the environment names it for this process and its children."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    buckets = Buckets(f"http://{host}:{port}")
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in buckets.environment.items():
                patch.setenv(name, value)
            yield buckets
    finally:
        server.stop()
