"""Azurite behind a front. Requests pass it unchanged: their signatures are checked by Azurite."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from urllib.parse import parse_qsl

from tests import page_packages
from tests.buckets import Environ, known
from tests.servers import free_port

from .packages import azurite
from .server import EmulatedBuckets, Emulator, fronted, started

#: The account and the key that Azurite is documented to have.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Containers(EmulatedBuckets):
    """Archives in Azurite."""

    scheme = "az"
    secret = _KEY

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "AZURE_STORAGE_ENDPOINT": f"{self.endpoint}/{_ACCOUNT}",
        }

    def make(self, name: str) -> None:
        """Make a container."""
        self._signed("PUT", f"/{name}", "restype=container")

    def put(self, bucket: str, name: str, data: bytes | None) -> None:
        """Replace a blob of any name, or remove it if its new content is None."""
        if data is None:
            self._signed("DELETE", f"/{bucket}/{name}")
        else:
            self._signed("PUT", f"/{bucket}/{name}", data=data)

    def make_way(self, environ: Environ) -> None:
        """Remove the blob that a put is not to replace: without its condition the put would bear a
        wrong signature.
        """
        self._signed("DELETE", environ["PATH_INFO"].removeprefix(f"/{_ACCOUNT}"))

    def _signed(self, method: str, path: str, query: str = "", data: bytes = b"") -> None:
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        if method == "PUT" and not query:
            headers["x-ms-blob-type"] = "BlockBlob"
        named = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        options = "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(query)))
        length = str(len(data)) if data else ""
        text = (
            f"{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{named}/{_ACCOUNT}/{_ACCOUNT}{path}{options}"
        )
        digest = hmac.digest(base64.b64decode(_KEY), text.encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
        address = f"/{_ACCOUNT}{path}{'?' if query else ''}{query}"
        answer = self.emulator.ask(method, address, data, headers)
        assert answer.status in {201, 202, 404}, answer


@contextmanager
def running() -> Iterator[Containers]:
    """Azurite; the environment names it for this process and its children."""
    port = free_port()
    packages = azurite()
    program = packages.folder / "node_modules/azurite/dist/src/blob/main.js"
    options = ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--blobPort", str(port)]
    with (
        started(packages, [page_packages.node(), program, *options], {}, port),
        fronted(emulator := Emulator(port)) as (endpoint, front),
    ):
        containers = Containers(endpoint, front, emulator)
        front.overlook = containers.make_way
        with known(containers):
            yield containers
