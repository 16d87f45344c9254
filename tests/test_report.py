"""``report``: one page for people without a shell, and what beat has written every morning."""

from __future__ import annotations

import csv
import errno
import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from celery.result import allow_join_result

from archive.store.fsync import replace_text
from ledger.call_outcomes import UNKNOWN, Outcome
from ledger.core import states
from ledger.daily_quota import Cap
from tasks.reports.content import DEFAULT_DAYS, default_span

from .deployment import ROOT, Deployment, account_toml
from .ledgers import running
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .waiting import eventually

PHONE = "+34660111222"
CAP = Cap(100, "Europe/Madrid")
LEGAL = {
    "provider": "gsmblockchain",
    "base_url": "http://127.0.0.1:1/none",
    "username": "myuser12",
    "password": "sesame-open",
    "timezone": "Europe/Madrid",
    "max_calls_per_day": 100,
    "max_seconds_per_call": 900,
    "countries": ["ES"],
}


class Page(HTMLParser):
    """A page taken apart: its text, the addresses that it names, and its cells by title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.titles: dict[str, str] = {}
        self._title: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.addresses += [named[name] for name in ("src", "href", "action") if name in named]
        self._title = named.get("title") if tag == "td" else None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._title is not None:
            self.titles[self._title] = data
            self._title = None

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """An account at the simulated provider."""
    return simulators.vonage.account()


@pytest.fixture
def house(deploy: Callable[..., Deployment], account: AccountDoor, tmp_path: Path) -> Deployment:
    """A deployment with recordings and certified calls, and a folder for reports."""
    accounts = account_toml("india", account.configuration(), {"timezone": ZONE})
    folder = {"REPORT_DIR": str(tmp_path / "reports")}
    return deploy(accounts + account_toml("legal", LEGAL), settings=folder)


def undecided(house: Deployment, request_id: str) -> str:
    """A call of which nobody knows whether it was placed; its job."""
    given = {"kind": "certified_call.request", "account": "legal"}
    parameters = {"country": "ES", "phone": PHONE, "max_seconds": 120}
    _, lease = running(house.ledger, request_id, details=CAP, parameters=parameters, **given)
    house.ledger.calls.send(lease, CAP)
    reason = "unknown: HTTP 500"
    unknown = Outcome(
        states.NEEDS_DECISION, UNKNOWN, reason, {"type": "Uncertain", "message": reason}
    )
    return house.ledger.calls.store_outcome(lease, unknown, own_task=None).job_id


def written(house: Deployment, folder: Path, *options: str) -> tuple[str, list[dict[str, str]]]:
    """Run ``report``; return the page and the lines of the CSV file."""
    page, lines = folder / "page.html", folder / "days.csv"
    done = house.run("report", "--out", str(page), "--csv", str(lines), *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"written: {page}\nwritten: {lines}\n"
    assert {stat.S_IMODE(one.stat().st_mode) for one in (page, lines)} == {0o600}
    return page.read_text(), list(csv.DictReader(io.StringIO(lines.read_text())))


def test_a_report_says_what_is_complete_missing_and_undecided(
    house: Deployment, account: AccountDoor, tmp_path: Path
) -> None:
    """A complete day, an incomplete one, decisions open and made, alerts, calls against the cap,
    chain heads: all are on one page that refers to nothing outside. Beat's task writes the same.
    """
    before = YESTERDAY - timedelta(days=1)
    account.seed(before, ZONE, 3)
    account.withhold(account.seed(YESTERDAY, ZONE, 4)[2]["id"], from_="everywhere")
    worker = house.worker()
    span = ("--from", str(before), "--to", str(YESTERDAY))
    assert house.run("export", "--account", "india", *span, "--wait").returncode == 1
    open_job, made_job = undecided(house, "contract-1"), undecided(house, "contract-2")
    note = ("--by", "ana", "--note", "<b>in the panel</b>")
    assert house.run("resolve", made_job, "--placed", *note).returncode == 0
    eventually(lambda: not house.ledger.outbox.waiting(), what="a chain entry is owed")

    text, lines = written(house, tmp_path, *span)
    page = Page(text)
    assert all(address.startswith("#") for address in page.addresses)
    assert "default-src 'none'" in text
    assert page.titles[f"india {before}: complete, 3 of 3"] == "3"
    (gap,) = [title for title in page.titles if "incomplete, 3 of 4" in title]
    assert page.titles[gap] == "\u22121"
    assert "contract-1" in page.text
    assert open_job in page.text
    assert "decided by ana: the call was placed; <b>in the panel</b>" in page.text
    assert "at most 100 a day" in page.text
    assert house.ledger.archive_record.heads()["india"].sha256 in page.text
    assert PHONE not in text
    assert "222" in page.text
    assert [(one["day"], one["state"], one["archived"], one["missing"]) for one in lines] == [
        (str(before), "complete", "3", "0"),
        (str(YESTERDAY), "incomplete", "3", "1"),
    ]
    assert all(int(one["bytes"]) > 0 for one in lines)
    assert lines[1]["alert_since"] in page.text

    assert "india" not in Page(written(house, tmp_path, *span, "--account", "legal")[0]).titles
    with house.producer() as app, allow_join_result():
        result = house.send(app, "report.write").get(timeout=60)
    path = Path(result["path"])
    assert path.parent == tmp_path / "reports"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert gap in Page(path.read_text()).titles
    assert worker.alive


@pytest.mark.parametrize(
    ("given", "made_at", "last"),
    [
        ({}, "2026-12-15T18:00Z", date(2026, 12, 14)),
        ({}, "2026-12-15T22:30Z", date(2026, 12, 15)),
        ({"account": "india"}, "2026-12-15T22:30Z", date(2026, 12, 15)),
        ({"account": "bogota"}, "2026-12-15T22:30Z", date(2026, 12, 14)),
        ({"account": "bogota"}, "2026-12-15T02:00Z", date(2026, 12, 14)),
        ({"first": date(2027, 1, 3)}, "2026-12-15T22:30Z", date(2027, 1, 3)),
    ],
)
def test_a_report_ends_with_the_last_day_that_is_over(
    given: dict[str, Any],
    made_at: str,
    last: date,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Yesterday in UTC or, where that is later, the day whose night has come in an account's
    zone.
    """
    zones = {"india": "Asia/Kolkata", "bogota": "America/Bogota"}
    told = {"provider": "vonage", "account_id": "1", "login_name": "john@vbc.prod"}
    text = [
        account_toml(alias, {**told, "access_token": f"sesame-{alias}"}, {"timezone": zone})
        for alias, zone in zones.items()
    ]
    (tmp_path / "accounts.toml").write_text("".join(text))
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    span = default_span(datetime.fromisoformat(made_at).timestamp(), **given)
    assert span == (given.get("first", last - timedelta(days=DEFAULT_DAYS - 1)), last)


