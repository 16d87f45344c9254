"""Samples of requests and answers, without secrets, telephone numbers or audio."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx

from config.masking import HIDDEN, conceal, mask_message, mask_tree

from .redaction import PERSONAL_FIELDS, last_three

#: So many bytes of an answer are kept; of a ZIP only its first local header.
_MAX_BYTES = 1 << 20
_ZIP = b"PK\x03\x04"
_ZIP_HEADER = 30
_ZIP_BYTES = 1024

_SECRET = re.compile(r"(?i)(token|secret|password|assertion|api_?key)")
_SECRET_HEADERS = {"authorization", "cookie", "set-cookie", "proxy-authorization"}


class Recorder(httpx.BaseTransport):
    """A transport that writes a file for every exchange: ``0001.json``, ``0002.json``, ...

    ``inner`` is the real transport. ``folder`` is created. No file may contain ``secrets``, to
    which the recorder adds the answers' tokens.
    """

    def __init__(self, inner: httpx.BaseTransport, folder: Path, secrets: tuple[str, ...]) -> None:
        self._inner = inner
        self._folder = folder
        self._secrets = {*secrets}
        folder.mkdir(parents=True, exist_ok=True)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; write the sample when the answer has been read or closed."""
        recorded_request = {
            "method": request.method,
            "url": mask_message(str(request.url)),
            "headers": _headers(request.headers),
            **self._content(request.headers, request.read()),
        }
        try:
            response = self._inner.handle_request(request)
        except httpx.HTTPError as error:
            self._write({"request": recorded_request, "failure": type(error).__name__})
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_CopyingStream(
                response.stream, lambda body: self._write_answer(recorded_request, response, body)
            ),
            # Without the connection, from which a file would be read past the copying stream.
            extensions={**response.extensions, "network_stream": None},
        )

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def _write_answer(
        self, recorded_request: dict[str, Any], response: httpx.Response, body: bytes
    ) -> None:
        answer = {
            "status": response.status_code,
            **self._content(response.headers, body),
        }
        # The headers last, so that tokens found in the body are hidden in them, too.
        self._write(
            {
                "request": recorded_request,
                "answer": {**answer, "headers": _headers(response.headers)},
            }
        )

    def _write(self, sample: dict[str, Any]) -> None:
        number = len(list(self._folder.glob("*.json"))) + 1
        with (self._folder / f"{number:04d}.json").open("x", encoding="utf-8") as file:
            json.dump(sample, file, ensure_ascii=False, indent=1)
            file.write("\n")

    def _content(self, headers: httpx.Headers, body: bytes) -> dict[str, Any]:
        """Return a masked body: JSON, a form, the start of a ZIP, or text."""
        if body.startswith(_ZIP):
            return {"zip_start": _zip_start(body)}
        if not body:
            return {}
        text = body.decode("utf-8", "replace")
        if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            return {"form": [f"{name}={_masked(name, value)}" for name, value in parse_qsl(text)]}
        try:
            content = json.loads(text)
        except ValueError:
            return {"text": mask_message(text)}
        self._learn(content)
        return {"json": mask_tree(content, _masked, key=mask_message)}

    def _learn(self, content: Any) -> None:
        """Hide an answer's tokens from now on in all output."""
        if isinstance(content, dict):
            tokens = {value for name, value in content.items() if _is_secret(name, value)}
            self._secrets |= tokens
            conceal(self._secrets)


class _CopyingStream(httpx.SyncByteStream):
    """A body that keeps a copy of its start, and passes the copy on when it closes."""

    def __init__(self, inner: httpx.SyncByteStream, ended: Any) -> None:
        self._inner = inner
        self._ended = ended
        self._kept = bytearray()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            self._kept += piece[: _MAX_BYTES - len(self._kept)]
            yield piece

    def close(self) -> None:
        self._inner.close()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(bytes(self._kept))


def _headers(headers: httpx.Headers) -> list[str]:
    return [
        f"{name}: {HIDDEN if name.lower() in _SECRET_HEADERS else mask_message(value)}"
        for name, value in headers.multi_items()
    ]


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(_SECRET.search(name)) and name != "token_type"


def _masked(name: str, value: Any) -> Any:
    """Mask a value of JSON or of a form, and keep its type."""
    if _is_secret(name, value):
        return HIDDEN
    if isinstance(value, int) and not isinstance(value, bool):
        return _masked_number(value, min_digits=4 if name in PERSONAL_FIELDS else 7)
    if not isinstance(value, str):
        return value
    return last_three(value) if name in PERSONAL_FIELDS and value else mask_message(value)


def _masked_number(value: int, *, min_digits: int) -> int:
    """Return a number of the same length that keeps only the last three digits."""
    digits = len(str(abs(value)))
    return value if digits < min_digits else 10 ** (digits - 1) + abs(value) % 1000


def _zip_start(body: bytes) -> dict[str, Any]:
    """Return the first member's header, with its name masked and without its content."""
    header = body[:_ZIP_HEADER]
    name_size = int.from_bytes(header[26:28], "little")
    extra_size = int.from_bytes(header[28:30], "little")
    name = body[_ZIP_HEADER : _ZIP_HEADER + name_size]
    extra = body[_ZIP_HEADER + name_size : _ZIP_HEADER + name_size + extra_size]
    return {
        "header": base64.b64encode(header).decode(),
        "name": mask_message(name[:_ZIP_BYTES].decode("utf-8", "replace")),
        "extra": base64.b64encode(extra[:_ZIP_BYTES]).decode(),
    }
