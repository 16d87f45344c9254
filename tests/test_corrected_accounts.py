"""Jobs that wait for an account to be corrected are tried at once after a reload or a restart that
corrects it, and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from config.fingerprints import of_account
from config.settings import load
from ledger.core import held
from ledger.core.held import ACCOUNT, CREDENTIALS, DISK
from ledger.core.schema import jobs
from ledger.ledger import Ledger

from .deployment import Deployment, Process, account_toml
from .ledgers import pass_time, running
from .simulators import Simulators
from .waiting import eventually

DAY, ZONE = date(2026, 11, 10), "Asia/Kolkata"
#: Longer than any wait of these tests.
POLL_MAX_SECONDS = "600"


def waits(ledger: Ledger, name: str, obstacle: str | None, account: str = "india") -> str:
    """A job that waits an hour for an obstacle; its id."""
    job, lease = running(ledger, name, account=account)
    held.noted(job.work, obstacle, at=job.updated_at, lasted=0.1)
    ledger.execution.postpone(lease, "waits", seconds=3600, work=job.work)
    return job.job_id


def test_what_waits_for_the_account_becomes_due_and_nothing_else(ledger: Ledger) -> None:
    """Jobs held by the account's credentials, or by an account that no worker knew. A job that
    waits for a disk, for a poll, or of another account goes on waiting.
    """
    names = {
        waits(ledger, "refused", CREDENTIALS): True,
        waits(ledger, "unknown", ACCOUNT): True,
        waits(ledger, "full", DISK): False,
        waits(ledger, "polls", None): False,
        waits(ledger, "peru", CREDENTIALS, account="peru"): False,
    }
    assert ledger.held_jobs.hasten("india") == 2
    now = ledger.database.time()
    due = {name: (ledger.jobs.job(name).next_attempt_at or 0) <= now for name in names}
    assert due == names
    assert ledger.held_jobs.hasten("india") == 0


def test_only_the_pause_of_this_reason_ends(ledger: Ledger) -> None:
    """A provider that asked to wait is not asked sooner because a field was corrected."""
    ledger.accounts.postpone("india", 60, "the provider asked to wait: 429")
    ledger.accounts.postpone("peru", 60, "100% refused")
    for alias in ("india", "peru"):
        ledger.accounts.resume(alias, because="100% ref")
    assert ledger.accounts.pause("india") is not None
    assert ledger.accounts.pause("peru") is None
    ledger.accounts.resume("india")
    assert ledger.accounts.pause("india") is None


def test_a_fingerprint_of_an_account_changes_with_each_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its secrets, and with nothing of other accounts; none is made without a key."""
    path = tmp_path / "accounts.toml"
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(path))
    numbers = count()

    def found(salt: str = "1", **changed: str) -> str | None:
        fields = {"provider": "voipnow", "base_url": "https://pbx.example.com"}
        secrets = {"client_id": "office", "client_secret": "secret-1"}
        other = {**fields, "client_id": "shop", "client_secret": f"secret-{next(numbers)}"}
        path.write_text(
            account_toml("office", {**fields, **secrets, **changed}) + account_toml("shop", other)
        )
        return of_account(load(), "office", salt)

    assert found() is None
    monkeypatch.setenv("EARWITNESS_REDIS_URL", "redis://:a-password@127.0.0.1:6379/0")
    same, again = found(), found()
    assert same == again
    assert same is not None
    changed = (found(client_secret="secret-2"), found(rate="1/second"), found(salt="2"))
    assert len({same, *changed}) == 4


class India:
    """An account whose password the accounts file has wrong, and days of it that are asked for."""

    def __init__(self, deploy: Callable[..., Deployment], simulators: Simulators) -> None:
        self.simulators = simulators
        self.account = simulators.vonage.account(username="john.doe@vbc.prod")
        self.account.configure(ready_after_polls=0)
        # The secret of the alerts keys the fingerprints.
        alerts = {"ALERT_URL": "http://127.0.0.1:9/", "ALERT_SECRET": "a secret of this test"}
        settings = {"POLL_MAX_SECONDS": POLL_MAX_SECONDS, **alerts}
        self.house = deploy("", settings=settings)
        self.says("of last year")

    def says(self, password: str | None = None) -> None:
        """Write the accounts file, with the right password or another one."""
        wrong = {} if password is None else {"password": password}
        fields = {**self.account.configuration(), **wrong}
        self.house.accounts_file.write_text(account_toml("india", fields, {}))

    def asks(self, app: Any, day: date) -> Any:
        """Ask for a day, and wait until it is held."""
        self.account.seed(day, ZONE, 1)
        asked = self.house.send(app, "export.run", account="india", day=day.isoformat())
        eventually(self.house.ledger.held_jobs.held, what="the day is not held")
        eventually(lambda: self.house.ledger.accounts.pause("india"), what="no pause")
        return asked

    def logins(self) -> int:
        """How often somebody asked for a token."""
        return len(self.simulators.log.requests("token", None))


def test_a_corrected_account_is_tried_at_once_after_a_reload(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """With ten minutes between two tries, the day that was refused is archived."""
    india = India(deploy, simulators)
    india.house.worker()
    with india.house.producer() as app:
        asked = india.asks(app, DAY)
        india.says()
        assert "changed india" in india.house.run("reload").stdout
        assert asked.get(timeout=60)["archived"] == 1


@pytest.mark.soak
def test_a_restart_tries_at_once_what_was_corrected_alone(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A restart with the old password logs in no sooner; one with the right password at once."""
    india = India(deploy, simulators)
    house = india.house
    worker = house.worker()
    with house.producer() as app:
        asked = india.asks(app, DAY)
        worker = _restarted(house, worker)
        before = india.logins()
        _round_has_ended(house)
        assert india.logins() == before
        assert house.ledger.accounts.pause("india") is not None
        india.says()
        _restarted(house, worker)
        assert asked.get(timeout=60)["archived"] == 1


def _restarted(house: Deployment, worker: Process) -> Process:
    assert worker.stop() == 0
    return house.worker()


def _round_has_ended(house: Deployment) -> None:
    """Wait until the new worker's ledger loop has been round: it ends a dead worker's job."""
    job, lease = running(house.ledger, "left by a dead worker")
    house.ledger.operator_actions.cancel(job.job_id, by="test")
    house.ledger.leases.drop(lease)
    pass_time(house.ledger, 3600, jobs.c.lease_until)
    eventually(lambda: house.ledger.jobs.job(job.job_id).ended, what="no round")
