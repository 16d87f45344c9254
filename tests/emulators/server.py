"""What both emulators share: a process behind a front in this process, and a place for archives."""

from __future__ import annotations

import http.client
import subprocess
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from werkzeug.serving import make_server

from tests.buckets import Buckets, Environ, Front, Quiet, Start
from tests.page_packages import Packages
from tests.waiting import eventually

#: Headers of one connection, which the front does not pass on.
_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}


class Answer(NamedTuple):
    """An emulator's answer; the names of its headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class Emulator:
    """A running emulator, and a front of WSGI that passes requests on to it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._aged: dict[str, float] = {}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Pass a request on as it came."""
        return answered(self.aged(environ, self.passed_on(environ)), environ, start)

    def passed_on(self, environ: Environ) -> Answer:
        """Return the emulator's answer to a request."""
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name != "HTTP_HOST"
        }
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        return self.ask(environ["REQUEST_METHOD"], environ["RAW_URI"], body_of(environ), headers)

    def ask(
        self, method: str, address: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """Make one request of the emulator."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            sent = body if body or method in {"PUT", "POST"} else None
            connection.request(method, address, sent, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def age(self, paths: Iterable[str], seconds: float) -> None:
        """Let these objects, by bucket and name, have been stored so long ago."""
        for path in paths:
            self._aged[path] = self._aged.get(path, 0) + seconds

    def aged(self, environ: Environ, answer: Answer) -> Answer:
        """Return an answer with the time at which its object is to have been stored."""
        stored = answer.headers.get("last-modified")
        seconds = next(
            (self._aged[one] for one in self._aged if _path(environ).endswith(f"/{one}")), 0
        )
        if stored is None or not seconds:
            return answer
        then = parsedate_to_datetime(stored).astimezone(UTC) - timedelta(seconds=seconds)
        return answer._replace(
            headers={**answer.headers, "last-modified": format_datetime(then, usegmt=True)}
        )


class EmulatedBuckets(Buckets):
    """Archives in an emulator. `secret` must appear nowhere."""

    scheme = ""
    secret = ""

    def __init__(self, endpoint: str, front: Front, emulator: Emulator) -> None:
        super().__init__(endpoint, front)
        self.emulator = emulator

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.make(name)
        return name

    def make(self, name: str) -> None:
        """Make a bucket."""
        raise NotImplementedError

    def put(self, bucket: str, name: str, data: bytes | None) -> None:
        """Replace an object of any name, or remove it if its new content is None."""
        raise NotImplementedError

    def age(self, address: str, seconds: float) -> None:
        """Let every object of an archive have been stored so long ago."""
        bucket, prefix = named(address)
        paths = self.store_at(address).paths()
        self.emulator.age([f"{bucket}/{prefix}/{path}" for path in paths], seconds)

    def overwrite(self, address: str, path: str, data: bytes | None) -> None:
        """Change (or remove, by None) an object as somebody would who should not."""
        bucket, prefix = named(address)
        self.put(bucket, f"{prefix}/{path}", data)


def named(address: str) -> tuple[str, str]:
    """The bucket and the prefix of an archive's address."""
    bucket, _, prefix = address.partition("://")[2].partition("/")
    return bucket, prefix


def answered(answer: Answer, environ: Environ, start: Start) -> Iterable[bytes]:
    """Give an answer by WSGI."""
    headers = [
        (name, value)
        for name, value in answer.headers.items()
        if name.lower() not in _OF_THE_CONNECTION
    ]
    size = answer.headers.get("content-length", "0")
    length = size if environ["REQUEST_METHOD"] == "HEAD" else str(len(answer.body))
    start(f"{answer.status} Answer", [*headers, ("Content-Length", length)])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def body_of(environ: Environ) -> bytes:
    """What a request sends."""
    sent: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return sent


def _path(environ: Environ) -> str:
    return unquote(str(environ["RAW_URI"]).partition("?")[0])


@contextmanager
def started(
    packages: Packages, command: Sequence[str | Path], environment: dict[str, str], port: int
) -> Iterator[None]:
    """Run an emulator's process; skip the test where its packages were not fetched."""
    if not packages.fetched:
        pytest.skip(
            f"{packages.folder.name} was not fetched: `make test` and `make soak` do, where a "
            "registry answers"
        )
    process = subprocess.Popen(
        [*map(str, command)],
        env=environment,
        cwd=packages.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _listens(port), within=60, what="the emulator does not listen")
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


@contextmanager
def fronted(emulator: Emulator) -> Iterator[tuple[str, Front]]:
    """Serve a front before an emulator; its endpoint and the front."""
    front = Front(emulator)
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", front
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
