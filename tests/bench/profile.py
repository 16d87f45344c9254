"""Where the CPU of a worker continues one path, sampled from outside by py-spy."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click

from tests.deployment import ROOT, account_toml
from tests.servers import Valkey

from . import peers
from .calls import SQLITE, opened
from .house import STARTED_ANEW, deployment, start_worker
from .retrieval import Ours as Retrieving
from .retrieval import Provided
from .run import Servers, servers
from .sizes import Sizes
from .sweep import command, fill

_RATE = "200"
_LINES = 30
_SWEEP_TURNS = 5
#: A frame of py-spy: ``name (file:line)``; the thread comes first.
_FRAME = re.compile(r"(?P<name>.+) \((?P<file>.+?)(?::\d+)?\)$")


def show(path: str, sizes: Sizes) -> None:
    """Run one path under the profiler and print its functions by their CPU. Raises NoPeers.

    A sample is a thread that holds the interpreter: one that waits for the disk or the network is
    not counted. Only a retrieval computes outside of it, and there each thread that runs counts.
    """
    spy = peers.environment().program("py-spy")
    with servers() as running, Valkey() as valkey:
        recorded = running.folder / "recorded.txt"
        only = [] if path == "retrieve" else ["--gil"]
        PATHS[path](running, sizes, valkey, lambda pid: _recording(spy, pid, recorded, only))
        click.echo("\n".join(summary(recorded.read_text())))


def summary(recorded: str) -> list[str]:
    """Return lines about what py-spy recorded (its format ``raw``): the share of each package and
    function in the samples that had it running, and in those that had it anywhere on the stack.
    """
    packages: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    beneath: Counter[str] = Counter()
    for line in recorded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame for one in stack.split(";") if (frame := _FRAME.match(one))]
        if not frames:
            continue
        names = [f"{_short(frame['file'])} {frame['name']}" for frame in frames]
        alone[names[-1]] += int(count)
        packages[_package(frames[-1]["file"])] += int(count)
        for name in set(names):
            beneath[name] += int(count)
    total = sum(alone.values())
    lines = [f"{total} samples, {_RATE} a second"]
    for title, counted in (
        ("packages, by what ran", packages),
        ("functions, by what ran", alone),
        ("functions, with what they called", beneath),
    ):
        lines += ["", title]
        lines += [f"{count / total:7.1%}  {name}" for name, count in counted.most_common(_LINES)]
    return lines


@contextmanager
def _recording(spy: str, pid: int, recorded: Path, only: Sequence[str]) -> Iterator[None]:
    """Sample a process for as long as the context lasts."""
    options = [
        "--format",
        "raw",
        "--rate",
        _RATE,
        "--nonblocking",
        "--output",
        str(recorded),
        *only,
    ]
    process = subprocess.Popen(
        [spy, "record", *options, "--pid", str(pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def _calls(running: Servers, sizes: Sizes, valkey: Valkey, record: _Record) -> None:
    place = opened(running.folder, sizes, valkey, running.stack)
    crowd = place.ours(SQLITE, slots=sizes.slots)
    crowd.turn(sizes.slots)
    with record(crowd.workers[0].pid):
        crowd.turn(sizes.calls)
    crowd.counted("profile of calls")


def _retrieve(running: Servers, sizes: Sizes, valkey: Valkey, record: _Record) -> None:
    account = running.simulators.vonage.account(username="profile@vbc.prod")
    account.configure(ready_after_polls=0)
    accounts = account_toml("bench", account.configuration())
    house = deployment(running.folder / "ours", valkey, accounts, surroundings=STARTED_ANEW)
    running.stack.callback(house.close)
    provided = Provided(account, running.simulators, running.folder)
    provided.make(sizes.transfers[0])
    worker = start_worker(house, slots=20)
    ours = Retrieving(house, worker, provided)
    running.stack.callback(ours.app.close)
    with record(worker.pid):
        ours.retrieve(1)
    ours.counted()


def _sweep(running: Servers, sizes: Sizes, valkey: Valkey, record: _Record) -> None:
    house = deployment(running.folder / "ours", valkey, "", surroundings=STARTED_ANEW)
    running.stack.callback(house.close)
    fill(house, sizes.waiting)
    turns = max(1, min(_SWEEP_TURNS, sizes.waiting // sizes.due))
    rounds = subprocess.Popen(
        [*command(turns, sizes.due), "wait"],
        cwd=ROOT,
        env=house.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert rounds.stderr is not None
    for line in rounds.stderr:
        if line == "ready\n":
            break
    with record(rounds.pid):
        rounds.communicate("go\n", timeout=600)
    assert rounds.returncode == 0


_Record = Callable[[int], AbstractContextManager[None]]
_Path = Callable[[Servers, Sizes, Valkey, _Record], None]
#: The hottest paths, by the name that selects them.
PATHS: dict[str, _Path] = {"call": _calls, "retrieve": _retrieve, "sweep": _sweep}


def _short(file: str) -> str:
    """Return a file's path without where it is installed."""
    return file.rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")


def _package(file: str) -> str:
    """Return the package of a file, as py-spy names it."""
    short = _short(file)
    return short.partition("/")[0] if "/" in short and not short.startswith("/") else "Python"
