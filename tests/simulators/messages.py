"""A request as an operation sees it, and an answer as the wire sends it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, unquote, urlsplit

PIECE = 256 * 1024


class Body(Protocol):
    """Bytes that can be sent from any offset without being held in memory."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, stop: int) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Text:
    """A short body that lies in memory."""

    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        yield self.data[start:stop]


@dataclass(frozen=True)
class FileBody:
    """The first `size` bytes of a file on disk."""

    path: Path
    size: int

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            left = min(stop, self.size) - start
            while left > 0 and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece


@dataclass(frozen=True)
class Padded:
    """Another body with `extra` zero bytes behind it."""

    body: Body
    extra: int

    @property
    def size(self) -> int:
        return self.body.size + self.extra

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        end = self.body.size
        if start < end:
            yield from self.body.read(start, min(stop, end))
        if stop > end:
            yield b"\0" * (stop - max(start, end))


@dataclass(frozen=True)
class Preceded:
    """Another body with so many zero bytes before it."""

    body: Body
    extra: int

    @property
    def size(self) -> int:
        return self.body.size + self.extra

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        if start < self.extra:
            yield b"\0" * (min(stop, self.extra) - start)
        if stop > self.extra:
            yield from self.body.read(max(0, start - self.extra), stop - self.extra)


@dataclass(frozen=True)
class Shortened:
    """The first `size` bytes of another body."""

    body: Body
    size: int

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        yield from self.body.read(start, min(stop, self.size))


@dataclass(frozen=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""  # path and query as they were sent

    @classmethod
    def sent(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Self:
        """A request as its first line, its headers and its body have it."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(method, unquote(parts.path), query, lower, body, target)

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def origin(self) -> str:
        """The address the client used, so that links work through any host name."""
        return f"http://{self.header('host') or '127.0.0.1'}"

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON; raises ValueError where it is none."""
        return json.loads(self.body)


@dataclass
class Reply:
    """An answer before it meets the wire.

    `start` and `stop` choose the bytes of `body` that are sent; `framing` is "length" or
    "chunked". The delivery may change how all this arrives, never what it says.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Text)
    framing: str = "length"
    start: int = 0
    stop: int | None = None

    @property
    def end(self) -> int:
        return self.body.size if self.stop is None else self.stop


def json_reply(status: int, value: Any, **headers: str) -> Reply:
    """An answer of JSON with its length told."""
    data = json.dumps(value, indent=3).encode()
    return Reply(status, {"Content-Type": "application/json", **headers}, Text(data))
