"""The demo: a whole deployment on one machine, against simulated providers."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from archive.store.directory import DirectoryStore
from archive.verify import verification
from ledger.core.job import job_id
from ledger.ledger import Ledger
from worker.commands.progress import console as make_console
from worker.commands.progress import follow, outcome

from .deployment import ENVIRONMENT, LATEST, ROOT, DemoDeployment, eventually
from .live_calls import LiveCalls

_ZONE = "Asia/Kolkata"
_USER = "john.doe@vbc.prod"
_RECORDINGS = 24
#: The user at Vonage's global API, and how many recordings it has of the company and on demand.
_USER_ABROAD = "jane.doe@vbc.prod"
_RECORDINGS_ABROAD = {None: 6, "self": 4}
#: Bytes a second; slow enough to watch a transfer.
_RATE = 40_000


def demo(*, once: bool, withhold: bool) -> int:
    """Run one night's exports, a certified call and live recordings; return the exit status.

    Unless ``once`` is set, the deployment stays up until Ctrl-C. ``withhold`` makes the provider
    withhold one recording.
    """
    _interrupt_on_termination()
    console = make_console()
    demos = ROOT / "var" / "demo"
    demos.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=demos, prefix=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-")))
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: console.print("stopped"))
        steps = _Steps(DemoDeployment(folder, stack), console)
        steps.start()
        status = steps.export(withhold=withhold)
        status = steps.certified_call() or status
        status = steps.recordings() or status
        status = steps.verify() or status
        steps.commands()
        if not once:
            steps.flower()
            _stay(console)
    return status


class _Steps:
    """The steps of the demo, in order."""

    def __init__(self, deployment: DemoDeployment, console: Console) -> None:
        self._deployment = deployment
        self._console = console
        self._calls = LiveCalls(deployment, console)

    def start(self) -> None:
        """Start the deployment."""
        began = time.monotonic()
        self._deployment.start(self._accounts)
        seconds = time.monotonic() - began
        self._console.print(
            f"services started in {seconds:.1f} s: valkey, simulators, worker, hooks, beat, flower "
            f"(logs in {self._deployment.folder})"
        )

    def export(self, *, withhold: bool) -> int:
        """Have the planner open yesterday's exports, follow them, and return the exit status."""
        yesterday = datetime.now(ZoneInfo(_ZONE)).date() - timedelta(days=1)
        self._seed(yesterday, withhold=withhold)
        # Beat's first tick comes after five minutes; the demo does not wait for it.
        self._deployment.send("nightly.plan")
        return self._followed(["india", "abroad"], yesterday)

    def _seed(self, day: date, *, withhold: bool) -> None:
        about = {"day": day.isoformat(), "timezone": _ZONE}
        simulator = self._deployment.simulator
        listed = simulator("vonage", "seed", username=_USER, count=_RECORDINGS, **about)
        if withhold:
            kept = {"recording_id": listed[len(listed) // 2]["id"], "from_": "everywhere"}
            simulator("vonage", "withhold", username=_USER, **kept)
        for user, count in _RECORDINGS_ABROAD.items():
            of = {"username": _USER_ABROAD, "user_id": user, "count": count}
            simulator("vonage", "seed", **of, **about)

    def _followed(self, aliases: list[str], day: date) -> int:
        """Follow the exports of a day to their end, show what came of each, and return the exit
        status.
        """
        expected = [job_id(one, "earwitness.export.run", f"day:{day}#1") for one in aliases]
        with self._ledger() as ledger:
            for alias, job in zip(aliases, expected, strict=True):
                eventually(partial(ledger.jobs.named, job), "the planner opened no export")
                self._console.print(
                    f"export created for {day} of {alias} by nightly.plan: job {job}"
                )
            ended = follow(ledger, expected, self._console)
            for line in itertools.chain.from_iterable(map(outcome, ended)):
                archive = f"manifest: {self._deployment.archive}/"
                self._console.print(line.replace("manifest: ", archive))
            eventually(lambda: not ledger.outbox.waiting(), "the chain was not written")
        return int(any(job.state != "done" for job in ended))

    def certified_call(self) -> int:
        """Request a certified call, show its outcome and receipt, and return the exit status."""
        answer = self._deployment.send(
            "certified_call.request",
            account="legal",
            request_id="demo-1",
            country="ES",
            phone="660111222",
            max_seconds=120,
            company_name="MyCompany",
            company_id="A4562154",
        )
        job = answer["job_id"]
        with self._ledger() as ledger:
            eventually(lambda: not ledger.outbox.waiting(), "the receipt was not written")
            call = ledger.calls.of_job(job) or {}
        self._console.print(f"certified call {call['outcome']}: job {job}")
        store = DirectoryStore(self._deployment.archive)
        for path in store.paths("legal/certified-calls"):
            self._console.print(f"receipt: {self._deployment.archive}/{path}")
        return 0 if call["outcome"] == "placed" else 1

    def recordings(self) -> int:
        """Record calls in every way, show the files, and return the exit status."""
        with self._ledger() as ledger:
            status = self._calls.record(ledger)
            eventually(lambda: not ledger.outbox.waiting(), "the chain was not written")
        return status

    def verify(self) -> int:
        """Verify the archive without the ledger, and return the exit status."""
        report = verification.verify(DirectoryStore(self._deployment.archive))
        for problem in report.problems:
            self._console.print(f"verify: {problem.path}: {problem.message}")
        if report.problems:
            return 1
        heads = ", ".join(f"{account} {head}" for account, head in report.heads.items())
        self._console.print(f"verify: ok ({report.files} files, chain heads: {heads})")
        return 0

    def commands(self) -> None:
        """Show how commands get at the demo's data, also when the demo has ended."""
        file = (self._deployment.folder.parent / LATEST / ENVIRONMENT).relative_to(ROOT)
        self._console.print(f"to look at its data, run: . {file}; .venv/bin/earwitness status")

    def flower(self) -> None:
        """Show Flower's address."""
        self._console.print(f"Flower: {self._deployment.flower}")

    def _accounts(self) -> dict[str, dict[str, Any]]:
        nightly = {"at": "00:00", "timezone": _ZONE, "settle_minutes": 0, "catchup_days": 1}
        vonage = self._at("vonage", _USER)
        abroad = self._at("vonage", _USER_ABROAD, region="global")
        self._deployment.simulator("vonage", "configure", username=_USER, bytes_per_second=_RATE)
        limits = {"max_calls_per_day": 10, "max_seconds_per_call": 900, "countries": ["ES"]}
        return {
            "india": {**vonage, "account_id": "self", "nightly": nightly},
            "abroad": {**abroad, "account_id": "self", "recordings": "both", "nightly": nightly},
            "legal": {**self._at("gsmblockchain", "demo"), "timezone": "Europe/Madrid", **limits},
            **self._calls.accounts(),
        }

    def _at(self, provider: str, username: str, **region: str) -> dict[str, Any]:
        """Make an account at a simulated provider; return its addresses and credentials."""
        login = {"username": username, "password": secrets.token_urlsafe(12)}
        made = self._deployment.simulator(provider, "account", **login, **region)
        addresses = self._deployment.simulator(provider, "addresses", **region)
        return {"provider": provider, **addresses, **made}

    @contextlib.contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(self._deployment.ledger_url)
        try:
            yield ledger
        finally:
            ledger.close()


def _interrupt_on_termination() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the demo's processes always end with it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _stay(console: Console) -> None:
    console.print("everything keeps running; press Ctrl-C to stop it")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
