"""Everything that is measured, one benchmark after the other, on servers of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.servers import Valkey
from tests.simulators import remote
from tests.simulators.remote import Remote

from . import peers
from .bursts import bursts
from .calls import calls, slots
from .export import export
from .growth import growth
from .idle import idle
from .keeping import keeping
from .latency import enqueue, first_byte
from .measurement import Row
from .reading import find, verify
from .retrieval import retrieval
from .service import service
from .sizes import Sizes
from .starting import starting
from .sweep import sweep

#: What each benchmark measures, by the name that selects it, in the order in which they run.
BENCHMARKS = {
    "calls": "certified calls at 200 ms a second, and CPU a call, beside five other systems",
    "slots": "the same with 200 slots, and with two workers",
    "bursts": "900 calls at once: failures, and p99 of accepted",
    "enqueue": "a request of the client beside send_task and a bare LPUSH",
    "service": "500 requests at once to a FastAPI service: lag of its event loop",
    "first-byte": "from sending to the provider's first byte, worker idle",
    "retrieve": "export.retrieve beside curl, sha256sum and unzip -t; memory; four at once",
    "export": "export.run beside httpx and curl",
    "keeping": "a ZIP from the spool into the archive beside sha256sum, cp and sync",
    "verify": "verify beside sha256sum and unzip -t",
    "find": "find beside json.loads of the same lines",
    "sweep": "rounds of the sweeper with many jobs waiting, and jobs made due",
    "growth": "ledgers, days and archives at 1, 10 and 100 times the size: exponents of costs",
    "starting": "status, coverage and --help to the first line; a worker to ready",
    "idle": "memory, CPU, Redis and database use of an idle worker",
}


@dataclass
class Servers:
    """What benchmarks share, each made when the first asks for it."""

    folder: Path
    stack: ExitStack
    with_peers: bool

    @cached_property
    def simulators(self) -> Remote:
        """The simulated providers."""
        return self.stack.enter_context(remote.running(self.folder / "simulators"))

    @cached_property
    def peers(self) -> peers.Environment | str:
        """The peers' environment, or why there is none."""
        if not self.with_peers:
            return "peers were left out"
        try:
            return peers.environment()
        except peers.NoPeers as error:
            return f"no peers: {error}"


def measured(
    sizes: Sizes, names: Collection[str] = (), *, with_peers: bool = True
) -> Iterator[tuple[str, list[Row]]]:
    """Run the named benchmarks, or all; yield each name with its rows once they are there.

    Raises Missing if a benchmark's work did not leave what it must.
    """
    with servers(with_peers=with_peers) as running:
        for name in BENCHMARKS:
            if not names or name in names:
                with Valkey() as valkey, _folder(running.folder / name) as folder:
                    yield name, list(_parts(running)[name](folder, sizes, valkey))


@contextmanager
def servers(*, with_peers: bool = True) -> Iterator[Servers]:
    """What benchmarks share, in a temporary folder, for as long as the context lasts."""
    with _folder(Path(tempfile.mkdtemp(prefix="ew-bench-"))) as folder, ExitStack() as stack:
        yield Servers(folder, stack, with_peers)


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _parts(running: Servers) -> dict[str, Callable[[Path, Sizes, Valkey], Iterator[Row]]]:
    """Return each benchmark by its name."""

    def alone(
        part: Callable[[Path, Sizes], Iterator[Row]],
    ) -> Callable[[Path, Sizes, Valkey], Iterator[Row]]:
        return lambda folder, sizes, _: part(folder, sizes)

    return {
        "calls": lambda f, s, v: calls(f, s, v, running.peers),
        "slots": slots,
        "bursts": bursts,
        "enqueue": enqueue,
        "service": service,
        "first-byte": first_byte,
        "retrieve": lambda f, s, v: retrieval(f, s, v, running.simulators),
        "export": lambda f, s, v: export(f, s, v, running.simulators),
        "keeping": alone(keeping),
        "verify": alone(verify),
        "find": alone(find),
        "sweep": sweep,
        "growth": lambda f, s, v: growth(f, s, v, running.simulators),
        "starting": starting,
        "idle": idle,
    }
