"""Small files share a connection; a large one is worth a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from providers.http.deadline import Transport, large_pieces


@contextmanager
def files() -> Iterator[tuple[str, set[object]]]:
    """The address of a server whose paths are the sizes of its files, and who connected."""
    clients: set[object] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            clients.add(self.client_address)
            size = int(self.path[1:])
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(bytes(size))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", clients
        finally:
            server.shutdown()
            thread.join()


def test_small_files_share_a_connection() -> None:
    """Only a file with more than 1 MiB left after its first piece ends its connection."""
    with files() as (url, clients), httpx.Client(transport=Transport(), timeout=30) as client:

        def read(size: int) -> None:
            with client.stream("GET", f"{url}/{size}") as answer:
                assert sum(map(len, large_pieces(answer, size))) == size

        for size in (0, 1_000, 30_000, 300_000) * 3:
            read(size)
        assert len(clients) == 1
        read(8_000_000)
        assert len(clients) == 1
        read(1_000)
        assert len(clients) == 2
