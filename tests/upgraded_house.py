"""A house of an older release, unpacked and deployed with the program of today."""

from __future__ import annotations

import base64
import json
import os
import sys
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from celery import Celery

from .alert_receiver import AlertReceiver
from .deployment import Deployment, Process, account_toml, eventually
from .restored import sums
from .servers import Postgres, Valkey, free_port
from .simulators import Simulators

SAMPLES = Path(__file__).parent / "samples" / "upgrade"
#: The copies are old: nothing that waits in them may be past its deadline.
EVER = "1000000"


class UpgradedHouse:
    """The deployment of a copy, before anything of it was started, and the providers as they were.

    ``old`` is the copy's house.json (see old_house.py).
    """

    def __init__(
        self,
        folder: Path,
        valkey: Valkey,
        simulators: Simulators,
        alerts: AlertReceiver,
        ledger_url: str | None,
    ) -> None:
        self.folder = folder
        self.old: dict[str, Any] = json.loads((folder / "house.json").read_text())
        self.simulators = simulators
        self.alerts = alerts
        known = self.old["accounts"]
        self.vonage = {
            alias: simulators.vonage.account(**known[alias]) for alias in ("india", "goa", "surat")
        }
        self.legal = simulators.gsmblockchain.account(**known["legal"])
        self.dark = simulators.gsmblockchain.account(**known["dark"])
        self.pbx = simulators.voipnow.account(**known["pbx"])
        self.office = simulators.ozeki.account(**known["office"])
        self._restore_vonage()
        self.hooks_url = f"http://127.0.0.1:{free_port()}"
        settings = {
            "HOOKS_BIND": self.hooks_url.removeprefix("http://"),
            "HOOKS_URL": self.hooks_url,
            "ALERT_URL": alerts.url,
            "ALERT_SECRET": "an old secret",
            "POLL_DEADLINE_HOURS": EVER,
            "LEASE_SECONDS": "6",
        }
        self.house = Deployment(
            folder, valkey, self._accounts(), ledger_url=ledger_url, settings=settings
        )
        self.before = sums(self.house.archive)

    def _restore_vonage(self) -> None:
        for alias, account in self.vonage.items():
            account.configure(ready_after_polls=0)
            for recording in self.old["recordings"][alias]:
                account.add(recording)
        exports = self.old["exports"]
        cut = {"path": str(self.folder / "export.zip"), **exports["cut"]}
        self.vonage["india"].restore_job(**cut)
        self.vonage["goa"].restore_job(**exports["waits"])

    def _accounts(self) -> str:
        """The accounts as the old house had them; the provider of ``dark`` is reached again."""
        night = {"catchup_days": 1}
        deletes = {"allow_delete": True}
        waiting = {"control": "http", "collect_deadline_hours": float(EVER)}
        return "\n".join(
            [
                account_toml("india", {**self.vonage["india"].configuration(), **deletes}, night),
                account_toml("goa", self.vonage["goa"].configuration(), night),
                account_toml(
                    "surat",
                    {**self.vonage["surat"].configuration(), **deletes},
                    {**night, "delete_after_days": 30},
                ),
                account_toml("legal", self.legal.configuration()),
                account_toml("dark", self.dark.configuration()),
                account_toml("pbx", self.pbx.configuration()),
                account_toml("office", {**self.office.configuration(), **waiting}),
            ]
        )

    def day(self, name: str) -> str:
        """A day of ``india`` by what became of it in the old house."""
        return str(self.old["days"][name])

    def shown(self, name: str) -> dict[str, Any]:
        """What the old program showed of the job that a task of this name asked for."""
        return dict(self.old["shown"][name])

    def run(self, *arguments: str, status: int | None = 0) -> str:
        """What a command prints; ``status`` None allows any."""
        done = self.house.run(*arguments)
        assert status in (None, done.returncode), (arguments, done.stdout, done.stderr)
        return done.stdout

    def asked(self, *arguments: str, status: int | None = 0) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.run(*arguments, "--json", status=status))

    def coverage(self) -> list[dict[str, Any]]:
        """Each account's days of the old house, as ``coverage`` shows them."""
        days = sorted(self.old["days"].values())
        found = self.asked("coverage", "--from", days[0], "--to", days[-1], status=None)
        return list(found)

    def days(self) -> dict[str, dict[str, Any]]:
        """The days of ``india``, as ``coverage`` shows them."""
        return {one["day"]: one for one in self.coverage() if one["account"] == "india"}

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Every job as ``status`` shows it, by its id."""
        return {one["job_id"]: one for one in self.asked("status", "--limit", "1000")}

    def start(self) -> Process:
        """Start a worker and the receiver of Ozeki's notifications."""
        command = [sys.executable, "-m", "worker", "hooks"]
        hooks = Process(command, self.house.environment, self.folder / "hooks.log")
        self.house.processes.append(hooks)
        worker = self.house.worker("new")
        eventually(lambda: "listening" in hooks.log(), what="the receiver did not listen")
        return worker

    def answer_of(self, app: Celery, name: str) -> Any:
        """How the task of this name ends for the caller who sent it to the old house."""
        result = app.AsyncResult(self.old["tasks"][name])
        return result.get(timeout=60, propagate=False)

    def call_again(self, app: Celery, name: str) -> str:
        """Request a certified call of the old house once more, as it was requested, and wait for
        its end; the id of its job.
        """
        account = "dark" if name in ("held", "cancelled") else "legal"
        asked: dict[str, Any] = {"country": "ES", "phone": "660111222", "max_seconds": 60}
        asked |= {"company_name": "MyCompany", "company_id": "A4562154"}
        asked |= {"account": account, "request_id": f"contract-{name.replace(' ', '-')}"}
        if name in ("held", "cancelled", "queued"):
            asked["not_after"] = "2099-01-01T00:00:00Z"
        self.house.send(app, "certified_call.request", **asked).get(timeout=60, propagate=False)
        url = f"earwitness:{account}:earwitness.certified_call.request:{asked['request_id']}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, url))

    def end_call(self) -> None:
        """The recording of the call that continues ends, and the telephone system notifies the
        address that the old worker gave it.
        """
        call = self.old["going_on"]
        path = urlsplit(call["finished_url"]).path
        account = self.old["accounts"]["office"]
        self.office.call(call_id=call["call_id"])
        asked = {
            "Command": "Record",
            "Username": account["username"],
            "Password": account["password"],
            "CallId": call["call_id"],
            "Format": call["format"],
            "FinishedURL": self.hooks_url + path,
        }
        httpx.get(
            f"{self.office.base_url}/", params=asked, trust_env=False, timeout=30
        ).raise_for_status()
        self.office.end(call["call_id"])

    def notified(self) -> set[tuple[str, str]]:
        """The jobs and states of the notifications that wait for the caller's own worker."""
        with self.house.valkey.client() as client:
            messages = [json.loads(one) for one in client.lrange("billing", 0, -1)]
        bodies = [json.loads(base64.b64decode(one["body"]))[1] for one in messages]
        return {(one["job_id"], one["state"]) for one in bodies}

    def chained(self) -> bool:
        """Whether everything in the archive is under its chain."""
        found = self.asked("verify", status=None)
        return not found["pending"] and not found["problems"]


@contextmanager
def unpacked(
    kind: str, folder: Path, simulators: Simulators, postgres: Postgres | None
) -> Iterator[UpgradedHouse]:
    """The house of a copy, whose ledger is of this kind. Redis lives on with SQLite alone."""
    with tarfile.open(SAMPLES / f"{kind}.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    for path in (folder / "spool").iterdir():
        os.utime(path)  # the workers were killed a moment ago
    with (
        _redis(kind, folder) as valkey,
        AlertReceiver() as alerts,
        _ledger(postgres, folder) as url,
    ):
        upgraded = UpgradedHouse(folder, valkey, simulators, alerts, url)
        try:
            yield upgraded
        finally:
            upgraded.house.close()


def _redis(kind: str, folder: Path) -> Valkey:
    return Valkey(folder / "redis") if kind == "sqlite" else Valkey()


@contextmanager
def _ledger(postgres: Postgres | None, folder: Path) -> Iterator[str | None]:
    if postgres is None:
        yield None
        return
    with postgres.database() as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute((folder / "ledger.sql").read_bytes())
        yield url
