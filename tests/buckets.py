"""An object store for tests: moto's server on the loopback, which misbehaves on request."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto.s3.models import s3_backends
from moto.server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from archive.store.bucket import ObjectStore

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_KEY = "a secret/key+3f9c27"
#: How a put says that it must not replace an object.
_CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_X_GOOG_IF_GENERATION_MATCH")
#: What is answered with a status; the one that refuses a key repeats what was sent, and more.
_REFUSALS = {
    "301": b"<Error><Code>PermanentRedirect</Code></Error>",
    "400": b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>",
    "403": b"<Error><Code>SignatureDoesNotMatch</Code><Message>%b</Message></Error>"
    % _KEY.encode(),
    "409": b"<Error><Code>ConditionalRequestConflict</Code></Error>",
    "500": b"",
    "501": b"<Error><Code>NotImplemented</Code></Error>",
    "503": b"<Error><Code>SlowDown</Code></Error>",
    "401": b"<Error><Code>AuthenticationRequired</Code></Error>",
    # What a key hears that may create an object, and not replace one.
    "403 replacing gs": b"<Error><Code>AccessDenied</Code><Details>no storage.objects.delete access"
    b"</Details></Error>",
    "403 replacing az": b"<Error><Code>UnauthorizedBlobOverwrite</Code></Error>",
}


class Front:
    """Stands before the server. One request at a time is let through: moto decides about
    `If-None-Match` in two steps, which no real store does.

    A fault is for the next requests of a method whose address contains a string:

    - a status such as ``500``: refused with that, nothing is done
    - ``slow``: it takes a while, in the middle of the answer too
    - ``hang``: what is sent is taken, and nothing is done until the server is told to `go_on`
    - ``cut``: the answer breaks off in its middle
    - ``lost``: it is done, and no answer comes
    - ``unconditional``: the condition of a put is overlooked
    """

    def __init__(self, inner: Application) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._faults: list[list[Any]] = []
        self._goes_on = threading.Event()
        #: Method and address of every request.
        self.seen: list[str] = []
        #: Nobody is served.
        self.away = False
        #: Makes a put that must not replace an object one that does.
        self.overlook = _without_conditions

    def misbehave(self, how: str, method: str, containing: str = "", times: int = 1) -> None:
        """Order a fault."""
        if how == "hang":
            # The request may reach the fault only after the test has called `go_on`.
            self._goes_on.clear()
        self._faults.append([how, method, containing, times])

    def behave(self) -> None:
        """Be a good server again."""
        self._faults.clear()
        self.away = False
        self.go_on()

    def go_on(self) -> None:
        """Do what hangs."""
        self._goes_on.set()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        address = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        with self._lock:
            self.seen.append(address)
            how = "503" if self.away else self._fault(address)
        if how in _REFUSALS:
            start(f"{how} Trouble", [("Content-Type", "application/xml")])
            return [_REFUSALS[how]]
        if how == "hang":
            # What is sent is taken: a peer that takes nothing is given up by TCP itself.
            sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(sent)
            self._goes_on.wait(60)
        if how == "unconditional":
            self.overlook(environ)
        with self._lock:
            answer = list(self._inner(environ, start))
        if how == "lost":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        return {"cut": _broken, "slow": _slow}.get(how or "", iter)(answer)

    def _fault(self, address: str) -> str | None:
        for fault in self._faults:
            if fault[3] and address.startswith(f"{fault[1]} ") and fault[2] in address:
                fault[3] -= 1
                return str(fault[0])
        return None


def _without_conditions(environ: Environ) -> None:
    for condition in _CONDITIONS:
        environ.pop(condition, None)


def _slow(answer: list[bytes]) -> Iterator[bytes]:
    whole = b"".join(answer)
    for piece in (whole[: len(whole) // 2], whole[len(whole) // 2 :]):
        time.sleep(0.2)
        yield piece


def _broken(answer: list[bytes]) -> Iterator[bytes]:
    whole = b"".join(answer)
    yield whole[: len(whole) // 2]
    raise ConnectionAbortedError


class Buckets:
    """A running server of S3. `secret` must appear nowhere."""

    scheme = "s3"
    secret = _KEY

    def __init__(self, endpoint: str, front: Front) -> None:
        self.endpoint = endpoint
        self.front = front
        self.region = "eu-west-1"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        return name

    def address(self) -> str:
        """The address of an empty archive in a bucket of its own."""
        return f"{self.scheme}://{self.bucket()}/some/archive"

    def store(self) -> ObjectStore:
        """An empty archive in a bucket of its own."""
        return self.store_at(self.address())

    def store_at(self, address: str) -> ObjectStore:
        """The archive of this address."""
        bucket, _, prefix = address.partition("://")[2].partition("/")
        return ObjectStore(bucket, prefix, self.scheme)

    def age(self, address: str, seconds: float) -> None:
        """Let every object of an archive have been stored so long ago, by the server's clock."""
        age(address, seconds)

    def overwrite(self, address: str, path: str, data: bytes | None) -> None:
        """Change (or remove, by None) an object as somebody would who should not."""
        overwrite(address, path, data)


class Quiet(WSGIRequestHandler):
    """Logs no request."""

    def log(self, *_arguments: Any) -> None:
        """Say nothing."""


#: The servers that run in this process, by the scheme of their addresses.
_RUNNING: dict[str, Buckets] = {}


def serving(address: str) -> Buckets:
    """The server that has an archive."""
    return _RUNNING[address.partition("://")[0]]


@contextmanager
def known(buckets: Buckets) -> Iterator[None]:
    """Name a server in the environment of this process and of its children, and to `serving`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_RUNNING, buckets.scheme, buckets)
        for name, value in buckets.environment.items():
            patch.setenv(name, value)
        yield


@contextmanager
def running() -> Iterator[Buckets]:
    """A server in this process; the environment names it for this process and its children."""
    front = Front(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    buckets = Buckets(f"http://127.0.0.1:{server.port}", front)
    try:
        with known(buckets):
            yield buckets
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def age(address: str, seconds: float) -> None:
    """Let every object of an archive have been stored so long ago, by the server's clock."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    for backend in s3_backends.values():
        for region in backend.values():
            if bucket in region.buckets:
                for name, key in region.buckets[bucket].keys.items():
                    if name.startswith(prefix):
                        key.last_modified -= timedelta(seconds=seconds)


def overwrite(address: str, path: str, data: bytes | None) -> None:
    """Change (or remove, by None) an archive's object as somebody would who should not."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="eu-west-1"
    )
    place = {"Bucket": bucket, "Key": f"{prefix}/{path}"}
    if data is None:
        client.delete_object(**place)
    else:
        client.put_object(**place, Body=data)


def emptied(bucket: str) -> None:
    """Remove every object of a bucket, as somebody would who should not."""
    client = boto3.client(
        "s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="eu-west-1"
    )
    for found in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=found["Key"])
