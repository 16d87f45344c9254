"""Jobs of a real worker that meet refused credentials and an archive that is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

ZONE = "Asia/Kolkata"
FIRST, SECOND = date(2026, 11, 10), date(2026, 11, 11)


def held(house: Deployment) -> set[tuple[str, str]]:
    """What holds jobs, and of which account."""
    return {(one.obstacle, one.account) for one in house.ledger.held_jobs.held()}


@pytest.mark.soak
def test_held_jobs_are_seen_until_they_go_on(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """Two jobs of an account with a wrong password, of which one only meets the pause that the
    other's refusal began, are held by the credentials; one of another account by the archive, when
    that is moved away. The age survives every retry. `doctor` names both, and each ends when its
    obstacle does.
    """
    wrong = simulators.vonage.account(username="wrong@vbc.prod")
    right = simulators.vonage.account(username="right@vbc.prod")
    for account in (wrong, right):
        account.configure(ready_after_polls=0)
        for day in (FIRST, SECOND):
            account.seed(day, ZONE, 1)
    section = account_toml("right", right.configuration(), {})
    refused = account_toml("wrong", {**wrong.configuration(), "password": "of last year"}, {})
    house = deploy(section + refused)
    worker = house.worker()
    with house.producer() as app:
        done = house.send(app, "export.run", account="right", day=FIRST.isoformat())
        assert done.get(timeout=60)["archived"] == 1
        eventually(house.ledger.archive_record.heads, what="nothing was archived")
        for day in (FIRST, SECOND):
            house.send(app, "export.run", account="wrong", day=day.isoformat())
        house.archive.rename(house.folder / "elsewhere")
        moved = house.send(app, "export.run", account="right", day=SECOND.isoformat())
        both = {("archive", "right"), ("credentials", "wrong")}
        eventually(
            lambda: (
                held(house) == both and max(one.jobs for one in house.ledger.held_jobs.held()) == 2
            ),
            what="the jobs are not seen as held",
        )
        before = {one.obstacle: one.since for one in house.ledger.held_jobs.held()}
        tries = sum(job.attempts for job in house.ledger.jobs.jobs(limit=50))
        eventually(
            lambda: sum(job.attempts for job in house.ledger.jobs.jobs(limit=50)) > tries + 4,
            what="they are not tried again",
        )
        assert {one.obstacle: one.since for one in house.ledger.held_jobs.held()} == before
        said = house.run("doctor").stdout
        assert "1 of right by archive" in said
        assert "2 of wrong by credentials" in said
        (house.folder / "elsewhere").rename(house.archive)
        assert moved.get(timeout=60)["archived"] == 1
    eventually(lambda: held(house) == {("credentials", "wrong")}, what="the archive still holds")
    assert worker.stop() == 0
    house.accounts_file.write_text(section + account_toml("wrong", wrong.configuration(), {}))
    house.worker("again")
    eventually(lambda: held(house) == set(), what="the credentials still hold")
