"""What a worker shows to Prometheus of a night, and that it never keeps it from working."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from archive import chain
from ledger.errors import LedgerAway
from ledger.stats import Stats
from worker.metrics.stats_cache import StatsCache

from .alert_rules import names_used
from .canaries import found
from .deployment import ROOT, Deployment, Process
from .metrics_night import BEGAN, Night, Shown
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


#: What a worker says once whose address is taken.
WARNING = "EARWITNESS_METRICS_BIND"


@pytest.fixture
def night(
    deploy: Callable[..., Deployment], simulators: Simulators, postgres: Postgres
) -> Iterator[Night]:
    """A house on PostgreSQL in which nothing has happened yet."""
    with postgres.database() as url:
        made = Night(deploy, simulators, url)
        yield made
        made.house.close()


def test_a_night_as_prometheus_sees_it(night: Night, postgres: Postgres) -> None:
    """Every figure is what happened; nothing private is told; every metric that an alert looks at
    is there. A second worker with the same settings works without the address, says so once, and
    gets it when the first is gone. With the ledger frozen a scrape is answered all the same.
    """
    first = night.house.worker("first")
    with night.house.producer() as app:
        night.happens(app)
    night.until("transfers_in_progress", 1, account="slow")
    # What was scraped before it began is kept for some seconds.
    shown = night.until("jobs", 1, account="slow", kind="export.retrieve", state="running")
    jobs_are_right(shown)
    days_are_right(night, shown)
    files_are_right(night, shown)
    requests_are_right(shown)
    assert found(night.private(), {"/metrics": shown.text.encode()}) == set()
    # For a moment a busy Redis may be unknown.
    eventually(lambda: names_used() <= night.scrape().names(), what="alerts use other names")
    documented(shown)
    accepted_by_promtool(shown)
    nothing_else_answers(night)

    second = night.house.worker("second")
    eventually(lambda: WARNING in second.log(), what="it did not warn")
    assert first.stop() == 0
    the_second_has_it(night, second)
    frozen(night, postgres)
    assert second.stop() == 0


def jobs_are_right(shown: Shown) -> None:
    """What runs, waits for a decision, ended, was told and taken over."""
    calls = {"account": "legal", "kind": "certified_call.request", "state": "needs_decision"}
    assert shown.value("jobs", **calls) == 1
    assert shown.value("jobs_ended_total", **calls) == 1
    assert shown.value("decisions_waiting", account="legal") == 1
    assert shown.value("decisions_waiting", account="india") == 0
    age = shown.value("oldest_decision_age_seconds", account="legal")
    assert age is not None
    assert 0 < age < 300
    told = {"kind": "certified_call.request", "state": "needs_decision"}
    assert shown.value("results_told_total", **told) == 1
    for kind in ("export.run", "archive.verify"):
        assert shown.value("jobs_ended_total", account="india", kind=kind, state="failed") == 1
    assert shown.value("lease_takeovers_total", account="slow") == 1
    assert shown.value("lease_takeovers_total", account="india") == 0
    for kind in ("chain", "receipt", "notify", "alert"):
        assert shown.value("obligations_owed", kind=kind) == 0
    assert shown.value("obligations_tried_total", kind="receipt", outcome="done") == 1
    assert shown.value("alerts_open", kind="decision") == 1
    assert shown.value("alerts_open", kind="quarantine") == 0


def days_are_right(night: Night, shown: Shown) -> None:
    """Which day lacks something, and since when; and that no beat ticks here."""
    assert shown.value("coverage", account="india", state="incomplete") == 1
    assert shown.value("coverage", account="slow", state="running") == 1
    assert shown.value("coverage_incomplete", account="slow") == 0
    (day,) = night.house.ledger.days.of("india")
    since = shown.value("oldest_incomplete_day_timestamp_seconds", account="india")
    assert since == day.window_start == BEGAN
    late = shown.value("nights_unplanned", account="india")
    assert late is not None
    assert late >= 1
    assert shown.value("quarantined") == 0
    assert shown.value("ledger_up") == 1


def files_are_right(night: Night, shown: Shown) -> None:
    """What came, what was kept, what a verification found, and where the chain ends."""
    assert shown.value("archived_bytes_total", account="india") == night.zip_bytes
    assert shown.value("transferred_bytes_total", account="india") == night.zip_bytes
    assert shown.value("archived_bytes_total", account="slow") == 0
    verified = night.house.ledger.jobs.jobs(kind="archive.verify")[0]
    problems = (verified.result or {})["problems"]
    failures = shown.value("verification_failures_total", account="india", kind="archive")
    assert failures == len(problems) > 0
    assert shown.value("verification_failures_total", account="india", kind="damaged") == 0
    head = chain.head(night.house.store, "india")
    assert head is not None
    assert shown.value("chain_entries", account="india") == head.n
    (told,) = [one for one in shown.of("chain_head_info") if one["account"] == "india"]
    entries = night.house.archive.glob("india/chain/*.json")
    assert told["sha256"] in {hashlib.sha256(path.read_bytes()).hexdigest() for path in entries}


def requests_are_right(shown: Shown) -> None:
    """How many requests were made, and what came of them."""
    call = {"account": "legal", "provider": "gsmblockchain", "operation": "certified_call"}
    assert shown.value("provider_requests_total", outcome="unanswered", **call) == 1
    assert shown.value("provider_request_duration_seconds_count", **call) == 1
    created = {"account": "india", "provider": "vonage", "operation": "export_create"}
    assert shown.value("provider_requests_total", outcome="ok", **created) == 1
    gap = {"account": "india", "provider": "vonage", "operation": "recording_audio"}
    assert shown.value("provider_requests_total", outcome="refused", **gap) == 1


def documented(shown: Shown) -> None:
    """The page on metrics has each of ours, and no other; and each operation and outcome."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = set(re.findall(r"^\| `(earwitness_\w+)`", page, re.MULTILINE))
    assert rows == set(re.findall(r"^# TYPE (earwitness_\w+)", shown.text, re.MULTILINE))
    for one in shown.of("provider_requests_total"):
        assert f"`{one['operation']}`" in page
        assert f"| `{one['outcome']}` |" in page


