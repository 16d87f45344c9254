"""A real Flower beside a deployment, and a visitor who walks through everything that it serves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from celery import Celery
from flower.urls import handlers
from tornado.web import RequestHandler

from . import callers
from .deployment import ROOT, Deployment, Process
from .servers import Valkey, free_port
from .waiting import eventually

LOGIN = ("ops", "pass-of-the-dashboard")
#: As ``FLOWER_BASIC_AUTH`` wants it.
LOGIN_SAID = ":".join(LOGIN)

_TABLE = (
    "draw=1&start=0&length=1000&order%5B0%5D%5Bcolumn%5D=0&order%5B0%5D%5Bdir%5D=desc"
    "&columns%5B0%5D%5Bdata%5D=received"
)
_QUESTIONS = {
    "/tasks/datatable": _TABLE,
    "/api/workers": "refresh=1",
    "/workers": "json=1",
    "/api/tasks": "limit=1000",
}


def addresses(task: str, worker: str, *, method: str = "get") -> list[str]:
    """Every address that Flower answers for this method, as its own source has them, with these in
    their places.
    """
    found = []
    for one in handlers:
        pattern, handler = getattr(one, "regex", None), getattr(one, "handler_class", None)
        if pattern is None or handler is None:
            pattern, handler = re.compile(one[0]), one[1]
        path, placed, _ = pattern.pattern.rstrip("$").partition("(")
        if path != ".*" and hasattr(handler, method) and _answers(handler, method):
            name = (worker if "/worker/" in path else task) if placed else ""
            found.append(path.rstrip("?") + name + _question(path))
    return found


def _answers(handler: type[RequestHandler], method: str) -> bool:
    return getattr(handler, method) is not getattr(RequestHandler, method)


def _question(path: str) -> str:
    return f"?{_QUESTIONS[path]}" if path in _QUESTIONS else ""


class Dashboard:
    """A Flower that was started, and a client that is logged in."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.client = httpx.Client(base_url=url, auth=LOGIN, trust_env=False, timeout=30)
        self.stranger = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def ready(self, valkey: Valkey) -> bool:
        """Whether it answers and hears every event from now on; fails where it has ended."""
        assert self.process.alive, self.process.log()
        try:
            self.stranger.get("/healthcheck").raise_for_status()
        except httpx.HTTPError:
            return False
        connections = psutil.Process(self.process.pid).net_connections()
        ours = {one.laddr.port for one in connections if one.laddr}
        with valkey.client() as client:
            listening = [one["addr"] for one in client.client_list() if one["psub"] != "0"]
        return any(int(address.rpartition(":")[2]) in ours for address in listening)

    def tasks(self) -> dict[str, Any]:
        """Every task that it knows, by id."""
        return dict(self.client.get("/api/tasks").raise_for_status().json())

    def task(self, task_id: str, state: str, within: float = 60) -> dict[str, Any]:
        """A task once it is in a state."""

        def look() -> dict[str, Any] | None:
            task = self.tasks().get(task_id)
            return task if task and task["state"] == state else None

        found = eventually(look, within=within, what=f"Flower did not show {task_id} as {state}")
        assert found is not None
        return found

    def rows(self) -> dict[str, Any]:
        """The rows of the Tasks page, by id."""
        table = self.client.post(f"/tasks/datatable?{_TABLE}").raise_for_status().json()
        return {row["uuid"]: row for row in table["data"]}

    def workers(self) -> list[str]:
        """The workers on the Workers page."""
        table = self.client.get("/workers?json=1").raise_for_status().json()
        return [row["hostname"] for row in table["data"]]

    def pages(self, tasks: Iterable[str], workers: Iterable[str]) -> dict[str, bytes]:
        """Everything that can be read, by its address."""
        every = {address for task in tasks for address in addresses(task, "nobody")}
        every |= {address for worker in workers for address in addresses("nothing", worker)}
        return {address: self.client.get(address).content for address in every}

    def close(self) -> None:
        self.client.close()
        self.stranger.close()


def started(
    house: Deployment, *arguments: str, folder: Path = ROOT, **environment: str
) -> tuple[Process, str]:
    """``celery -A worker flower`` in a folder, all else said by the environment; its address."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "worker", "flower", *arguments]
    found = {} if folder == ROOT else {"PYTHONPATH": str(ROOT)}
    said = {**house.environment, "FLOWER_PORT": str(port), **found, **environment}
    number = len(house.processes)
    process = Process(command, said, house.folder / f"flower-{number}.log", folder=folder)
    house.processes.append(process)
    return process, f"http://127.0.0.1:{port}"


@contextmanager
def dashboard(
    house: Deployment, *arguments: str, folder: Path = ROOT, **environment: str | None
) -> Iterator[Dashboard]:
    """A Flower with a login, once it answers; what is None is not said."""
    said = {"FLOWER_BASIC_AUTH": LOGIN_SAID, **environment}
    process, url = started(
        house, *arguments, folder=folder, **{k: v for k, v in said.items() if v is not None}
    )
    running = Dashboard(process, url)
    try:
        eventually(lambda: running.ready(house.valkey), what="Flower did not start")
        yield running
    finally:
        running.close()
        process.close()


@contextmanager
def caller(house: Deployment, **configuration: Any) -> Iterator[Celery]:
    """Another application, which waits for no result."""
    with callers.caller(house.valkey.url) as app:
        app.conf.update(configuration)
        yield app
