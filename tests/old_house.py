"""Makes what test_upgrade_in_place.py upgrades: houses of an older release, killed at work.

    git worktree add --detach ../old 84f0523
    .venv/bin/python tests/old_house.py ../old sqlite tests/samples/upgrade/sqlite.tar.xz
    .venv/bin/python tests/old_house.py ../old postgres tests/samples/upgrade/postgres.tar.xz

The copies that are kept were made with 84f0523, whose ledger has schema 0005. Product, simulators
and test deployments are all of that checkout. A copy holds

    ledger.sqlite3 or ledger.sql   the ledger, as a file or as a dump of PostgreSQL
    archive/ spool/                as the killed workers left them
    redis/                         the append-only file of Redis, unacknowledged messages included
    export.zip                     the ZIP whose transfer was cut
    house.json                     what the providers hold, and what the old commands printed

The passwords are invented, and no provider but the simulators knows them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

if len(sys.argv) != 4:
    sys.exit(__doc__)
CHECKOUT = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(CHECKOUT))

from old_copies import database, long_ago, packed  # noqa: E402

from tests.deployment import Deployment, Process, account_toml, eventually  # noqa: E402
from tests.servers import Valkey, free_port  # noqa: E402
from tests.simulators import Simulators  # noqa: E402

ZONE = "Asia/Kolkata"
FIRST = date(2026, 3, 2)
NAMES = ("parts", "filled", "incomplete", "again", "cut")
PARTS, FILLED, INCOMPLETE, AGAIN, CUT = (FIRST + timedelta(days=n) for n in range(5))
NEVER = 1_000_000
FAR = "2099-01-01T00:00:00Z"
VONAGE = {"password": "an old password", "client_id": "client", "client_secret": "an old secret"}
ACCOUNTS: dict[str, dict[str, Any]] = {
    "india": {"username": "india@vbc.prod", "account_id": "549825", **VONAGE},
    "goa": {"username": "goa@vbc.prod", "account_id": "549826", **VONAGE},
    "surat": {"username": "surat@vbc.prod", "account_id": "549827", **VONAGE},
    "legal": {"username": "legal", "password": "an old password"},
    "dark": {"username": "dark", "password": "an old password"},
    "pbx": {"client_id": "app", "client_secret": "an old secret"},
    "office": {"name": "office", "username": "desk", "password": "an old password"},
}


class OldHouse:
    """Accounts at every provider, and one (``dark``) whose provider cannot be reached."""

    def __init__(self, folder: Path, valkey: Valkey, simulators: Simulators, url: str) -> None:
        sims = self.simulators = simulators
        self.india = sims.vonage.account(**ACCOUNTS["india"])
        self.goa = sims.vonage.account(**ACCOUNTS["goa"], ready_after_polls=NEVER)
        self.surat = sims.vonage.account(**ACCOUNTS["surat"], ready_after_polls=0)
        self.legal = sims.gsmblockchain.account(**ACCOUNTS["legal"])
        self.pbx = sims.voipnow.account(**ACCOUNTS["pbx"])
        self.office = sims.ozeki.account(**ACCOUNTS["office"])
        legal = {**self.legal.configuration(), "timeout_seconds": 60}
        dark = {**legal, **ACCOUNTS["dark"], "base_url": f"http://127.0.0.1:{free_port()}"}
        night = {"catchup_days": 1}
        accounts = [
            account_toml("india", {**self.india.configuration(), "allow_delete": True}, night),
            account_toml("goa", self.goa.configuration(), night),
            account_toml(
                "surat",
                {**self.surat.configuration(), "allow_delete": True},
                {**night, "delete_after_days": 30},
            ),
            account_toml("legal", legal),
            account_toml("dark", dark),
            account_toml("pbx", self.pbx.configuration()),
            account_toml("office", {**self.office.configuration(), "control": "http"}),
        ]
        hooks = f"127.0.0.1:{free_port()}"
        settings = {
            "HOOKS_BIND": hooks,
            "HOOKS_URL": f"http://{hooks}",
            # Nobody listens there: every alert stays in the outbox.
            "ALERT_URL": f"http://127.0.0.1:{free_port()}/alerts",
            "ALERT_SECRET": "an old secret",
        }
        self.house = Deployment(
            folder, valkey, "\n".join(accounts), ledger_url=url, settings=settings
        )
        self.tasks: dict[str, str] = {}
        try:
            with self.house.producer() as self.app:
                self.work()
        finally:
            self.house.close()

    def send(self, name: str, task: str, **kwargs: Any) -> Any:
        """Send a task and note its id under a name."""
        asked = self.house.send(self.app, task, **kwargs)
        self.tasks[name] = asked.id
        return asked

    def ask(self, name: str, task: str, **kwargs: Any) -> Any:
        """The same, and wait for its end: the result or the exception."""
        return self.send(name, task, **kwargs).get(timeout=60, propagate=False)

    def work(self) -> None:
        """Two workers do everything once; then every process is killed in the middle of more."""
        for day in (PARTS, FILLED, INCOMPLETE, AGAIN):
            self.india.seed(day, ZONE, 3)
        self.goa.seed(PARTS, ZONE, 3)
        for day in (PARTS, FILLED):
            self.surat.seed(day, ZONE, 2)
        self.india.seed(CUT, ZONE, 10)
        self.india.configure(ready_after_polls=0)
        for name in ("first", "second"):
            self.house.worker(name)
        command = [sys.executable, "-m", "worker", "hooks"]
        self.hooks = Process(command, self.house.environment, self.house.folder / "hooks.log")
        self.house.processes.append(self.hooks)
        eventually(lambda: "listening" in self.hooks.log(), what="the receiver did not start")
        self.archive_days()
        self.plan_deletions()
        self.archive_singles()
        self.record_calls()
        self.place_calls()
        eventually(lambda: not self._outbox(), what="the outbox is not empty")
        self.leave()

    def archive_days(self) -> None:
        """Days of two parts, with a gap filled, incomplete, and completed by a second run."""
        self.india.configure(export_parts=2)
        assert self.day(PARTS)["archived"] == 3
        self.india.configure(export_parts=1)
        self.india.withhold(self._recording(FILLED), "zip")
        assert self.day(FILLED)["archived"] == 3
        for day in (INCOMPLETE, AGAIN):
            self.india.withhold(self._recording(day), "everywhere")
            assert isinstance(self.day(day), Exception)
        self.india.release(self._recording(AGAIN))
        assert self.day(AGAIN)["archived"] == 3

    def plan_deletions(self) -> None:
        """Two days of ``surat`` are archived, long ago. A night opens the deletions of the first,
        which the provider postpones; the second's time comes when nobody works any more.
        """
        for day in (PARTS, FILLED):
            assert self.day(day, "surat")["archived"] == 2
        eventually(lambda: not self._outbox(), what="the outbox is not empty")
        self.surat.fault("delete", "answer", status=503, times=None)
        long_ago(self.house.ledger_url, "surat", PARTS)
        self.house.send(self.app, "nightly.plan")

        def planned() -> bool:
            jobs = json.loads(self.run("status", "--kind", "recording.delete", "--json"))
            return [one["state"] for one in jobs] == ["waiting"] * 2

        eventually(planned, what="the deletions do not wait")

    def archive_singles(self) -> None:
        """A download, a deletion, an export by filters, and a ZIP retrieved by itself."""
        one = {"account": "india", "recording_id": str(self._recording(CUT))}
        assert self.ask("download", "recording.download", **one)["bytes"]
        gone = {"account": "india", "recording_id": str(self._recording(PARTS))}
        assert self.ask("delete", "recording.delete", **gone)["deleted"]
        window = {"start:gte": f"{FILLED}T00:00:00+0530", "start:lte": f"{FILLED}T11:59:59+0530"}
        assert self.ask("filters", "export.run", account="india", filters=window)["archived"]
        created = self.ask("create", "export.create", account="india", filters=window)
        (part,) = created["provider_job_ids"]
        fetched = self.ask("retrieve", "export.retrieve", account="india", provider_job_id=part)
        assert fetched["members"]
        assert self.ask("verify", "archive.verify")["files"]

    def record_calls(self) -> None:
        """A call recorded at VoipNow, one collected from Ozeki, and one that continues."""
        call = self.pbx.begin_call()
        started = self.ask("voipnow", "recording.start", account="pbx", call_id=call["id"])
        assert started["recording_since"], started
        for call_id in ("over1", "live1"):
            self.office.call(call_id=call_id)
            assert self.ask(call_id, "recording.start", account="office", call_id=call_id)
        self.office.end("over1")
        files = self.house.archive / "office"
        eventually(lambda: list(files.rglob("*.mp3")), what="no recording was collected")

    def place_calls(self) -> None:
        """Calls with every outcome, and two that wait for a provider that is not reached."""
        assert self.call("placed")["platform_phone"]
        self.legal.fault("call", "ko", message="no credit")
        assert isinstance(self.call("refused"), Exception)
        for name in ("unknown", "decided", "decided late"):
            self.legal.fault("call", "answer", status=500, body={})
            assert isinstance(self.call(name), Exception)
        self.run("resolve", self.tasks["decided"], "--placed", "--by", "ana", "--note", "seen")
        for name in ("cancelled", "held"):
            self.send_call(name, account="dark", not_after=FAR)
            eventually(lambda name=name: self.state(name) == "waiting", what=f"{name} waits")
        self.run("cancel", self.tasks["cancelled"])

    def leave(self) -> None:
        """A ZIP is cut, an export and a call wait, a call's answer is out: all die. Then a person
        decides a call, whose caller no worker can notify, and another call is requested.
        """
        self.send("waits", "export.run", account="goa", day=PARTS.isoformat())
        eventually(lambda: self.goa.jobs() and self.goa.jobs()[0]["polls"], what="no poll")
        self.india.configure(bytes_per_second=4_000)
        self.send("cut", "export.run", account="india", day=CUT.isoformat())
        eventually(lambda: self._held() > 4_000, what="the ZIP did not come")
        self.legal.fault("call", "hang", when="after")
        placed = len(self.legal.calls())
        self.send_call("in flight")
        eventually(lambda: len(self.legal.calls()) > placed, what="no call arrived")
        eventually(lambda: self.state("in flight") == "sending", what="it is not noted as sent")
        for process in self.house.processes:
            process.signal_group(signal.SIGKILL)
        for process in self.house.processes:
            process.kill()
        self.run(
            "resolve", self.tasks["decided late"], "--not-placed", "--by", "ana", "--note", "no"
        )
        self.send_call("queued", not_after=FAR)
        long_ago(self.house.ledger_url, "surat", FILLED)

    def day(self, day: date, account: str = "india") -> Any:
        """How a run of a day ends."""
        name = f"{account} {day}"
        return self.ask(name, "export.run", account=account, day=day.isoformat())

    def send_call(self, name: str, account: str = "legal", **more: Any) -> Any:
        """Request a certified call; its caller wants to be notified."""
        asked = {"country": "ES", "phone": "660111222", "max_seconds": 60}
        company = {"company_name": "MyCompany", "company_id": "A4562154"}
        notify = {"task": "billing.called", "queue": "billing"}
        more = {**asked, **company, "notify": notify, **more}
        request_id = f"contract-{name.replace(' ', '-')}"
        return self.send(
            name, "certified_call.request", account=account, request_id=request_id, **more
        )

    def call(self, name: str) -> Any:
        """The same, and wait for its end."""
        return self.send_call(name).get(timeout=60, propagate=False)

    def run(self, *arguments: str) -> str:
        """What a command of the old release prints."""
        done = self.house.run(*arguments)
        assert done.returncode in (0, 1), done.stderr
        return str(done.stdout)

    def state(self, name: str) -> str | None:
        """The state of the job that a task asked for; None while there is none."""
        done = self.house.run("show", self.tasks[name], "--json")
        return str(json.loads(done.stdout)["state"]) if done.returncode == 0 else None

    def facts(self) -> dict[str, Any]:
        """What a test needs to play the providers again, and what the old commands print."""
        accounts = {"india": self.india, "goa": self.goa, "surat": self.surat}
        cut = self.india.jobs()[-1]

        def export(job: dict[str, Any]) -> dict[str, Any]:
            return {"job_id": job["id"], "recording_ids": job["recording_ids"]}

        (sidecar,) = (self.house.folder / "spool").glob("zip-*.json")
        commands = {name: [name] for name in ("status", "alerts", "verify")}
        commands["coverage"] = ["coverage", "--from", str(FIRST), "--to", str(CUT)]
        return {
            "accounts": ACCOUNTS,
            "zone": ZONE,
            "days": {name: str(FIRST + timedelta(days=n)) for n, name in enumerate(NAMES)},
            "recordings": {
                alias: [{"id": one["id"], "start": one["start"]} for one in account.recordings()]
                for alias, account in accounts.items()
            },
            "exports": {
                "cut": {**export(cut), "etag": json.loads(sidecar.read_text())["etag"].strip('"')},
                "waits": export(self.goa.jobs()[-1]),
            },
            "held_bytes": self._held(),
            "zip": cut["path"],
            "tasks": self.tasks,
            "going_on": self.office.recordings()[-1],
            "printed": {
                name: json.loads(self.run(*command, "--json")) for name, command in commands.items()
            },
            "shown": {
                name: json.loads(self.run("show", task, "--json"))
                for name, task in self.tasks.items()
                if name not in ("verify", "queued")
            },
        }

    def _recording(self, day: date) -> int:
        """A recording of a day."""
        of_day = [one for one in self.india.recordings() if one["start"].startswith(str(day))]
        return int(of_day[0]["id"])

    def _held(self) -> int:
        parts = (self.house.folder / "spool").glob("zip-*.part")
        return max((path.stat().st_size for path in parts), default=0)

    def _outbox(self) -> list[str]:
        """What workers have to do after jobs that ended, but for alerts, which nobody takes."""
        lines = self.run("status").splitlines()
        return [line for line in lines if line.startswith("owed:") and " webhook " not in line]


def main(kind: str, target: Path) -> None:
    """Make one copy."""
    os.chdir(CHECKOUT)
    with tempfile.TemporaryDirectory() as temporary:
        made, kept = Path(temporary) / "house", Path(temporary) / "copy"
        made.mkdir()
        kept.mkdir()
        with (
            Simulators(data=made / "simulators") as simulators,
            Valkey(kept / "redis") as valkey,
            database(kind, made) as (url, copy),
        ):
            old = OldHouse(made, valkey, simulators, url)
            facts = old.facts()
            shutil.copy(facts.pop("zip"), kept / "export.zip")
            with valkey.client() as client:
                # Results live for a day, and their tracebacks name folders of this machine.
                client.delete(*client.keys("celery-task-meta-*"))
                client.bgrewriteaof()
                eventually(lambda: not client.info()["aof_rewrite_in_progress"], what="no rewrite")
            valkey.stop()
            copy(kept)
        for path in (kept / "redis").iterdir():
            if path.is_file():  # the server's configuration and log
                path.unlink()
        for name in ("archive", "spool"):
            shutil.copytree(made / name, kept / name)
        (kept / "house.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
        for path in filter(Path.is_file, kept.rglob("*")):
            for own in (temporary, sys.prefix, str(CHECKOUT)):
                assert own.encode() not in path.read_bytes(), path
        packed(kept, target)


if __name__ == "__main__":
    main(sys.argv[2], Path(sys.argv[3]).resolve())
