"""An emulator of Google Cloud Storage behind a front.

`obstore` uses the XML API. The emulator speaks the JSON API, and of the XML API only whole objects
and ranges. So the front answers conditions, ETags and the last byte of a range from the object's
metadata, writes lists as XML, and puts the parts of an upload together. That an object is not
replaced is therefore decided by the front; bytes, names and metadata are the emulator's.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

from tests.buckets import Environ, Start, known
from tests.servers import free_port

from .packages import gcs
from .server import Answer, EmulatedBuckets, Emulator, answered, body_of, fronted, started

_TOKEN = "ya29.a-secret-token-of-google-3f9c27"
_PAGE = 1000


class XmlFront(Emulator):
    """The XML API before the emulator."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._uploads: dict[str, dict[int, bytes]] = {}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request of the XML API."""
        path, _, query = environ["RAW_URI"].partition("?")
        bucket, _, name = unquote(path).lstrip("/").partition("/")
        options = {key: one for key, (one,) in parse_qs(query, keep_blank_values=True).items()}
        answer = self._answer(environ, bucket, name, options)
        return answered(self.aged(environ, answer), environ, start)

    def _answer(self, environ: Environ, bucket: str, name: str, options: dict[str, str]) -> Answer:
        method = environ["REQUEST_METHOD"]
        if environ.get("HTTP_AUTHORIZATION") != f"Bearer {_TOKEN}":
            return _error(401, "AuthenticationRequired")
        if self.ask("GET", f"/storage/v1/b/{bucket}").status == 404:
            return _error(404, "NoSuchBucket")
        if not name:
            return self._list(bucket, options)
        if "uploads" in options or "uploadId" in options:
            return self._upload(method, bucket, name, options, body_of(environ))
        if method == "PUT":
            return self._put(environ, bucket, name)
        return self._get(environ, bucket, name)

    def metadata(self, bucket: str, name: str) -> dict[str, Any] | None:
        """What the emulator knows of an object, None if it has none of that name."""
        answer = self.ask("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
        return None if answer.status == 404 else json.loads(answer.body)

    def store(self, bucket: str, name: str, data: bytes) -> Answer:
        """Store an object, whether or not there is one of that name."""
        if data:
            self.ask("PUT", f"/{bucket}/{quote(name)}", data)
        else:
            self._store_nothing(bucket, name)
        return Answer(200, self._headers(self.metadata(bucket, name) or {}), b"")

    def _store_nothing(self, bucket: str, name: str) -> None:
        """Store an empty object, which the emulator takes by another request only."""
        meta = json.dumps({"name": name})
        body = (
            f"--of\r\nContent-Type: application/json\r\n\r\n{meta}\r\n"
            "--of\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--of--\r\n"
        )
        kind = {"Content-Type": "multipart/related; boundary=of"}
        address = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        assert self.ask("POST", address, body.encode(), kind).status == 200

    def _put(self, environ: Environ, bucket: str, name: str) -> Answer:
        only_if = environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH")
        assert only_if in {None, "0"}
        if only_if == "0" and self.metadata(bucket, name):
            return _error(412, "PreconditionFailed")
        return self.store(bucket, name, body_of(environ))

    def _get(self, environ: Environ, bucket: str, name: str) -> Answer:
        found = self.metadata(bucket, name)
        if found is None:
            return _error(404, "NoSuchKey")
        size, headers = int(found["size"]), self._headers(found)
        if environ.get("HTTP_IF_MATCH") not in {None, headers["etag"]}:
            return _error(412, "PreconditionFailed")
        if environ["REQUEST_METHOD"] == "HEAD":
            return Answer(200, {**headers, "content-length": str(size)}, b"")
        sent = {}
        if asked := environ.get("HTTP_RANGE"):
            if int(asked.removeprefix("bytes=").partition("-")[0]) >= size:
                return _error(416, "InvalidRange")
            sent = {"Range": asked}
        answer = self.ask("GET", f"/{bucket}/{quote(name)}", headers=sent)
        return answer._replace(headers={**answer.headers, **headers})

    def _upload(
        self, method: str, bucket: str, name: str, options: dict[str, str], data: bytes
    ) -> Answer:
        if "uploads" in options:
            self._uploads[upload := uuid.uuid4().hex] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        upload = options["uploadId"]
        if upload not in self._uploads:
            return _error(404, "NoSuchUpload")
        if method == "PUT":
            self._uploads[upload][number := int(options["partNumber"])] = data
            return Answer(200, {"etag": f'"{number}"'}, b"")
        parts = self._uploads.pop(upload)
        if method == "DELETE":
            return Answer(204, {}, b"")
        stored = self.store(bucket, name, b"".join(parts[one] for one in sorted(parts)))
        tag = escape(stored.headers["etag"])
        return _xml("CompleteMultipartUploadResult", f"<ETag>{tag}</ETag>")

    def _list(self, bucket: str, options: dict[str, str]) -> Answer:
        prefix, after = options.get("prefix", ""), options.get("continuation-token", "")
        answer = self.ask("GET", f"/storage/v1/b/{bucket}/o?prefix={quote(prefix, safe='')}")
        left = [one for one in json.loads(answer.body)["items"] if one["name"] > after]
        text = "".join(
            f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size>"
            f"<LastModified>{one['updated']}</LastModified><ETag>{_tag(one)}</ETag></Contents>"
            for one in left[:_PAGE]
        )
        if left[_PAGE:]:
            token = escape(left[_PAGE - 1]["name"])
            text += f"<NextContinuationToken>{token}</NextContinuationToken>"
        return _xml("ListBucketResult", text)

    def _headers(self, found: dict[str, Any]) -> dict[str, str]:
        stored = datetime.fromisoformat(found["updated"])
        return {
            "etag": _tag(found),
            "last-modified": format_datetime(stored, usegmt=True),
            "x-goog-generation": found["generation"],
        }


class GcsBuckets(EmulatedBuckets):
    """Archives in the emulator."""

    scheme = "gs"
    secret = _TOKEN
    emulator: XmlFront

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {"GOOGLE_BASE_URL": self.endpoint, "GOOGLE_BEARER_TOKEN": _TOKEN}

    def make(self, name: str) -> None:
        """Make a bucket."""
        body = json.dumps({"name": name}).encode()
        kind = {"Content-Type": "application/json"}
        assert self.emulator.ask("POST", "/storage/v1/b", body, kind).status == 200

    def put(self, bucket: str, name: str, data: bytes | None) -> None:
        """Change an object (or remove it, by None)."""
        if data is None:
            address = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
            self.emulator.ask("DELETE", address)
        else:
            self.emulator.store(bucket, name, data)


def _tag(found: dict[str, Any]) -> str:
    return f'"{found["generation"]}"'


def _error(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
    return Answer(status, {"content-type": "application/xml"}, body.encode())


def _xml(element: str, text: str) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?><{element}>{text}</{element}>"
    return Answer(200, {"content-type": "application/xml"}, body.encode())


@contextmanager
def running() -> Iterator[GcsBuckets]:
    """The emulator; the environment names it for this process and its children."""
    port = free_port()
    packages = gcs()
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory"]
    options = ["--host", "127.0.0.1", "--port", str(port)]
    with (
        started(packages, [*command, *options], {"PYTHONPATH": str(packages.folder)}, port),
        fronted(emulator := XmlFront(port)) as (endpoint, front),
    ):
        buckets = GcsBuckets(endpoint, front, emulator)
        with known(buckets):
            yield buckets
