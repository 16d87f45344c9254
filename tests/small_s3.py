"""As much of S3 as one large upload and its reading back need, with its bytes on the disk.

moto reads a whole object for every range of it: 700 MB 200 times over.
"""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_PIECE = 1 << 20


class SmallS3:
    """A server with one bucket for one object at a time. A context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        handler = type("Handler", (_Handler,), {"folder": folder})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        port = self._server.server_address[1]
        self.environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "a secret key",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    @property
    def _object(self) -> Path:
        return self.folder / "object"

    def do_HEAD(self) -> None:
        if not self._object.exists():
            self._answer(404)
            return
        self._answer(200, length=self._object.stat().st_size)

    def do_POST(self) -> None:
        """Begin or complete an upload."""
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if "uploads" in urlsplit(self.path).query:
            answer = "<InitiateMultipartUploadResult><UploadId>1</UploadId>"
            self._answer(200, f"{answer}</InitiateMultipartUploadResult>".encode())
            return
        with self._object.open("wb") as whole:
            for part in sorted(self.folder.glob("part-*")):
                whole.write(part.read_bytes())
                part.unlink()
        answer = '<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>'
        self._answer(200, answer.encode())

    def do_PUT(self) -> None:
        number = int(parse_qs(urlsplit(self.path).query)["partNumber"][0])
        left = int(self.headers["Content-Length"])
        with (self.folder / f"part-{number:05}").open("wb") as part:
            while left:
                left -= part.write(self.rfile.read(min(left, _PIECE)))
        self._answer(200)

    def do_GET(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found is not None
        first, last = map(int, found.groups())
        with self._object.open("rb") as file:
            file.seek(first)
            data = file.read(last + 1 - first)
        size = self._object.stat().st_size
        self._answer(206, data, Content_Range=f"bytes {first}-{last}/{size}")

    def _answer(self, status: int, body: bytes = b"", length: int = 0, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""