def test_numbers_are_shown_once_that_is_noted(house: Deployment, tmp_path: Path) -> None:
    """``--numbers shown`` prints them whole, and the ledger holds who asked for it."""
    undecided(house, "contract-1")
    assert PHONE in written(house, tmp_path, "--numbers", "shown")[0]
    history = house.ledger.jobs.history(house.ledger.identity.identity())
    assert "a report showed numbers" in history[-1]["why"]
    assert PHONE not in written(house, tmp_path)[0]


def test_a_report_that_cannot_be_written_changes_nothing(house: Deployment, tmp_path: Path) -> None:
    """A folder that is not there, a span that ends before it begins and an unknown account get a
    sentence each, and the earlier file stays.
    """
    page = tmp_path / "page.html"
    page.write_text("earlier")
    for options in (
        ("--out", str(tmp_path / "nowhere" / "page.html")),
        ("--out", str(page), "--from", "2026-11-20", "--to", "2026-11-19"),
        ("--out", str(page), "--account", "nobody"),
    ):
        done = house.run("report", *options)
        assert done.returncode in (1, 2)
        assert done.stderr.startswith("earwitness: ")
        assert "Traceback" not in done.stderr
    assert page.read_text() == "earlier"
    assert not list(tmp_path.glob(".report-*"))


def test_beat_asks_for_a_report_only_where_there_is_a_folder(house: Deployment) -> None:
    """Without EARWITNESS_REPORT_DIR beat's schedule has no report."""
    look = "from worker.app import app; print('report.write' in app.conf.beat_schedule)"
    for environment, expected in (
        (house.environment, "True"),
        ({k: v for k, v in house.environment.items() if not k.endswith("REPORT_DIR")}, "False"),
    ):
        command = [sys.executable, "-c", look]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """With the rights that were asked for, less the umask; what fails leaves nothing behind."""
    (tmp_path / "new").touch()
    usual = stat.S_IMODE((tmp_path / "new").stat().st_mode)
    for mode, rights in ((0o600, 0o600), (0o666, usual)):
        path = tmp_path / f"{mode}.html"
        for text in ("old\r\n", "n\u00e9w\n"):
            replace_text(path, text, mode)
            assert path.read_bytes() == text.encode()
            assert stat.S_IMODE(path.stat().st_mode) == rights
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_text(tmp_path / "folder", "text")
    assert {one.name for one in tmp_path.iterdir()} == {"384.html", "438.html", "folder", "new"}


def test_a_folder_that_cannot_be_flushed_still_gets_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shares refuse to flush a folder: the new file is in place, so nothing failed."""
    fsync = os.fsync

    def of_a_share(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(file)

    monkeypatch.setattr(os, "fsync", of_a_share)
    replace_text(tmp_path / "report", "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report", "new")]
