"""Live display of running jobs: states with their reasons, the next try, and transfers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn
from rich.text import Text

from ledger.core import states
from ledger.core.job import Job
from ledger.ledger import Ledger

from .job_view import transfer_line

_POLL_SECONDS = 0.2
#: Outside a terminal, the least time between two lines of a transfer.
_LINE_SECONDS = 1.0


def follow(ledger: Ledger, job_ids: list[str], console: Console) -> list[Job]:
    """Show the jobs and their parts until all have ended; return the ended jobs.

    Each change is a line with its time in UTC. On a terminal, transfers are bars and waits are
    countdowns; elsewhere transfers are lines.
    """
    display = _JobDisplay(console, ledger.database.time() - time.time())
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


class _Bar(BarColumn):
    """A bar for transfers; a wait has none."""

    def render(self, task: Task) -> Any:
        """Draw the bar of a task."""
        return Text("") if task.fields.get("is_wait") else super().render(task)


class _JobDisplay:
    """Shows changes of jobs; remembers what was shown last of each job.

    ``ahead`` is by how many seconds the ledger's clock is ahead of this one.
    """

    def __init__(self, console: Console, ahead: float) -> None:
        self._console = console
        self._ahead = ahead
        self._seen: dict[str, tuple[str, str | None, int]] = {}
        self._lines: dict[str, float] = {}
        self._bars: dict[str, Any] = {}
        self._progress = Progress(
            TextColumn("  {task.description}"),
            _Bar(),
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
        if job.transfer is not None and job.state == states.RUNNING:
            self._transfer(job.job_id, job.transfer)
        elif job.next_attempt_at is not None and job.state == states.WAITING:
            self._wait(job, job.next_attempt_at)
        elif job.job_id in self._bars:
            self._progress.remove_task(self._bars.pop(job.job_id))
        if self._seen.get(job.job_id) == now:
            return
        self._seen[job.job_id] = now
        if job.state in (states.PENDING, states.RUNNING):
            return
        name, reason = f"{job.kind} {job.account}", f", {job.reason}" if job.reason else ""
        self._console.print(f"  {_clock(self._now())} {name}: {job.state}{reason}{_next(job)}")

    def _now(self) -> float:
        return time.time() + self._ahead

    def _wait(self, job: Job, next_attempt_at: float) -> None:
        """Count down to the next try."""
        if not self._console.is_terminal:
            return
        left = max(0, round(next_attempt_at - self._now()))
        self._bar(
            job.job_id, f"{job.kind} {job.account}", is_wait=True, figures=f"next try in {left} s"
        )

    def _bar(self, job_id: str, name: str, *, is_wait: bool, **shown: Any) -> None:
        """Show or update the line of a transfer or a wait at the foot of the terminal."""
        bar = self._bars.get(job_id)
        if bar is None:
            bar = self._bars[job_id] = self._progress.add_task(name, figures="", total=None)
        self._progress.update(bar, description=name, is_wait=is_wait, **shown)

    def _transfer(self, job_id: str, transfer: dict[str, Any]) -> None:
        if self._console.is_terminal:
            done, total = transfer["bytes"], transfer["total"]
            figures = transfer_line(transfer)
            self._bar(
                job_id, "transfer", is_wait=False, completed=done, total=total, figures=figures
            )
            return
        if time.monotonic() - self._lines.get(job_id, -_LINE_SECONDS) >= _LINE_SECONDS:
            self._lines[job_id] = time.monotonic()
            self._console.print(f"  transfer: {transfer_line(transfer)}")


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def _next(job: Job) -> str:
    if job.next_attempt_at is None or job.state != states.WAITING or job.open_parts:
        return ""
    return f"; next try at {_clock(job.next_attempt_at)}"


def outcome(job: Job) -> Iterator[str]:
    """Yield an ended export's counts, its error and its manifest as lines."""
    result = job.result or {}
    if "listed" in result:
        listed = result["listed"]
        yield f"archived {result['archived']} of {listed} recording{'s' * (listed != 1)}"
    if job.error is not None:
        yield job.error["message"]
    if result.get("manifest"):
        yield f"manifest: {result['manifest']}"


def console() -> Console:
    """Return a console that breaks no line outside a terminal."""
    return Console(soft_wrap=True, highlight=False, file=sys.stdout)
