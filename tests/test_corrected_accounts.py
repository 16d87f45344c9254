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
from sqlalchemy import Engine, event

from config.fingerprints import of_account
from config.reloading import reload_accounts
from config.settings import load, settings
from ledger.core import held
from ledger.core.held import ACCOUNT, CREDENTIALS, DISK
from ledger.core.pauses import REFUSED_CREDENTIALS
from ledger.core.schema import jobs
from ledger.ledger import Ledger
from providers.errors import BadCredentials
from tasks.runtime import context
from tasks.runtime.corrected_accounts import try_again
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.runner import Attempt, Ended, carry_out

from .deployment import Deployment, Process, account_toml
from .ledgers import opened, pass_time, running
from .simulators import Simulators
from .test_nights import planner
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


def test_a_job_that_met_no_worker_with_its_account_is_tried_at_once(ledger: Ledger) -> None:
    """A new job waits as pending for a worker that knows its account."""
    job = opened(ledger, account="india")
    ledger.wakeups.put_back(job.job_id, seconds=30, held_by=ACCOUNT)
    assert ledger.held_jobs.hasten("india") == 1
    assert (ledger.jobs.job(job.job_id).next_attempt_at or 0) <= ledger.database.time()


REFUSED, ASKED = f"{REFUSED_CREDENTIALS} of account india: HTTP 401", "the provider asked to wait"


@pytest.mark.parametrize(
    "pauses",
    [
        ((60, ASKED), (300, REFUSED)),
        ((300, REFUSED), (60, ASKED)),
        ((60, ASKED), (300, REFUSED), (30, ASKED), (310, REFUSED)),
        ((30, ASKED), (300, REFUSED), (60, ASKED), (310, REFUSED)),
    ],
)
def test_a_wait_that_the_provider_asked_for_goes_on_after_a_correction(
    ledger: Ledger, pauses: tuple[tuple[float, str], ...]
) -> None:
    """In whichever order it met refused credentials; the reason tells people of both."""
    for seconds, because in pauses:
        ledger.accounts.postpone("india", seconds, because)
    left, why = ledger.accounts.pause("india") or (0, "")
    assert 290 < left <= 310
    assert why.startswith(f"{REFUSED}; until 2")
    assert why.endswith(f"Z, also: {ASKED}")
    ledger.accounts.resume("india", because=REFUSED_CREDENTIALS)
    left, why = ledger.accounts.pause("india") or (0, "")
    assert 50 < left <= 61
    assert why == ASKED
    ledger.accounts.resume("india", because=REFUSED_CREDENTIALS)
    assert ledger.accounts.pause("india") is not None
    ledger.accounts.resume("india")
    assert ledger.accounts.pause("india") is None


def test_a_correction_ends_all_when_the_other_wait_is_over(ledger: Ledger) -> None:
    """And a provider's words that look like a note of another pause break nothing."""
    ledger.accounts.postpone("india", 0, ASKED)
    for because in (REFUSED, f"{REFUSED}; until 2026-99-99Z, also: x"):
        ledger.accounts.postpone("india", 300, because)
        ledger.accounts.resume("india", because=REFUSED_CREDENTIALS)
        assert ledger.accounts.pause("india") is None


def test_the_account_that_was_refused_is_noted_while_credentials_hold_the_job() -> None:
    """The note goes once the job got past its credentials."""
    work = {held.REFUSED_ACCOUNT: {"salt": "1", "fingerprint": "2"}}
    held.noted(work, CREDENTIALS, at=0, lasted=0)
    assert held.REFUSED_ACCOUNT in work
    held.noted(work, None, at=0, lasted=0)
    assert work == {}


def test_the_newest_refusals_are_compared(ledger: Ledger) -> None:
    """However many jobs were refused, and whichever noted nothing."""
    for name in ("1", "2", "3", None):
        job, lease = running(ledger, f"job {name}", account="india")
        held.noted(job.work, CREDENTIALS, at=job.updated_at, lasted=0.1)
        if name is not None:
            job.work[held.REFUSED_ACCOUNT] = {"salt": name, "fingerprint": name}
        ledger.execution.postpone(lease, "waits", seconds=3600, work=job.work)
        pass_time(ledger, 1, jobs.c.updated_at)
    found = ledger.held_jobs.refusals("india", most=2)
    assert [one["salt"] for one in found] == ["3", "2"]


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
        loaded = load()
        return of_account(loaded, loaded.accounts["office"], salt)

    assert found() is None
    # The ledger keeps the fingerprint, so that its own password protects nothing.
    monkeypatch.setenv("EARWITNESS_LEDGER_URL", "postgresql://a:a-password@127.0.0.1/ledger")
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


@pytest.mark.parametrize("when", ["before the pause begins", "before the job waits"])
def test_an_account_that_is_corrected_while_its_refusal_is_noted_is_tried_at_once(
    deploy: Callable[..., Deployment],
    simulators: Simulators,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """The reload has ended pauses and hastened jobs just before: no pause and no wait is left, and
    the new account is not noted as refused.
    """
    india = India(deploy, simulators)

    def is_corrected(*_: object) -> None:
        india.says()
        reload_accounts()
        if when == "before the job waits":
            try_again(["india"])

    def run(attempt: Attempt) -> Ended:
        with apply_error_policy(attempt, waits_for_credentials=True):
            raise BadCredentials("vonage", "HTTP 401")

    def at_pause(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "postponed_because" in statement and when == "before the pause begins":
            is_corrected()

    def then_corrected(attempt: Attempt) -> Ended:
        try:
            return run(attempt)
        finally:
            if when == "before the job waits":
                is_corrected()

    with planner(india.house, monkeypatch):
        job = opened(india.house.ledger, account="india")
        claimed = context.ledger().execution.claim(job.job_id)
        assert claimed is not None
        event.listen(Engine, "before_cursor_execute", at_pause)
        try:
            job = carry_out(Attempt(*claimed, task_id="test"), then_corrected)
        finally:
            event.remove(Engine, "before_cursor_execute", at_pause)
        assert context.ledger().accounts.pause("india") is None
        assert (job.next_attempt_at or 0) <= context.ledger().database.time()
        note, now = job.work[held.REFUSED_ACCOUNT], settings().accounts["india"]
        assert note["fingerprint"] != of_account(settings(), now, note["salt"])


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
