"""A whole deployment for a test: Valkey, ledger, archive, accounts, and real worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from celery import Celery

from archive.store.directory import Store, open_store
from ledger.ledger import Ledger

from . import forked
from .callers import caller
from .forked import Forked
from .result_schemas import checked
from .servers import Valkey
from .waiting import eventually

ROOT = Path(__file__).parent.parent

#: Short times, so that what takes minutes in production takes seconds here. A lease is still one
#: that a live worker keeps on a busy machine; tests that kill workers say a shorter one.
QUICK = {
    "SWEEP_SECONDS": "0.3",
    "LEASE_SECONDS": "10",
    "POLL_FIRST_SECONDS": "0.2",
    "POLL_MAX_SECONDS": "1",
    "SPOOL_RESERVE_BYTES": "1000000",
}


def account_toml(
    alias: str, configuration: Mapping[str, Any], nightly: Mapping[str, Any] | None = None
) -> str:
    """An account as a section of the accounts file; ``nightly`` over short defaults."""
    lines = [f"[accounts.{alias}]"]
    lines += [f"{name} = {_toml(value)}" for name, value in configuration.items()]
    if nightly is not None:
        standard = {"at": "00:00", "timezone": "Asia/Kolkata", "settle_minutes": 0}
        lines.append(f"[accounts.{alias}.nightly]")
        lines += [f"{name} = {_toml(value)}" for name, value in {**standard, **nightly}.items()]
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def zip_is_whole(path: Path) -> bool:
    """Whether another program than ours finds a ZIP whole: ``unzip -t``, or where that is not
    installed, Python's own.
    """
    known = shutil.which("unzip")
    command = [known, "-tq"] if known else [sys.executable, "-m", "zipfile", "-t"]
    tested = subprocess.run([*command, path], capture_output=True, text=True, check=False)
    # Python's says it in words alone.
    return tested.returncode == 0 and "corrupted" not in tested.stdout


def machine() -> dict[str, str]:
    """What a program needs of this machine's environment, and nothing of ours."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


class Process:
    """A process of ours in a group of its own, with its output in a file. A ``fresh`` one imports
    everything itself.
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        output: Path,
        *,
        folder: Path = ROOT,
        fresh: bool = False,
    ) -> None:
        self.output = output
        self._file = output.open("ab")
        self._began = self._file.tell()
        self.popen: subprocess.Popen[bytes] | Forked
        if not fresh and forked.can_be(command, environment, folder):
            outputs = (output, output)
            self.popen = Forked(command[2], command[3:], environment, folder, outputs)
            return
        self.popen = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def log(self) -> str:
        """Everything that it has printed so far."""
        return self.output.read_text(errors="replace")

    def own_log(self) -> str:
        """What it has printed so far, without what an earlier process left in the same file."""
        return self.output.read_bytes()[self._began :].decode(errors="replace")

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group."""
        os.killpg(self.popen.pid, number)

    def kill(self) -> None:
        """End the whole group by SIGKILL."""
        if self.alive:
            self._tell_group(signal.SIGKILL)
            self.popen.kill()
        self.popen.wait(timeout=20)

    def stop(self, within: float = 60) -> int:
        """End it by SIGTERM and wait; its status."""
        if self.alive:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout=within)

    def close(self) -> None:
        if self.alive:
            self._tell_group(signal.SIGCONT)
        self.kill()
        self._file.close()

    def _tell_group(self, number: signal.Signals) -> None:
        """Signal the group, if there is one: a process that has just been started has none of its
        own yet, and one that ends at this moment none any more.
        """
        with contextlib.suppress(ProcessLookupError):
            self.signal_group(number)

    def resident_bytes(self) -> int:
        """The resident memory of it and all its children."""
        process = psutil.Process(self.pid)
        return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])


