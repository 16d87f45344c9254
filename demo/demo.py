"""The demo: everything at once on a bare machine, against simulated providers."""

from __future__ import annotations

import contextlib
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from archive.store.directory import DirectoryStore
from archive.verify import verification
from config.settings import ROOT
from ledger.core.job import job_id
from ledger.ledger import Ledger
from worker.commands.progress import console as make_console
from worker.commands.progress import follow, outcome

from .deployment import DemoHouse, eventually
from .live_calls import LiveCalls

_ZONE = "Asia/Kolkata"
_USER = "john.doe@vbc.prod"
_RECORDINGS = 24
#: Slow enough for a transfer to be seen, in bytes a second.
_RATE = 40_000


def demo(*, once: bool, withhold: bool) -> int:
    """Run one night's export from beginning to end, place one certified call, and show it; the
    status to end with.

    ``once`` ends it there, else it stays up until Ctrl-C; ``withhold`` makes the provider keep one
    recording back.
    """
    _end_in_order()
    console = make_console()
    demos = ROOT / "var" / "demo"
    demos.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=demos, prefix=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-")))
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: console.print("stopped"))
        show = _Show(DemoHouse(folder, stack), console)
        show.start()
        status = show.export(withhold=withhold)
        status = show.certified_call() or status
        status = show.recordings() or status
        status = show.verify() or status
        show.flower()
        if not once:
            _stay(console)
    return status


class _Show:
    """What the demo's house is asked to do, one act after the other."""

    def __init__(self, house: DemoHouse, console: Console) -> None:
        self._house = house
        self._console = console
        self._calls = LiveCalls(house, console)

    def start(self) -> None:
        """Start everything."""
        began = time.monotonic()
        self._house.start(self._accounts)
        seconds = time.monotonic() - began
        self._console.print(
            f"services started in {seconds:.1f} s: valkey, simulators, worker, hooks, beat, flower "
            f"(logs in {self._house.folder})"
        )

    def export(self, *, withhold: bool) -> int:
        """Let the planner open yesterday's export, and follow it to its end."""
        yesterday = datetime.now(ZoneInfo(_ZONE)).date() - timedelta(days=1)
        about = {"day": yesterday.isoformat(), "timezone": _ZONE, "count": _RECORDINGS}
        listed = self._house.simulator("vonage", "seed", username=_USER, **about)
        if withhold:
            kept = {"recording_id": listed[len(listed) // 2]["id"], "from_": "everywhere"}
            self._house.simulator("vonage", "withhold", username=_USER, **kept)
        # Beat ticks every five minutes; the demo does not wait for its first tick.
        self._house.send("nightly.plan")
        expected = job_id("india", "earwitness.export.run", f"day:{yesterday}#1")
        with self._ledger() as ledger:
            eventually(lambda: ledger.jobs.named(expected), "the planner opened no export")
            self._console.print(f"export created for {yesterday} by nightly.plan: job {expected}")
            (job,) = follow(ledger, [expected], self._console)
            for line in outcome(job):
                archive = f"manifest: {self._house.archive}/"
                self._console.print(line.replace("manifest: ", archive))
            eventually(lambda: not ledger.outbox.waiting(), "the chain was not written")
        return 0 if job.state == "done" else 1

    def certified_call(self) -> int:
        """Request one certified call, and show what became of it and its receipt."""
        told = self._house.send(
            "certified_call.request",
            account="legal",
            request_id="demo-1",
            country="ES",
            phone="660111222",
            max_seconds=120,
            company_name="MyCompany",
            company_id="A4562154",
        )
        job = told["job_id"]
        with self._ledger() as ledger:
            eventually(lambda: not ledger.outbox.waiting(), "the receipt was not written")
            call = ledger.calls.known(job) or {}
        self._console.print(f"certified call {call['outcome']}: job {job}")
        store = DirectoryStore(self._house.archive)
        for path in store.paths("legal/certified-calls"):
            self._console.print(f"receipt: {self._house.archive}/{path}")
        return 0 if call["outcome"] == "placed" else 1

    def recordings(self) -> int:
        """Start a recording in each way there is, and show what became of it."""
        with self._ledger() as ledger:
            status = self._calls.record(ledger)
            eventually(lambda: not ledger.outbox.waiting(), "the chain was not written")
        return status

    def verify(self) -> int:
        """Verify the archive as anybody could."""
        report = verification.verify(DirectoryStore(self._house.archive))
        for problem in report.problems:
            self._console.print(f"verify: {problem.path}: {problem.message}")
        if report.problems:
            return 1
        heads = ", ".join(f"{account} {head}" for account, head in report.heads.items())
        self._console.print(f"verify: ok ({report.files} files, chain heads: {heads})")
        return 0

    def flower(self) -> None:
        """Say where Flower is."""
        self._console.print(f"Flower: {self._house.flower}")

    def _accounts(self) -> dict[str, dict[str, Any]]:
        nightly = {"at": "00:00", "timezone": _ZONE, "settle_minutes": 0, "catchup_days": 1}
        vonage = self._at("vonage", _USER)
        self._house.simulator("vonage", "configure", username=_USER, bytes_per_second=_RATE)
        limits = {"max_calls_per_day": 10, "max_seconds_per_call": 900, "countries": ["ES"]}
        return {
            "india": {**vonage, "account_id": "self", "nightly": nightly},
            "legal": {**self._at("gsmblockchain", "demo"), "timezone": "Europe/Madrid", **limits},
            **self._calls.accounts(),
        }

    def _at(self, provider: str, username: str) -> dict[str, Any]:
        """An account at a simulated provider: its addresses and credentials."""
        password = secrets.token_urlsafe(12)
        made = self._house.simulator(provider, "account", username=username, password=password)
        return {"provider": provider, **self._house.simulator(provider, "addresses"), **made}

    @contextlib.contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(self._house.ledger_url)
        try:
            yield ledger
        finally:
            ledger.close()


def _end_in_order() -> None:
    """However it is ended, what it has started ends with it: kill, and a terminal that closes, do
    what Ctrl-C does.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _stay(console: Console) -> None:
    console.print("everything stays up; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
