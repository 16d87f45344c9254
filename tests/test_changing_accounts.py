"""Accounts that change while workers run: nothing fails because one worker does not know an account
yet, and a reload takes over all of a valid configuration or nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery

from config.fingerprints import differences, fingerprints
from config.masking import conceal, mask, mask_foreign
from config.reloading import reload_accounts
from config.settings import ConfigurationError, load, settings
from ledger.core import held, states
from tasks.errors import Expired, InvalidArgument

from .certified_calls import ASKED, call_house
from .deployment import Deployment, Process, account_toml
from .ozeki_house import ozeki_house
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .test_command_doctor import examined
from .waiting import eventually

Deploy = Callable[..., Deployment]


DAYS = [YESTERDAY - timedelta(days=number) for number in range(3)]


class Change:
    """A house whose accounts file gets two more accounts, and the workers of before and after."""

    def __init__(self, deploy: Deploy, simulators: Simulators) -> None:
        self.house = call_house(deploy, simulators).house
        self.first = self.house.accounts_file.read_text()
        self.third = simulators.vonage.account(username="third")
        self.other = simulators.gsmblockchain.account()
        calls = {**self.other.configuration(), "timeout_seconds": 20}
        night = {"timezone": ZONE, "catchup_days": 1}
        self.added = "\n".join(
            [
                self.first,
                account_toml("other", calls),
                account_toml("third", self.third.configuration(), night),
            ]
        )

    def says(self, text: str) -> None:
        """Write the accounts file."""
        self.house.accounts_file.write_text(text)

    def call(self, app: Celery, name: str, **options: Any) -> Any:
        """Ask for a call of the account ``other``."""
        given = {**ASKED, "account": "other", "request_id": name}
        return app.send_task(
            "earwitness.certified_call.request", kwargs=given, queue="earwitness", **options
        )

    def day(self, app: Celery, day: date) -> Any:
        """Ask for a day of the account ``third``."""
        return self.house.send(app, "export.run", account="third", day=day.isoformat())


def hang_up(worker: Process, words: str) -> None:
    """Send SIGHUP and wait for a new line of the log with these words."""
    seen = len(worker.log())
    worker.popen.send_signal(signal.SIGHUP)
    eventually(lambda: words in worker.log()[seen:], what=f"no {words!r}: {worker.log()[seen:]}")


@pytest.mark.soak
def test_an_account_is_added_worker_by_worker(deploy: Deploy, simulators: Simulators) -> None:
    """A worker of before the change fails nothing of the new accounts: messages and jobs go to the
    worker that knows them. ``doctor`` names who differs in what; SIGHUP and ``reload`` end that.
    """
    change = Change(deploy, simulators)
    house = change.house
    for day in DAYS:
        change.third.seed(day, ZONE, 1)
    old = house.worker("old")
    with house.producer() as app:
        with pytest.raises(InvalidArgument, match="no account is called 'other'"):
            change.call(app, "nobody-knows").get(timeout=60)
        change.says(change.added)
        new = house.worker("new")
        _nothing_fails(change, app)
        _differs(house, "old@")
        _is_refused_as_a_whole(change, old)
        hang_up(old, "accounts reloaded: added other, third")
        assert "nothing changed" in house.run("reload").stdout
        assert "have this host's accounts" in examined(house)[1]["ok", "configuration"]
        new.stop()
        assert change.call(app, "after").get(timeout=60)["state"] == "done"
    assert old.alive


@pytest.mark.soak
def test_jobs_of_a_removed_account_wait_until_it_is_back(
    deploy: Deploy, simulators: Simulators
) -> None:
    """An export goes on where it was; calls expire meanwhile, and new messages are refused."""
    change = Change(deploy, simulators)
    change.says(change.added)
    worker = change.house.worker()
    with change.house.producer() as app:
        _waits_while_removed(change, app, worker)


def _nothing_fails(change: Change, app: Celery) -> None:
    listing = [
        change.house.send(app, "recording.list", account="third", page_size=1) for _ in range(3)
    ]
    calls = [change.call(app, f"call-{number}") for number in range(6)]
    days = [change.day(app, day) for day in DAYS]
    assert {one.get(timeout=60)["state"] for one in calls} == {"done"}
    for one in (*listing, *days):
        assert one.get(timeout=60)
    assert not change.house.ledger.jobs.jobs(state=states.FAILED)
    assert len(change.other.calls()) == len(calls)


def _differs(house: Deployment, name: str) -> None:
    line = examined(house)[1]["warning", "configuration"]
    assert line.startswith(name)
    assert "lacks other, lacks third" in line


def _is_refused_as_a_whole(change: Change, old: Process) -> None:
    """A file with a new account and a mistake changes nothing, and says what is wrong."""
    change.says(change.added.replace("timeout_seconds = 20", "timeout_seconds = -1"))
    hang_up(old, "accounts.other.timeout_seconds")
    refused = change.house.run("reload")
    assert refused.returncode == 2
    assert "accounts.other.timeout_seconds" in refused.stderr
    change.says(change.added)


def _waits_while_removed(change: Change, app: Celery, old: Process) -> None:
    house, day = change.house, DAYS[-1] - timedelta(days=1)
    change.third.seed(day, ZONE, 1)
    change.third.configure(ready_after_polls=10_000)
    asked = change.day(app, day)
    eventually(lambda: house.ledger.jobs.jobs(kind="export.retrieve", state=states.WAITING))
    now = datetime.now(UTC)
    times = {"eta": now + timedelta(seconds=8), "expires": now + timedelta(seconds=12)}
    late = change.call(app, "late", **times)
    eventually(
        lambda: [one for one in house.ledger.jobs.jobs(account="other") if one.request_id == "late"]
    )
    change.says(change.first)
    hang_up(old, "removed other, third")
    with pytest.raises(InvalidArgument, match="no account is called 'other'"):
        change.call(app, "removed").get(timeout=60)
    (part,) = eventually(
        lambda: [
            job
            for job in house.ledger.jobs.jobs(kind="export.retrieve", state=states.WAITING)
            if job.reason and "waits for a worker that knows account 'third'" in job.reason
        ],
        what="the part did not say what it waits for",
    )
    assert part.work["held"]["by"] == held.ACCOUNT
    assert (
        "belong to account third, which no worker knows"
        in examined(house)[1]["error", "configuration"]
    )
    with pytest.raises(Expired, match="nothing was sent"):
        late.get(timeout=60)
    change.third.configure(ready_after_polls=0)
    change.says(change.added)
    assert "added other, third" in house.run("reload").stdout
    assert asked.get(timeout=60)
    assert house.ledger.jobs.job(part.job_id).state == states.DONE


def test_every_other_process_reloads_at_sighup(deploy: Deploy, simulators: Simulators) -> None:
    """Beat and the receiver of notifications go on, with the accounts of now; the receiver hears an
    account that was added.
    """
    office = ozeki_house(deploy, simulators)
    house, told = office.house, office.house.accounts_file.read_text()
    address = f"{office.url}/ozeki/shop/notify"
    house.accounts_file.write_text(_account("unused", "a-secret-0001"))
    hooks, beat = office.hooks(), house.beat()
    eventually(lambda: "beat: Starting" in beat.log(), what="beat did not start")
    assert httpx.post(address, data={}).status_code == 404
    house.accounts_file.write_text(told.replace("accounts.office", "accounts.shop"))
    for process in (hooks, beat):
        hang_up(process, "added shop; removed unused")
        assert process.alive
    assert httpx.post(address, data={}).status_code == 400  # known, and not understood


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write an accounts file that this process' settings name."""
    path = tmp_path / "accounts.toml"
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(path))

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def _account(alias: str, password: str, **more: Any) -> str:
    fields = {
        "provider": "voipnow",
        "base_url": "https://pbx.example.com",
        "client_id": alias,
        "client_secret": password,
    }
    return account_toml(alias, {**fields, **more})


