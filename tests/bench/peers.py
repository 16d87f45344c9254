"""The peers' own environment, and one peer's worker and sender as processes of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deployment import ROOT, Process, machine
from tests.waiting import eventually

from . import counting
from .processes import cpu_seconds

LOCK = Path(__file__).with_name("requirements.lock")
FOLDER = ROOT / "var" / "bench" / "peers"
PROGRAMS = Path(__file__).with_name("peer_programs")
#: The peers that keep their jobs in Redis, and those that keep them in PostgreSQL.
ON_REDIS, ON_POSTGRES = ("rq", "dramatiq"), ("procrastinate", "dbos")


class NoPeers(Exception):
    """The peers' environment cannot be had; the message says why."""


@dataclass(frozen=True)
class Environment:
    """The folder of a virtual environment that holds exactly what the lock says."""

    folder: Path

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / "bin" / name)


def environment(folder: Path = FOLDER, lock: Path = LOCK) -> Environment:
    """Return the peers' environment, made now unless it is there. Raises NoPeers."""
    made, stamp = Environment(folder), folder / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return made
    folder.parent.mkdir(parents=True, exist_ok=True)
    install = [made.program("python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
    install += ["--disable-pip-version-check", "-r", str(lock)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise NoPeers(f"{' '.join(command[1:4])} failed: {lines[-1]}")
    stamp.write_text(wanted)
    return made


@dataclass(frozen=True)
class Turn:
    """One turn of a crowd: its seconds to the last result, and the CPU seconds of its workers."""

    seconds: float
    cpu: float


class Peer:
    """One peer: a worker process, and a process that sends jobs to it."""

    def __init__(self, name: str, worker: Process, sender: subprocess.Popen[str]) -> None:
        self.name = name
        self._worker = worker
        self._sender = sender

    def turn(self, count: int) -> Turn:
        """Have so many jobs done. Raises Missing."""
        before = cpu_seconds(self._worker.pid)
        assert self._sender.stdin is not None
        assert self._sender.stdout is not None
        self._sender.stdin.write(f"{count}\n")
        self._sender.stdin.flush()
        line = self._sender.stdout.readline()
        done = json.loads(line or '{"finished": 0}')
        counting.compare(self.name, {"calls": int(done["finished"])}, {"calls": count})
        return Turn(float(done["seconds"]), cpu_seconds(self._worker.pid) - before)


@contextmanager
def running(
    name: str,
    made: Environment,
    folder: Path,
    *,
    call_url: str,
    slots: int,
    redis_url: str,
    database_url: str,
    is_ready: Callable[[], Any],
) -> Iterator[Peer]:
    """Run a peer's worker and sender for as long as the context lasts. ``is_ready`` says whether
    the worker has made what the sender needs.
    """
    surroundings = {
        **machine(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(PROGRAMS),
        "PEER_CALL_URL": call_url,
        "PEER_SLOTS": str(slots),
        "PEER_REDIS_URL": redis_url,
        "PEER_DATABASE_URL": database_url,
    }
    program = [made.program("python"), str(PROGRAMS / f"{name}_peer.py")]
    with ExitStack() as stack:
        worker = Process([*program, "work"], surroundings, folder / f"{name}.log", folder=folder)
        stack.callback(worker.close)
        eventually(
            lambda: is_ready() or not worker.alive,
            within=60,
            what=f"{name} was not ready",
        )
        assert worker.alive, worker.log()
        errors = stack.enter_context((folder / f"{name}-sender.log").open("w"))
        sender = subprocess.Popen(
            [*program, "send"],
            env=surroundings,
            cwd=folder,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        stack.callback(_end, sender)
        yield Peer(name, worker, sender)


def _end(sender: subprocess.Popen[str]) -> None:
    with sender:
        sender.kill()
