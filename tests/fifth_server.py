"""The server of the fifth provider, simulated: what the contract test does there."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from .simulators.audio import Audio, invented

KEY = "fifth-key-canary"
PATIENCE_SECONDS = 60


@dataclass
class Held:
    """A recording: when it began, its audio, and whether it is given away."""

    began: datetime
    audio: Audio
    is_given: bool = True
    #: Unset, an answer stops in the middle of the file.
    flows: threading.Event = field(default_factory=threading.Event)

    def shown(self, uid: str) -> dict[str, Any]:
        """As the server lists it."""
        return {
            "uid": uid,
            "began": self.began.isoformat(),
            "seconds": self.audio.milliseconds / 1000,
            "from": "34600123456",
            "to": "34911234567",
            "octets": self.audio.size,
        }


class FifthServer:
    """The server of one account; a context manager."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.given: Counter[str] = Counter()
        #: How often a page of the list was asked for.
        self.pages = 0
        #: Recordings whose audio is refused once, for so many seconds.
        self.throttled: set[str] = set()
        self.retry_after_seconds = 1
        #: How many files were given at once, at most.
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for one in self.held.values():
            one.flows.set()
        self._server.shutdown()
        self._server.server_close()

    def configuration(self) -> dict[str, Any]:
        """The account as a section of accounts.toml."""
        port = self._server.server_address[1]
        return {"provider": "fifth", "base_url": f"http://127.0.0.1:{port}", "key": KEY}

    def seed(self, day: date, zone: str, count: int) -> list[str]:
        """Recordings of a local day, its first and last second among them; their ids."""
        begins = datetime.combine(day, time(), ZoneInfo(zone))
        step = timedelta(seconds=86_399 / max(count - 1, 1))
        return [self.add((begins + n * step).replace(microsecond=0)) for n in range(count)]

    def add(self, began: datetime) -> str:
        """One more recording; its id."""
        number = len(self.held) + 1
        uid = f"rec-{number}"
        self.held[uid] = Held(began.astimezone(UTC), invented(5_000_000 + number))
        self.held[uid].flows.set()
        return uid

    def withhold(self, uid: str) -> None:
        """It is listed, and its audio is not given away."""
        self.held[uid].is_given = False

    def release(self, uid: str) -> None:
        """Its audio is given away again."""
        self.held[uid].is_given = True

    def refusal(self, uid: str) -> int | None:
        """The status with which its audio is refused; None where it is given."""
        if uid in self.throttled:
            self.throttled.remove(uid)
            return 429
        return None if self.held[uid].is_given else 404

    @contextmanager
    def giving(self, uid: str) -> Iterator[None]:
        """Count a file while it is given."""
        with self._lock:
            self.given[uid] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def sha256(self, uid: str) -> str:
        """Of its audio."""
        return self.held[uid].audio.sha256()


def _handler(server: FifthServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            names = parts.path.strip("/").split("/")
            if query.get("key") != KEY:
                self._json(401, {"error": "no such key"})
            elif names == ["recordings"]:
                server.pages += 1
                self._json(200, _listed(server.held, query))
            elif names[0] != "recordings" or names[1] not in server.held:
                self._json(404, {"error": "no such recording"})
            elif names[2:] == ["audio"]:
                self._audio(names[1])
            else:
                self._json(200, server.held[names[1]].shown(names[1]))

        def _json(self, status: int, content: Mapping[str, Any], **headers: str) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _audio(self, uid: str) -> None:
            status = server.refusal(uid)
            if status is not None:
                wait = {"Retry-After": str(server.retry_after_seconds)}
                self._json(status, {"error": "its audio is not there"}, **wait)
                return
            with server.giving(uid):
                self._file(server.held[uid])

        def _file(self, held: Held) -> None:
            data = b"".join(held.audio.read(0, held.audio.size))
            self.send_response(200)
            self.send_header("Content-Type", "audio/mpeg")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:100])
            self.wfile.flush()
            held.flows.wait(PATIENCE_SECONDS)
            self.wfile.write(data[100:])

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    return Handler


def _listed(held: Mapping[str, Held], query: Mapping[str, str]) -> dict[str, Any]:
    first, last = (
        datetime.fromisoformat(query[name]) if name in query else None for name in ("from", "to")
    )
    found = [
        (uid, one)
        for uid, one in held.items()
        if (first is None or one.began >= first) and (last is None or one.began <= last)
    ]
    found.sort(key=lambda one: one[1].began, reverse=query.get("newest_first") == "1")
    number, size = int(query.get("page", 1)), int(query.get("size", 10))
    shown = found[(number - 1) * size : number * size]
    return {"items": [one.shown(uid) for uid, one in shown], "total": len(found)}


playground = FifthServer