class Deployment:
    """One ledger, one archive, one Redis, and as many workers as the test starts.

    Parameters: ``folder`` of its own, a started ``valkey``, ``accounts`` as the text of the
    accounts file, ``ledger_url`` (an SQLite file in the folder unless told), ``settings`` without
    their prefix, ``surroundings``: what else stands in the environment.
    """

    def __init__(
        self,
        folder: Path,
        valkey: Valkey,
        accounts: str,
        *,
        ledger_url: str | None = None,
        settings: dict[str, str] | None = None,
        surroundings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.valkey = valkey
        self.ledger_url = ledger_url or f"sqlite:///{folder / 'ledger.sqlite3'}"
        self.archive = folder / "archive"
        self.accounts_file = folder / "accounts.toml"
        self.accounts_file.write_text(accounts)
        self.settings = {**QUICK, **(settings or {})}
        self.surroundings = dict(surroundings or {})
        self.processes: list[Process] = []
        self._ledger: Ledger | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of the deployment."""
        ours = {
            "REDIS_URL": self.valkey.url,
            "LEDGER_URL": self.ledger_url,
            "ARCHIVE_URL": str(self.archive),
            "SPOOL_DIR": str(self.folder / "spool"),
            "ACCOUNTS_FILE": str(self.accounts_file),
            **self.settings,
        }
        kept = {**machine(), "FLOWER_DB": str(self.folder / "flower"), **self.surroundings}
        return {**kept, **{f"EARWITNESS_{name}": value for name, value in ours.items()}}

    @property
    def ledger(self) -> Ledger:
        """The ledger, opened by the test itself."""
        if self._ledger is None:
            self._ledger = Ledger(
                self.ledger_url, lease_seconds=float(self.settings["LEASE_SECONDS"])
            )
            self._ledger.identity.prepare()
        return self._ledger

    @property
    def store(self) -> Store:
        """The archive."""
        return open_store(self.settings.get("ARCHIVE_URL", str(self.archive)))

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def celery(self, *arguments: str, name: str) -> Process:
        """Start ``celery -A worker ...`` as a user would."""
        command = [sys.executable, "-m", "celery", "-A", "worker", *arguments]
        process = Process(command, self.environment, self.folder / f"{name}.log")
        self.processes.append(process)
        return process

    def worker(
        self,
        name: str = "worker",
        *,
        loglevel: str = "INFO",
        ready: bool = True,
        mingle: bool = False,
    ) -> Process:
        """Start a worker and wait until it is ready. With ``mingle`` it looks for its neighbours
        first, as Celery does unless told otherwise: that takes a whole second.
        """
        named = ("-n", f"{name}@%h", "--loglevel", loglevel)
        process = self.celery(
            "worker", *named, *([] if mingle else ["--without-mingle"]), name=name
        )
        if ready:
            eventually(
                lambda: " ready." in process.own_log() or not process.alive,
                within=90,
                what=f"{name} was not ready",
            )
            assert process.alive, process.log()
        return process

    def beat(self, name: str = "beat") -> Process:
        """Start a beat with a schedule file of its own."""
        schedule = self.folder / f"{name}.schedule"
        return self.celery("beat", "-s", str(schedule), "--loglevel", "INFO", name=name)

    def run(self, *arguments: str, within: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``python -m worker ...`` to its end."""
        return forked.run("worker", arguments, self.environment, ROOT, within=within)

    @contextmanager
    def producer(self) -> Iterator[Celery]:
        """A Celery application of a caller, which knows nothing of our code."""
        with caller(self.valkey.url, self.valkey.url) as app:
            yield app

    def send(self, app: Celery, task: str, **kwargs: Any) -> Any:
        """Enqueue a task of ours as another application would; its AsyncResult, which compares
        what comes with the catalogue.
        """
        name = f"earwitness.{task}"
        result_cls = checked(app, name)
        return app.send_task(name, kwargs=kwargs, queue="earwitness", result_cls=result_cls)

    def without_ledger(self) -> None:
        """Close the test's own ledger: another one may be opened under the same address."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def close(self) -> None:
        """End everything that was started."""
        for process in self.processes:
            process.close()
        self.without_ledger()


@contextmanager
def deploying(folder: Path, valkey: Valkey) -> Iterator[Callable[..., Deployment]]:
    """Make deployments in folders of their own below ``folder``; all end with the context.

    What is yielded takes the text of the accounts file and the options of ``Deployment``.
    """
    with ExitStack() as stack:

        def make(accounts: str, **options: Any) -> Deployment:
            own = folder / f"deployment-{len(list(folder.iterdir()))}"
            own.mkdir()
            deployment = Deployment(own, valkey, accounts, **options)
            stack.callback(deployment.close)
            return deployment

        yield make
