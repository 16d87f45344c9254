"""The steps of a certified call's life, and how a worker is held at each from outside."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from celery import Celery
from celery.result import AsyncResult

from ledger.core import states
from ledger.core.job import Job
from ledger.core.schema import jobs

from .certified_calls import CallHouse, call_house
from .deployment import Deployment, Process
from .gates import Gate, gate
from .ledgers import pass_time
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

#: The account rests for longer than a test lasts.
_REST_SECONDS = 600


@dataclass
class Stage:
    """One call under way, and everything that holds its worker."""

    calling: CallHouse
    app: Celery
    gate: Gate
    simulators: Simulators
    worker: Process
    stack: ExitStack
    _lock: sqlite3.Connection | None = field(default=None)

    @property
    def locked(self) -> bool:
        """Whether the test holds the ledger's lock."""
        return self._lock is not None

    def lock(self, timeout: float = 20) -> None:
        """Hold the ledger's writing lock, as another process would."""
        path = self.calling.house.folder / "ledger.sqlite3"
        # Whoever closes the stage lets go of it, on a thread of its own.
        lock = sqlite3.connect(path, isolation_level=None, timeout=timeout, check_same_thread=False)
        try:
            lock.execute("BEGIN IMMEDIATE")
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.execute("ROLLBACK")
            self._lock.close()
            self._lock = None

    def state(self, *wanted: str) -> Job:
        return self.calling.in_state("r1", *wanted, within=90)

    def requests(self, outcome: str | None = None) -> int:
        """How many requests the platform has seen, or has ended so."""
        mine = [one for one in self.simulators.log if one.get("account") == self._username]
        return sum(
            one.get("operation") == "call" and outcome in (None, one.get("outcome")) for one in mine
        )

    @property
    def _username(self) -> str:
        return str(self.calling.platform.username)

    def ask(self) -> None:
        self.calling.ask(self.app, "r1", task_id="the-task")

    def told(self) -> AsyncResult:
        """What the caller finds now."""
        return AsyncResult("the-task", app=self.app)


Act = Callable[[Stage], None]


def _nothing(_stage: Stage) -> None:
    """Nothing is to be done."""


@dataclass(frozen=True)
class Step:
    """Where a worker is held: in which ``state`` the job is, how it comes there (``arrange``, then
    the task is sent, then ``hold`` until it is there), what is let go of once the worker is dead or
    stands still, and how it ends: the state and how many calls, after a kill and after a sleep.
    """

    state: str
    arrange: Act
    hold: Act
    let_go: Act
    killed: tuple[str, int]
    slept: tuple[str, int]


def _open(stage: Stage) -> None:
    stage.gate.open()


def _received(stage: Stage) -> None:
    eventually(lambda: "certified_call.request[the-task] received" in stage.worker.log())


def _lock_and_open(stage: Stage) -> None:
    stage.lock()
    stage.gate.open()


def _unlock(stage: Stage) -> None:
    stage.unlock()


def _open_and_lock(stage: Stage) -> None:
    stage.gate.open()
    stage.lock()


def _connecting(stage: Stage) -> None:
    stage.state(states.RUNNING)


def _committing(stage: Stage) -> None:
    stage.state(states.RUNNING)
    _lock_and_open(stage)
    eventually(lambda: stage.gate.passed >= 1)


def _taking_back(stage: Stage) -> None:
    """The permission to send came too late; that the call waits again cannot be written either."""
    _committing(stage)
    eventually(lambda: "nothing was sent, and the call will be retried" in stage.worker.log())


def _hang(when: str) -> Act:
    def arrange(stage: Stage) -> None:
        stage.gate.open()
        stage.calling.platform.fault("call", "hang", seconds=5.0, when=when)

    return arrange


def _sending(stage: Stage) -> None:
    stage.state(states.SENDING)
    eventually(lambda: stage.requests() == 1)


def _slow(stage: Stage) -> None:
    stage.gate.open()
    stage.calling.platform.configure(answer_seconds=20.0)


def _answered_but_locked(stage: Stage) -> None:
    stage.state(states.SENDING)
    stage.lock()
    stage.calling.platform.configure(answer_seconds=0.0)
    eventually(lambda: stage.requests("complete") == 1)


def _archive_blocks(stage: Stage) -> None:
    stage.gate.open()
    # A file where the account's folder should be: as root no permission would keep anybody out.
    stage.calling.house.archive.mkdir(exist_ok=True)
    (stage.calling.house.archive / "legal").write_text("in the way")


def _archive_blocks_a_refusal(stage: Stage) -> None:
    _archive_blocks(stage)
    stage.calling.platform.fault("call", "ko", message="no credit")


def _owed(state: str) -> Act:
    def hold(stage: Stage) -> None:
        stage.state(state)
        eventually(lambda: any(_tried(owed) for owed in _receipts_owed(stage)))

    return hold


def _receipts_owed(stage: Stage) -> list[dict[str, Any]]:
    waiting = stage.calling.house.ledger.outbox.waiting()
    return [owed for owed in waiting if owed["kind"] == "receipt"]


def _tried(owed: dict[str, Any]) -> bool:
    return bool(owed["reason"])


