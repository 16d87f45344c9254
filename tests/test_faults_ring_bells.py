"""What the person on call sees of a fault: rules of a real Prometheus, webhooks, commands, logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select, update

from ledger.core.schema import jobs

from .alert_receiver import AlertReceiver
from .deployment import Deployment, account_toml
from .disks import small_disk
from .prometheus import IS_INSTALLED, Watch, watching
from .servers import Postgres, Valkey, free_port
from .simulators import Simulators
from .stoppable_s3 import object_store
from .waiting import eventually

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not IS_INSTALLED, reason="prometheus is not installed (Debian: prometheus)"),
]

ZONE = "Asia/Kolkata"
DAY = date(2026, 11, 10)
MB = 1_000_000
#: A rule is pending for so many times less than in production.
FASTER = 12.0
#: Longer than jobs are held before people are told.
LONG_HELD = 400.0
LIMIT = 180.0
#: What a command may take while something hangs.
COMMAND_SECONDS = 90.0


@dataclass
class Row:
    """What one fault showed, and when."""

    fault: str
    rule: str
    #: How many webhooks had come before.
    seen: int
    #: Seconds from the fault to its webhook and its removal.
    webhook: float | None = None
    removed: float = 0.0
    began: float = field(default_factory=time.time)
    said: dict[str, str] = field(default_factory=dict)


class OnCall:
    """A deployment of which each part can fail: PostgreSQL, Redis with users, S3, a small spool."""

    def __init__(
        self,
        house: Deployment,
        receiver: AlertReceiver,
        watch: Watch,
        account: object,
    ) -> None:
        self.house = house
        self.receiver = receiver
        self.watch = watch
        self.account = account
        self._asked = 0
        #: Lines of `doctor` that this deployment always has.
        self.usual: set[str] = set()
        self.rows: list[Row] = []

    def ask_for_a_day(self) -> None:
        """A caller asks for another day."""
        self._asked += 1
        day = DAY + timedelta(days=self._asked)
        self.account.seed(day, ZONE, 2, size_bytes=2 * MB)  # type: ignore[attr-defined]
        with self.house.producer() as app:
            self.house.send(app, "export.run", account="india", day=day.isoformat())

    def age_held_jobs(self) -> None:
        """Let every held job have been held for longer."""

        def work(connection: object) -> int:
            held = 0
            for row in connection.execute(select(jobs.c.job_id, jobs.c.work)).all():  # type: ignore[attr-defined]
                note = row.work.get("held")
                if note:
                    changed = {**row.work, "held": {**note, "since": note["since"] - LONG_HELD}}
                    connection.execute(  # type: ignore[attr-defined]
                        update(jobs).where(jobs.c.job_id == row.job_id).values(work=changed)
                    )
                    held += 1
            return held

        eventually(
            lambda: self.house.ledger.database.write(work), within=LIMIT, what="none is held"
        )

    @contextmanager
    def fault(self, fault: str, rule: str, cause: str) -> Iterator[Row]:
        """Within, a fault lasts: its rule fires, its webhook comes, and each command says what it
        says. Afterwards rule and webhook say that it is over.
        """
        if not self.rows:
            self._commands()
        row = Row(fault, rule, seen=len(self.receiver.received))
        self.rows.append(row)
        logs = {process: len(process.log()) for process in self.house.processes}
        self.watch.begin()

        yield row
        eventually(lambda: self.watch.fires(rule), within=LIMIT, what=f"{rule} did not fire")
        row.said |= self._commands()
        eventually(
            lambda: self._told(row, cause, "open"), within=LIMIT, what=f"no webhook of {cause}"
        )
        row.webhook = self._told(row, cause, "open") - row.began
        for process, length in logs.items():
            lines = process.log()[length:].splitlines()
            row.said["log"] = next((line for line in lines if f"cause={cause}" in line), "")

    def over(self, row: Row, cause: str) -> None:
        """The fault was removed just now: everything says so."""
        row.removed = time.monotonic() - self.watch.began
        eventually(
            lambda: self.watch.is_over(row.rule), within=LIMIT, what=f"{row.rule} did not resolve"
        )
        eventually(
            lambda: (
                (self.receiver.taken()[-1]["state"], cause)
                and any(
                    (one["cause"], one["state"]) == (cause, "resolved")
                    for one in self.receiver.taken()
                )
            ),
            within=LIMIT,
            what=f"no webhook that {cause} is over",
        )
        course = self.watch.courses[row.rule]
        resolved = None if course.resolved is None else max(course.resolved - row.removed, 0.0)
        # Seconds from the fault until it pends, fires and is told, and from its removal to the end.
        times = (course.pending, course.fired, row.webhook, resolved)
        shown = " | ".join("-" if one is None else f"{one:.0f}" for one in times)
        lines = [f"| {row.fault} | {row.rule} | {shown} |"]
        lines += [f"    {name}: {said}" for name, said in sorted(row.said.items())]
        sys.stdout.write("\n".join(["", *lines, ""]))

    def _told(self, row: Row, cause: str, state: str) -> float:
        """When the first webhook of a cause was sent since the fault; 0 if none was."""
        for _, headers, body in list(self.receiver.received)[row.seen :]:
            told = json.loads(body)
            if (told["cause"], told["state"]) == (cause, state):
                return float(headers["Earwitness-Timestamp"])
        return 0.0

    def _commands(self) -> dict[str, str]:
        said: dict[str, str] = {}

        def run(name: str, *arguments: str) -> None:
            began = time.monotonic()
            try:
                ended = self.house.run(*arguments, within=COMMAND_SECONDS)
                lines = [line.strip() for line in (ended.stdout + ended.stderr).splitlines()]
                if name == "doctor":
                    lines = [line for line in lines if line.startswith(("error", "warning"))]
                text = "; ".join(line for line in lines if line not in self.usual)
                self.usual |= set() if self.rows else set(lines)
                status = str(ended.returncode)
            except (subprocess.TimeoutExpired, AssertionError, TimeoutError):
                text, status = "no answer", "-"
            took = time.monotonic() - began
            said[name] = f"({status}, {took:.0f} s) {text[:900]}"

        threads = [
            threading.Thread(target=run, args=arguments)
            for arguments in (
                ("doctor", "doctor"),
                ("status", "status", "--state", "waiting"),
                ("health", "health", "worker"),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return said


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    """Somebody on call."""
    with AlertReceiver() as running:
        yield running


def allow(valkey: Valkey, password: str) -> None:
    """The workers' user has this password, and its connections are cut."""
    with valkey.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "w", "reset", "on", f">{password}", "~*", "&*", "+@all"
        )
        client.execute_command("CLIENT", "KILL", "USER", "w")