def test_new_secrets_are_hidden_before_use_and_old_ones_stay_hidden(
    said: Callable[[str], Path],
) -> None:
    """While a reload prepares, the new secret is masked already; the old one stays masked, since
    work that has begun still uses it.
    """
    said(_account("office", "old-secret-0001"))
    conceal(settings().secret_values())
    said(_account("office", "new-secret-0002") + _account("shop", "short"))
    seen: list[str] = []
    done = reload_accounts(lambda _: seen.append(mask("new-secret-0002")))
    assert "new-secret" not in seen[0]
    assert "old-secret" not in mask("old-secret-0001")
    assert "short" not in mask_foreign("it was short")
    assert str(done) == "accounts reloaded: added shop; changed office"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[accounts.shop]\nprovider = 1", "accounts.shop.provider"),
        ("[accounts.office\n", "not valid TOML"),
        (_account("office", "x") + _account("two", "x").replace('"two"', '"office"'), "same login"),
        ("[other]", "not a key"),
    ],
)
def test_a_wrong_file_changes_nothing(said: Callable[[str], Path], text: str, words: str) -> None:
    """Whatever is wrong: a value, the file's form, two accounts together, a missing file."""
    said(_account("office", "a-secret-0001"))
    before = settings()
    path = said(text)
    with pytest.raises(ConfigurationError, match=words):
        reload_accounts()
    path.unlink()
    with pytest.raises(ConfigurationError, match="does not exist"):
        reload_accounts()
    assert settings() is before


def test_other_settings_take_a_restart(
    said: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named, and keep their values."""
    said(_account("office", "a-secret-0001"))
    assert settings().lease_seconds == 30
    monkeypatch.setenv("EARWITNESS_LEASE_SECONDS", "60")
    assert "EARWITNESS_LEASE_SECONDS" in str(reload_accounts())
    assert settings().lease_seconds == 30


def test_fingerprints_tell_what_differs_and_no_secret(
    said: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields, secrets, settings and aliases are named. Secrets count only where the deployment has
    a password of its own that keys them, and no fingerprint is the same for two questions.
    """

    def asked(text: str, salt: str = "1", **variables: str) -> dict[str, str]:
        said(text)
        for name, value in variables.items():
            monkeypatch.setenv(f"EARWITNESS_{name}", value)
        return fingerprints(load(), salt)

    weak, other = _account("office", "secret-1"), _account("office", "secret-2", rate="1/second")
    assert differences(asked(weak), asked(other)) == ["accounts.office.rate"]
    keyed = {"REDIS_URL": "redis://:a-password@127.0.0.1:6379/0"}
    bare, ours = asked(weak), asked(weak, **keyed)
    assert differences(ours, asked(weak)) == []
    assert differences(ours, asked(other)) == [
        "accounts.office.client_secret",
        "accounts.office.rate",
    ]
    more = asked(other + _account("shop", "secret"), SWEEP_SECONDS="1")
    assert differences(ours, more) == [
        "adds shop",
        "EARWITNESS_SWEEP_SECONDS",
        "accounts.office.client_secret",
        "accounts.office.rate",
    ]
    assert differences(ours, bare) == ["passwords of Redis, the ledger or alerts"]
    again = asked(weak, salt="2")
    assert not {value for name, value in again.items() if name != "version"} & set(ours.values())
