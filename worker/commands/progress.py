"""Live display of running exports: states, polls with their reasons, and transfers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ledger.core.job import Job
from ledger.ledger import Ledger

from .job_view import transfer_line

_POLL_SECONDS = 0.2
#: Outside a terminal, the least time between two lines of a transfer.
_LINE_SECONDS = 1.0


def follow(ledger: Ledger, job_ids: list[str], console: Console) -> list[Job]:
    """Show the jobs and their parts until all have ended; return the ended jobs.

    On a terminal, transfers are bars; elsewhere they are lines.
    """
    display = _JobDisplay(console)
    with display:
        while True:
            jobs = [ledger.jobs.job(job_id) for job_id in job_ids]
            for job in jobs:
                for part in ledger.jobs.parts(job.job_id):
                    display.job(part)
                display.job(job)
            if all(job.ended for job in jobs):
                return jobs
            time.sleep(_POLL_SECONDS)


class _JobDisplay:
    """Shows changes of jobs; remembers what was shown last of each job."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, tuple[str, str | None, int]] = {}
        self._lines: dict[str, float] = {}
        self._bars: dict[str, Any] = {}
        self._progress = Progress(
            TextColumn("  transfer"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def job(self, job: Job) -> None:
        """Show a job if it changed."""
        now = (job.state, job.reason, job.attempts)
        if job.transfer is not None and job.state == "running":
            self._transfer(job.job_id, job.transfer)
        elif job.job_id in self._bars:
            self._progress.remove_task(self._bars.pop(job.job_id))
        if self._seen.get(job.job_id) == now:
            return
        self._seen[job.job_id] = now
        if job.state in ("pending", "running"):
            return
        name = f"{job.kind} {job.account}"
        self._console.print(f"  {name}: {job.state}" + (f", {job.reason}" if job.reason else ""))

    def _transfer(self, job_id: str, transfer: dict[str, Any]) -> None:
        if self._console.is_terminal:
            bar = self._bars.get(job_id)
            if bar is None:
                bar = self._bars[job_id] = self._progress.add_task("", figures="", total=None)
            self._progress.update(
                bar,
                completed=transfer["bytes"],
                total=transfer["total"],
                figures=transfer_line(transfer),
            )
            return
        if time.monotonic() - self._lines.get(job_id, -_LINE_SECONDS) >= _LINE_SECONDS:
            self._lines[job_id] = time.monotonic()
            self._console.print(f"  transfer: {transfer_line(transfer)}")


def outcome(job: Job) -> Iterator[str]:
    """Yield an ended export's counts, its error and its manifest as lines."""
    result = job.result or {}
    if "listed" in result:
        yield f"archived {result['archived']} of {result['listed']} recordings"
    if job.error is not None:
        yield job.error["message"]
    if result.get("manifest"):
        yield f"manifest: {result['manifest']}"


def console() -> Console:
    """Return a console that breaks no line outside a terminal."""
    return Console(soft_wrap=True, highlight=False, file=sys.stdout)
