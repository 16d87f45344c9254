"""Celery's canvas over tasks of ours: what docs/producers/celery.md says is sent, is sent once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Signature, chain, chord, group

from ledger.core.schema import jobs

from .canvas_house import CanvasHouse
from .deployment import Deployment
from .ledgers import pass_time
from .pages import DOCS
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

#: The jobs wait for longer than it takes to kill the worker.
LATER = 600
PAGE = (DOCS / "producers" / "celery.md").read_text(encoding="utf-8")
#: The columns of the page's table, and whose calls end so.
OUTCOMES = {"done": "legal", "failed or refused": "refusing", "needs a decision": "dark"}
_ROW = re.compile(
    r"^\| `((?:job|chain|group|chord|swap)\b.*\))` \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE
)


@dataclass
class Idiom:
    """One cell of the table: the code that is sent, how its jobs end, and what then runs."""

    tag: str
    code: str
    account: str
    runs: list[str]
    result: Any = None


def idioms() -> Iterator[Idiom]:
    """Every cell of the page's table."""
    numbers = itertools.count()
    for code, *cells in _ROW.findall(PAGE):
        for account, cell in zip(OUTCOMES.values(), cells, strict=True):
            runs = sorted(f"shop.{name}" for name in re.findall(r"`(\w+)`", cell))
            assert runs or cell == "none", cell
            yield Idiom(f"{next(numbers)} {account}", code, account, runs)


class Canvas:
    """A caller who sends idioms of the table."""

    def __init__(self, house: CanvasHouse, app: Celery) -> None:
        self.house = house
        self.app = app

    def send(self, idiom: Idiom, job: Callable[[], Signature]) -> None:
        """Send an idiom; ``job`` makes the signature of a task of ours, and ``other`` is of a call
        that ends at once.
        """
        names = ("paid", "lost", "every", "first", "last")
        known: dict[str, Any] = {name: self.house.task(self.app, name, idiom.tag) for name in names}
        known |= {"job": job(), "other": self.house.call(self.app, idiom.account)}
        known |= {"swap": self._swap(idiom.tag)}
        known |= {"chain": chain, "chord": chord, "group": group}
        idiom.result = eval(idiom.code, known)

    def _swap(self, tag: str) -> Callable[..., Any]:
        def swap(job: Signature, then: Signature) -> Any:
            return chain(self.house.task(self.app, "swap", tag, ours=dict(job)), then).apply_async()

        return swap

    def check(self, sent: list[Idiom]) -> None:
        """Wait until every idiom has run as the page says, and nothing else has."""
        for one in sent:
            try:
                eventually(one.result.ready, what=f"no end of {one.tag}: {one.code}", within=60)
            except AssertionError as late:
                raise AssertionError(f"{late}: {_states(one.result)}") from None
        expected = {one.tag: one.runs for one in sent}

        eventually(self.house.is_idle, what="there is still something to do")
        assert self.ran(expected) == expected

    def ran(self, tags: Any) -> dict[str, list[str]]:
        """What has run, by tags."""
        found: dict[str, list[str]] = {tag: [] for tag in tags}
        for note in self.house.notes():
            found[note["tag"]].append(note["task"])
        return {tag: sorted(tasks) for tag, tasks in found.items()}


def _states(result: Any) -> list[str]:
    """The states of a result and of those before it, the first of them last."""
    before = [] if result.parent is None else _states(result.parent)
    return [getattr(result, "state", "a group"), *before]


