"""A service that cannot listen ends with a sentence: which address, which setting, what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from .deployment import ROOT, Deployment

Deploy = Callable[..., Deployment]
HOOKS = "EARWITNESS_HOOKS_BIND"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this machine at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _ended(house: Deployment, *command: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**house.environment, **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("earwitness: ")
    assert "so it was not started" in sentence
    return sentence


def test_the_receiver_says_where_it_cannot_listen(deploy: Deploy, taken: int) -> None:
    """A port that is taken, a host that is not this machine, a name that none can have: each is
    named with its setting and a way out.
    """
    house = deploy("")
    ways_out = {
        f"127.0.0.1:{taken}": "another process listens there",
        "192.0.2.1:8765": "set EARWITNESS_HOOKS_BIND to an address of this machine",
        f"{'x' * 70}.invalid:8765": "set EARWITNESS_HOOKS_BIND to an address of this machine",
    }
    for address, way_out in ways_out.items():
        sentence = _ended(house, "worker", "hooks", **{HOOKS: address})
        assert f"the receiver of notifications cannot listen on {address} (" in sentence
        assert HOOKS in sentence
        assert way_out in sentence


def test_flower_says_where_it_cannot_listen(deploy: Deploy, taken: int) -> None:
    """By the environment or by an option, a port or a socket: the address and both names of its
    setting.
    """
    house = deploy("")
    flower = ("celery", "-A", "worker", "flower")
    for sentence in (
        _ended(house, *flower, FLOWER_PORT=str(taken)),
        _ended(house, *flower, f"--port={taken}"),
    ):
        assert f"Flower cannot listen on 127.0.0.1:{taken} (Address already in use)" in sentence
        assert "FLOWER_PORT (--port)" in sentence
    assert "FLOWER_PORT" in _ended(house, *flower, FLOWER_PORT="70000")
    sentence = _ended(house, *flower, FLOWER_UNIX_SOCKET="/nowhere/flower.sock")
    assert "Flower cannot listen on /nowhere/flower.sock (No such file or directory)" in sentence
    assert "FLOWER_UNIX_SOCKET (--unix-socket)" in sentence
