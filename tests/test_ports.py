"""A port that was found free can be opened, whatever else the machine starts meanwhile."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from demo.ports import is_free

from .servers import free_port

ROUNDS = 5_000


@contextmanager
def _programs_starting() -> Iterator[None]:
    """Start programs all the while, in two threads."""
    over = threading.Event()

    def start() -> None:
        while not over.is_set():
            subprocess.run(["true"], check=True)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_free_port_can_be_opened_while_other_threads_start_programs() -> None:
    """A program that starts holds copies of its parent's sockets for a moment."""
    with _programs_starting():
        for _ in range(ROUNDS):
            with socket.create_server(("127.0.0.1", free_port())):
                pass


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_with_a_listener_is_not_free(address: str) -> None:
    """Neither one of this address nor one of every address."""
    with socket.create_server((address, free_port())) as server:
        assert not is_free(server.getsockname()[1])


def test_the_port_of_a_server_that_has_ended_is_free() -> None:
    """Connections that linger after their end keep no server from it."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", free_port())))
        port = server.getsockname()[1]
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        connection, _ = server.accept()
        connection.close()
        server.close()
        assert client.recv(1) == b""
        assert is_free(port)