@pytest.fixture
def house(
    request: pytest.FixtureRequest, deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> Iterator[CanvasHouse]:
    """The house, with the application's worker; its ledger is on PostgreSQL if the test says so."""
    with ExitStack() as stack:
        database = getattr(request, "param", None)
        url = None
        if database == "postgres":
            url = stack.enter_context(request.getfixturevalue("postgres").ledger())
        # The tests that name a database kill workers, whose leases have to end soon.
        settings = {"LEASE_SECONDS": "3"} if database else {}
        made = CanvasHouse(deploy, simulators, tmp_path, settings=settings, ledger_url=url)
        stack.callback(made.deployment.close)
        made.shop()
        yield made


@pytest.fixture
def canvas(house: CanvasHouse) -> Iterator[Canvas]:
    """A caller of the house."""
    with house.deployment.producer() as app:
        yield Canvas(house, app)


def test_the_page_s_table(house: CanvasHouse, canvas: Canvas) -> None:
    """Each idiom of the page with jobs that end at once and with jobs that wait, for each end."""
    house.deployment.worker()
    at_once, later = list(idioms()), list(idioms())
    assert len(at_once) >= 50
    for one in at_once:
        canvas.send(one, lambda one=one: house.call(canvas.app, one.account))
    for one in later:
        one.tag += " later"
        canvas.send(one, lambda one=one: house.waiting(canvas.app, one.account))
    canvas.check([*at_once, *later])


@pytest.mark.parametrize(
    ("house", "redis"), [("sqlite", "kept"), ("postgres", "emptied")], indirect=["house"]
)
def test_a_worker_is_killed_while_jobs_wait(house: CanvasHouse, canvas: Canvas, redis: str) -> None:
    """By SIGKILL, and with Redis emptied as well: the next worker fires everything once. And when
    it is killed before it has noted that, the one after it fires nothing again.
    """
    worker = house.deployment.worker()
    # What follows a task of the application is in Redis alone, as a chord's count of its parts.
    sent = [one for one in idioms() if redis == "kept" or re.match(r"(chain\()?job\b", one.code)]
    for one in sent:
        canvas.send(one, lambda one=one: house.waiting(canvas.app, one.account, seconds=LATER))
    begun = [_first(one.result) for one in sent if re.match(r"(chain\()?job\b", one.code)]
    assert len(begun) >= 20
    # A message that a worker takes from Redis while it is killed is the caller's to send again.
    eventually(lambda: all(one.state != "PENDING" for one in begun), what="not all were accepted")
    eventually(house.is_quiet, what="not all were accepted")
    kept = house.waiters()
    worker.kill()
    if redis == "emptied":
        house.deployment.valkey.client().flushall()
    worker = house.deployment.worker("second")
    pass_time(house.deployment.ledger, LATER, jobs.c.next_attempt_at)
    canvas.check(sent)
    worker.kill()
    house.forget_answers(kept)
    house.deployment.worker("third")
    canvas.check(sent)


@pytest.mark.parametrize("house", ["postgres"], indirect=True)
def test_a_worker_is_killed_during_a_call(house: CanvasHouse, canvas: Canvas) -> None:
    """The call needs a decision then: the errback runs once, although the message is delivered
    again, and a decision that people make later runs nothing.
    """
    worker = house.deployment.worker()
    house.platforms["legal"].fault("call", "hang", seconds=60.0, when="before")
    made = house.call(canvas.app)
    linked = {"link": house.task(canvas.app, "paid", "cut")}
    linked["link_error"] = house.task(canvas.app, "lost", "cut")
    asked = made.apply_async(task_id="cut", **linked)
    eventually(lambda: [job.state for job in house.jobs()] == ["sending"], what="it was not sent")
    worker.kill()
    house.deployment.worker("second")
    assert type(asked.get(timeout=60, propagate=False)).__name__ == "Uncertain"
    made.apply_async(task_id="cut", **linked)
    eventually(lambda: house.is_idle(in_hand=1), what="there is still something to do")
    (job,) = house.jobs()
    decided = house.deployment.send(
        canvas.app, "job.resolve", job_id=job.job_id, outcome="placed", by="ops", note="panel"
    )
    assert decided.get(timeout=60)["state"] == "done"
    eventually(lambda: house.is_idle(in_hand=1), what="there is still something to do")
    assert [note["task"] for note in house.notes()] == ["shop.lost"]


def _first(result: Any) -> Any:
    """The result of the first task of a chain."""
    return result if result.parent is None else _first(result.parent)
