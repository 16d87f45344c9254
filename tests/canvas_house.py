"""A house whose callers use Celery's canvas, and the worker of an application beside it."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from celery import Celery, Signature
from sqlalchemy import func, select, update

from ledger.core.database import now
from ledger.core.schema import waiters

from .deployment import Deployment, Process, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)

#: The application. Each of its tasks writes down that it ran, under the tag that it was given.
SHOP = """
import fcntl, json, os
from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_REDIS"], backend=os.environ["SHOP_REDIS"])
app.conf.task_default_queue = "shop"

def note(task, tag, given):
    one = {"task": task.name, "tag": tag, "given": given, "id": task.request.id}
    one |= {name: getattr(task.request, name) for name in ("parent_id", "root_id")}
    with open(os.environ["SHOP_NOTES"], "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(one) + "\\n")

def task(name):
    @app.task(name=f"shop.{name}", bind=True)
    def run(self, *given, tag="", **more):
        note(self, tag, given)
        return name
    return run

for name in ("paid", "lost", "every", "first", "last"):
    task(name)

@app.task(name="shop.person")
def person(name):
    return name

@app.task(name="shop.swap", bind=True)
def swap(self, ours, tag=""):
    note(self, tag, [])
    raise self.replace(self.app.signature(ours))
"""


class CanvasHouse:
    """Accounts whose calls are placed, refused or left unknown, and one with a recording; the
    application's worker runs, ours does not yet.
    """

    def __init__(
        self,
        deploy: Callable[..., Deployment],
        simulators: Simulators,
        folder: Path,
        **options: Any,
    ) -> None:
        self.platforms = {
            name: simulators.gsmblockchain.account() for name in ("legal", "refusing", "dark")
        }
        self.platforms["refusing"].fault("call", "ko", times=None)
        unknown = {"status": 500, "body": "empty", "when": "after"}
        self.platforms["dark"].fault("call", "answer", times=None, **unknown)
        self.office = simulators.vonage.account()
        self.office.seed(DAY, "Asia/Kolkata", 1)
        company = {"company_name": "MyCompany", "company_id": "A4562154"}
        company |= {"max_calls_per_day": 1000}
        accounts = [
            account_toml(name, {**platform.configuration(), **company})
            for name, platform in self.platforms.items()
        ]
        accounts.append(account_toml("india", self.office.configuration()))
        self.deployment = deploy("\n".join(accounts), **options)
        self._folder = folder
        self._numbers = itertools.count()
        (folder / "shop.py").write_text(SHOP)

    def shop(self) -> Process:
        """Start the application's worker."""
        environment = {
            "SHOP_REDIS": self.deployment.valkey.url,
            "SHOP_NOTES": str(self._folder / "notes"),
            "PYTHONPATH": str(self._folder),
            "PATH": "",
        }
        command = [sys.executable, "-m", "celery", "--workdir", str(self._folder), "-A", "shop"]
        command += ["worker", "-n", "shop@%h", "-P", "threads", "-c", "4", "--loglevel", "INFO"]
        process = Process(command, environment, self._folder / "shop.log")
        self.deployment.processes.append(process)
        eventually(lambda: " ready." in process.log(), what="the shop was not ready")
        return process

    def notes(self, tag: str | None = None) -> list[dict[str, Any]]:
        """What the application's tasks wrote down, in order; under one tag or all."""
        path = self._folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        notes = [json.loads(line) for line in lines]
        return [one for one in notes if tag in (None, one["tag"])]

    @property
    def recording_id(self) -> str:
        """The recording of the account ``india``."""
        return str(self.office.recordings()[0]["id"])

    def task(self, app: Celery, name: str, tag: str, **more: Any) -> Signature:
        """A task of the application, which notes the tag."""
        return app.signature(f"shop.{name}", kwargs={"tag": tag, **more}, queue="shop")

    def call(self, app: Celery, account: str = "legal", **more: Any) -> Signature:
        """A certified call as a signature; it ends at once, unless ``countdown`` is given."""
        options = {"queue": "earwitness"}
        options |= {name: more.pop(name) for name in ("countdown",) if name in more}
        return self._signature(
            app,
            "certified_call.request",
            options,
            account=account,
            country="ES",
            phone="660111222",
            max_seconds=60,
            request_id=f"r-{next(self._numbers)}",
            **more,
        )

    def waiting(self, app: Celery, account: str, seconds: float = 0.3) -> Signature:
        """A task of ours whose job waits, and then ends as the account's calls do."""
        return self.call(app, account, countdown=seconds)

    def download(self, app: Celery) -> Signature:
        """A download as a signature: its job waits for its turn."""
        return self._signature(
            app,
            "recording.download",
            {"queue": "earwitness"},
            account="india",
            recording_id=self.recording_id,
        )

    def jobs(self) -> list[Any]:
        """Every job of the ledger."""
        return self.deployment.ledger.jobs.jobs(limit=1000)

    def waiters(self) -> list[dict[str, Any]]:
        """The rows of tasks whose messages carried something."""
        with self.deployment.ledger.database.engine.connect() as connection:
            carries = waiters.c.canvas.is_not(None) | waiters.c.envelope.is_not(None)
            rows = connection.execute(select(waiters).where(carries))
            return [dict(row._mapping) for row in rows]

    def unanswered(self) -> int:
        """How many tasks wait for an answer."""
        wanted = select(func.count()).select_from(waiters).where(waiters.c.answered_at.is_(None))
        with self.deployment.ledger.database.engine.connect() as connection:
            return int(connection.execute(wanted).scalar_one())

    def forget_answers(self, rows: list[dict[str, Any]]) -> None:
        """Make these rows as a worker leaves them that is killed before it notes its answers."""
        with self.deployment.ledger.database.engine.begin() as connection:
            for row in rows:
                values = {"canvas": row["canvas"], "envelope": row["envelope"]}
                values |= {"answered_at": None, "due_at": now()}
                mine = waiters.c.task_id == row["task_id"]
                connection.execute(update(waiters).where(mine).values(**values))

    def is_quiet(self, in_hand: int = 0) -> bool:
        """Whether no message lies in a queue or is in hand, and the application runs no task; with
        ``in_hand``, so many may be in the hands of a worker that was killed.
        """
        return self._holds(lambda: self._rests(in_hand))

    def is_idle(self, in_hand: int = 0) -> bool:
        """Whether it is quiet, and every task was answered."""
        return self._holds(lambda: self._rests(in_hand) and self.unanswered() == 0)

    def _holds(self, seen: Callable[[], bool]) -> bool:
        """Whether a condition holds, and still holds after one more task of the application.

        A message that the application's worker has just taken from Redis cannot be seen anywhere.
        The worker takes messages in order, so after that task it has received all earlier ones.
        """
        if not seen():
            return False
        with self.deployment.producer() as app:
            app.send_task("shop.person", args=["nobody"], queue="shop").get(timeout=30)
        return seen()

    def _rests(self, in_hand: int) -> bool:
        queues = ("shop", "earwitness", "earwitness.due", "earwitness.downloads")
        with self.deployment.valkey.client() as client:
            return (
                not any(client.llen(queue) for queue in queues)
                and client.hlen("unacked") == 0
                and client.hlen("earwitness.unacked") <= in_hand
                and self._shop_rests()
            )

    def _shop_rests(self) -> bool:
        """Whether every task that the application has received has ended: it acknowledges one
        before it runs it.
        """
        log = self._folder / "shop.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        received = set(re.findall(r"Task [\w.]+\[([^]]+)\] received", text))
        return received <= set(re.findall(r"Task [\w.]+\[([^]]+)\] (?!received)", text))

    def _signature(
        self, app: Celery, name: str, options: dict[str, Any], **kwargs: Any
    ) -> Signature:
        return app.signature(f"earwitness.{name}", kwargs=kwargs, immutable=True).set(**options)