def test_each_fault_rings_a_bell_and_ends(
    deploy: Callable[..., Deployment],
    simulators: Simulators,
    valkey: Valkey,
    postgres: Postgres,
    receiver: AlertReceiver,
    tmp_path: Path,
) -> None:
    """Redis gone and its password refused, PostgreSQL frozen, S3 hung, the spool full: for each the
    rule is pending, fires and resolves, and the webhook comes twice. What was asked for meanwhile
    is archived in the end, and no worker counts as dead.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    metrics = f"127.0.0.1:{free_port()}"
    with (
        small_disk(tmp_path, mebibytes=160) as disk,
        object_store(tmp_path) as (s3, surroundings, archive),
        postgres.database() as ledger_url,
        watching(tmp_path / "prometheus", [metrics], faster=FASTER) as watch,
    ):
        house = deploy(
            account_toml("india", account.configuration(), {}),
            ledger_url=ledger_url,
            settings={
                "ARCHIVE_URL": archive,
                "SPOOL_DIR": str(disk / "spool"),
                "SPOOL_RESERVE_BYTES": str(4 * MB),
                "METRICS_BIND": metrics,
                "ALERT_URL": receiver.url,
                "ALERT_SECRET": "signed-with-this",
                "REDIS_URL": valkey.url.replace("redis://", "redis://w:right@"),
                "LEASE_SECONDS": "15",
            },
            surroundings=surroundings,
        )
        allow(valkey, "right")
        house.worker()
        on_call = OnCall(house, receiver, watch, account)
        on_call.ask_for_a_day()

        ballast = disk / "ballast"
        with on_call.fault("spool full", "EarwitnessSpoolFull", "held:disk") as row:
            ballast.write_bytes(bytes(disk_free(disk) - 4 * MB))
            on_call.ask_for_a_day()
            on_call.age_held_jobs()
        ballast.unlink()
        on_call.over(row, "held:disk")

        with on_call.fault("S3 hung", "EarwitnessArchiveDown", "held:archive") as row:
            s3.send_signal(signal.SIGSTOP)
            on_call.ask_for_a_day()
            on_call.age_held_jobs()
        s3.send_signal(signal.SIGCONT)
        on_call.over(row, "held:archive")

        with on_call.fault("Redis stopped", "EarwitnessRedisDown", "redis:away") as row:
            valkey.stop()
        valkey.start()
        allow(valkey, "right")
        on_call.over(row, "redis:away")

        with on_call.fault("password refused", "EarwitnessRedisDown", "redis:away") as row:
            allow(valkey, "another")
        allow(valkey, "right")
        on_call.over(row, "redis:away")

        ledger_cause = f"ledger:worker@{os.uname().nodename}"
        with on_call.fault("PostgreSQL frozen", "EarwitnessLedgerDown", ledger_cause) as row:
            freeze(postgres)
        freeze(postgres, thaw=True)
        on_call.over(row, ledger_cause)

        on_call.ask_for_a_day()
        eventually(
            lambda: (
                [job.state for job in house.ledger.jobs.jobs(kind="export.run")] == ["done"] * 4
            ),
            within=LIMIT,
            what="a day that was asked for is not archived",
        )
        assert [job.takeovers for job in house.ledger.jobs.jobs(limit=100) if job.takeovers] == []
        kinds = {one["kind"] for one in house.ledger.alerts.all_open()}
        assert not kinds & {"held", "redis", "archive"}
        house.close()


def disk_free(disk: Path) -> int:
    """The free bytes of a disk."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def freeze(postgres: Postgres, *, thaw: bool = False) -> None:
    """Stop every process of PostgreSQL by SIGSTOP, or let them continue."""
    server = psutil.Process(postgres.pid)
    for process in [server, *server.children(recursive=True)]:
        process.resume() if thaw else process.suspend()