def accepted_by_promtool(shown: Shown) -> None:
    """Its own judge of names and units finds nothing; nor is there what nobody asked for."""
    assert not re.search(r"^(python_gc|\w+_created)", shown.text, re.MULTILINE)
    if shutil.which("promtool") is None:
        return
    said = subprocess.run(
        ["promtool", "check", "metrics"],
        input=shown.text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def nothing_else_answers(night: Night) -> None:
    """``GET /metrics`` alone is answered."""
    for method, path, status in [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/favicon.ico", 404),
        ("POST", "/metrics", 405),
        ("OPTIONS", "/metrics", 405),
    ]:
        answer = httpx.request(method, night.url + path, trust_env=False, timeout=30)
        assert answer.status_code == status, (method, path)


def the_second_has_it(night: Night, second: Process) -> None:
    """It serves: what the ledger holds is the same, what it counts itself starts again, and the
    chain is read from the archive.
    """
    eventually(lambda: "metrics are served" in second.log(), what="it did not get the address")
    assert second.log().count(WARNING) == 1
    head = chain.head(night.house.store, "india")
    assert head is not None
    shown = night.until("chain_entries", head.n, account="india")
    assert shown.value("coverage_incomplete", account="india") == 1
    assert shown.value("archived_bytes_total", account="india") == 0


def frozen(night: Night, postgres: Postgres) -> None:
    """While the database says nothing, what the worker itself counts is shown, and that the ledger
    is away; afterwards everything again.
    """
    server = psutil.Process(postgres.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        shown = night.until("ledger_up", 0)
        assert shown.value("coverage_incomplete", account="india") is None
        assert shown.value("archived_bytes_total", account="india") == 0
    finally:
        for process in processes:
            process.resume()
    shown = night.until("ledger_up", 1)
    assert shown.value("coverage_incomplete", account="india") == 1


def test_a_ledger_that_hangs_is_asked_once_and_waited_for_no_longer() -> None:
    """Scrapes while it hangs are answered without it, and it is asked by one thread alone; what it
    says at last is shown, and kept for a few seconds.
    """
    asked: list[int] = []
    answers = threading.Event()
    figures = Stats([], [], [], [], [], [], [], [], [], quarantined=False)

    def ask() -> Stats:
        asked.append(1)
        assert answers.wait(60)
        return figures

    ledger = StatsCache(ask)
    assert ledger.stats() is None
    assert ledger.stats() is None
    answers.set()
    eventually(lambda: ledger.stats() is figures, what="the answer was not taken")
    assert [ledger.stats() for _ in range(100)] == [figures] * 100
    assert len(asked) == 1


def test_a_ledger_that_fails_is_not_asked_at_every_scrape() -> None:
    """A moment after it has failed it is no use to ask again."""
    asked: list[int] = []

    def ask() -> Stats:
        asked.append(1)
        raise LedgerAway("the ledger does not answer")

    ledger = StatsCache(ask)
    assert [ledger.stats() for _ in range(100)] == [None] * 100
    assert len(asked) == 1
