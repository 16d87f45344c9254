"""A real Prometheus that scrapes workers and judges the rules that the documentation offers."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from .alert_rules import RULES
from .servers import free_port
from .waiting import eventually

#: Seconds of each unit of a duration.
_UNITS = {"s": 1, "m": 60, "h": 3600}

IS_INSTALLED = shutil.which("prometheus") is not None


@dataclass
class Course:
    """When an alert was first seen pending, firing and gone, in seconds since ``begin``."""

    pending: float | None = None
    fired: float | None = None
    resolved: float | None = None


@dataclass
class Watch:
    """The alerts of a Prometheus, looked at again and again."""

    url: str
    began: float = field(default_factory=time.monotonic)
    courses: dict[str, Course] = field(default_factory=dict)

    def begin(self) -> None:
        """Count from now, and forget what was seen."""
        self.courses = {}
        self.began = time.monotonic()

    def look(self) -> None:
        """Look once."""
        answer = httpx.get(f"{self.url}/api/v1/alerts", trust_env=False, timeout=5).json()
        states: dict[str, str] = {}
        for one in answer["data"]["alerts"]:
            name = one["labels"]["alertname"]
            if states.get(name) != "firing":
                states[name] = one["state"]
        courses, now = self.courses, time.monotonic() - self.began
        for name, state in states.items():
            course = courses.setdefault(name, Course())
            course.pending = now if course.pending is None else course.pending
            if state == "firing" and course.fired is None:
                course.fired = now
            course.resolved = None
        for name in courses.keys() - states.keys():
            course = courses[name]
            course.resolved = now if course.resolved is None else course.resolved

    def fires(self, alert: str) -> bool:
        """Whether an alert has fired since the beginning."""
        course = self.courses.get(alert)
        return course is not None and course.fired is not None

    def is_over(self, alert: str) -> bool:
        """Whether it has fired since the beginning, and is over."""
        return self.fires(alert) and self.courses[alert].resolved is not None


@contextmanager
def watching(folder: Path, addresses: list[str], *, faster: float) -> Iterator[Watch]:
    """A Prometheus that scrapes these workers every second, under the documented rules, whose
    ``for`` lasts so many times less. It is looked at until the context ends.
    """
    folder.mkdir()
    (folder / "rules.yml").write_text(hastened(RULES.read_text(), faster))
    targets = ", ".join(f'"{address}"' for address in addresses)
    (folder / "prometheus.yml").write_text(
        f"""global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: earwitness
    scrape_interval: 3s
    scrape_timeout: 3s
    static_configs: [{{targets: [{targets}]}}]
"""
    )
    address = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    watch, stop = Watch(f"http://{address}"), threading.Event()

    def keep_looking() -> None:
        while not stop.wait(0.25):
            try:
                watch.look()
            except (httpx.HTTPError, RuntimeError):
                continue

    looking = threading.Thread(target=keep_looking, daemon=True)
    try:
        eventually(lambda: _is_ready(watch.url), what=(folder / "log").read_text())
        looking.start()
        yield watch
    finally:
        stop.set()
        process.terminate()
        process.wait(timeout=20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False, timeout=5).is_success
    except httpx.HTTPError:
        return False


def hastened(rules: str, faster: float) -> str:
    """The rules, each pending for so many times less; what they look at is the same."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _UNITS[found[2]]
        return f"for: {max(round(seconds / faster), 1)}s"

    return re.sub(r"\bfor: (\d+)([smh])\b", shorter, rules)