def _archive_is_free(stage: Stage) -> None:
    (stage.calling.house.archive / "legal").unlink()


def _error(stage: Stage) -> None:
    stage.gate.open()
    stage.calling.platform.fault("call", "answer", status=500, body="empty", when="after")


def _rests(stage: Stage) -> None:
    stage.gate.open()
    stage.calling.house.ledger.accounts.postpone("legal", _REST_SECONDS, "the test wants it so")


def _goes_on(stage: Stage) -> None:
    stage.calling.house.ledger.accounts.resume("legal")
    pass_time(stage.calling.house.ledger, _REST_SECONDS, jobs.c.next_attempt_at)


def _reached(state: str) -> Act:
    def hold(stage: Stage) -> None:
        stage.state(state)

    return hold


def _cancelled(stage: Stage) -> None:
    job = stage.state(states.WAITING)
    stage.calling.house.ledger.operator_actions.cancel(job.job_id, by="test")


#: Every state of the ledger has at least one step here (test_call_steps.py sees to it).
STEPS = {
    "opening": Step(states.PENDING, _open_and_lock, _received, _unlock, ("done", 1), ("done", 1)),
    "connecting": Step(states.RUNNING, _nothing, _connecting, _open, ("done", 1), ("done", 1)),
    "committing": Step(states.RUNNING, _nothing, _committing, _unlock, ("done", 1), ("done", 1)),
    "taking back": Step(states.RUNNING, _nothing, _taking_back, _unlock, ("done", 1), ("done", 1)),
    "asked": Step(
        states.SENDING, _hang("before"), _sending, _nothing, ("needs_decision", 1), ("done", 1)
    ),
    "counted": Step(
        states.SENDING, _hang("after"), _sending, _nothing, ("needs_decision", 1), ("done", 1)
    ),
    "answered": Step(
        states.SENDING, _slow, _answered_but_locked, _unlock, ("needs_decision", 1), ("done", 1)
    ),
    "placed": Step(
        states.DONE, _archive_blocks, _owed(states.DONE), _archive_is_free, ("done", 1), ("done", 1)
    ),
    "refused": Step(
        states.FAILED,
        _archive_blocks_a_refusal,
        _owed(states.FAILED),
        _archive_is_free,
        ("failed", 0),
        ("failed", 0),
    ),
    "unknown": Step(
        states.NEEDS_DECISION,
        _error,
        _reached(states.NEEDS_DECISION),
        _nothing,
        ("needs_decision", 1),
        ("needs_decision", 1),
    ),
    "waiting": Step(
        states.WAITING, _rests, _reached(states.WAITING), _goes_on, ("done", 1), ("done", 1)
    ),
    "cancelled": Step(
        states.CANCELLED, _rests, _cancelled, _nothing, ("cancelled", 0), ("cancelled", 0)
    ),
}


def act_out(
    step: Step, how: str, stack: ExitStack, folder: Path, valkey: Valkey, simulators: Simulators
) -> Stage:
    """Bring a call to a step, kill its worker or let it sleep until another has taken over, let
    the message come again, and wait for the end that is due.
    """

    def deploy(accounts: str, **options: Any) -> Deployment:
        house = Deployment(folder, valkey, accounts, **options)
        stack.callback(house.close)
        return house

    held = stack.enter_context(gate(simulators.url))
    calling = call_house(
        deploy,
        simulators,
        timeout_seconds=30,
        base_url=f"{held.url}/gsmblockchain",
        settings={"LEASE_SECONDS": "4"},
    )
    calling.house.ledger.identity.prepare()
    app = stack.enter_context(calling.house.producer())
    stage = Stage(calling, app, held, simulators, calling.house.worker("first"), stack)
    stack.callback(stage.unlock)
    step.arrange(stage)
    stage.ask()
    step.hold(stage)
    if how == "kill":
        stage.worker.kill()
    else:
        _send_to_sleep(stage)
    step.let_go(stage)
    calling.house.worker("second")
    stage.ask()
    if how == "sleep":
        _taken_over(stage, step)
        stage.worker.signal_group(signal.SIGCONT)
    stage.state((step.killed if how == "kill" else step.slept)[0])
    return stage


def _send_to_sleep(stage: Stage) -> None:
    """Stop the worker, but not in the middle of a transaction: asleep with SQLite's one lock in
    its hand it would keep everybody waiting, and show nothing of what is tested.
    """
    process = psutil.Process(stage.worker.pid)
    while True:
        stage.worker.signal_group(signal.SIGSTOP)
        eventually(lambda: process.status() == psutil.STATUS_STOPPED)
        if stage.locked:
            return
        with contextlib.suppress(sqlite3.OperationalError):
            stage.lock(timeout=1)
            stage.unlock()
            return
        stage.worker.signal_group(signal.SIGCONT)
        # Until its transaction is over: woken for a moment only, it would never come to that.
        stage.lock()
        stage.unlock()


def _taken_over(stage: Stage, step: Step) -> None:
    """Wait until nobody counts on the worker that sleeps any more."""
    over = {states.SENDING: states.NEEDS_DECISION}.get(step.state, step.slept[0])
    stage.state(over)
