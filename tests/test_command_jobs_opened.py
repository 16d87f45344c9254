"""Commands that open jobs: call, recordings, stop, and the steps of an export."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from ledger.core import states

from .deployment import ROOT, Deployment, account_toml
from .ledgers import ended, request
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .simulators.doors import AccountDoor

CALL = [
    *("call", "--account", "legal", "--country", "ES", "--phone", "660111222"),
    *("--max-seconds", "60", "--company-name", "MyCompany", "--company-id", "A4562154"),
]


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """An account with recordings."""
    return simulators.vonage.account()


@pytest.fixture
def house(
    deploy: Callable[..., Deployment], simulators: Simulators, account: AccountDoor
) -> Deployment:
    """A deployment with it and one for certified calls, without a worker."""
    legal = {**simulators.gsmblockchain.account().configuration(), "timezone": ZONE}
    india = account_toml("india", account.configuration(), {"timezone": ZONE})
    return deploy(india + account_toml("legal", legal))


def typed_at_a_terminal(house: Deployment, answer: str, *arguments: str) -> tuple[int, str]:
    """The status and output of a command at a terminal, where a person types one answer."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "worker", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=house.environment, stdin=theirs, stdout=-1, stderr=-2, text=True
    ) as process:
        os.write(ours, answer.encode())
        output, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return process.returncode, output


def test_a_call_is_placed_only_when_it_is_confirmed(
    house: Deployment, simulators: Simulators
) -> None:
    """Without a terminal and --yes nothing is requested. At a terminal the question names number,
    account and place in the cap; no changes nothing. The same id again asks nothing, since nothing
    is paid.
    """
    refused = house.run(*CALL, "--request-id", "c1")
    assert refused.returncode == 2
    assert "Nothing was requested: confirm with --yes." in refused.stderr
    status, asked = typed_at_a_terminal(house, "n\n", *CALL, "--request-id", "c1")
    assert status == 130
    for named in ("+34660111222", "account legal", "60 s", "call 1 of at most 100 on "):
        assert named in asked
    assert house.ledger.jobs.counts() == {}

    house.worker()
    done = house.run(*CALL, "--request-id", "c1", "--yes", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert (job["state"], job["request_id"]) == ("done", "c1")
    again = house.run(*CALL, "--request-id", "c1", "--wait")
    assert (again.returncode, "already done" in again.stdout) == (0, True)
    other = [*CALL[:-1], "B1", "--request-id", "c1", "--yes"]
    assert "request id" in house.run(*other).stderr
    _, asked = typed_at_a_terminal(house, "n\n", *CALL, "--request-id", "c2")
    assert "call 2 of at most 100 on " in asked
    assert len(simulators.gsmblockchain.calls()) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--phone", "12"), "phone"),
        (("--country", "DE"), "country"),
        (("--max-seconds", "0"), "max_seconds"),
        (("--not-after", "tomorrow"), "not_after"),
        (("--account", "india"), "account"),
        (("--request-id", "with space"), "request_id"),
    ],
)
def test_a_wrong_argument_of_a_call_is_named(
    house: Deployment, change: tuple[str, str], named: str
) -> None:
    """It gets the sentence of the task, before any question, and opens nothing."""
    done = house.run(*CALL, "--request-id", "c1", *change, "--yes")
    assert done.returncode == 2
    assert f"{named}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert house.ledger.jobs.counts() == {}


def test_recordings_are_listed_fetched_and_deleted(house: Deployment, account: AccountDoor) -> None:
    """Numbers are masked unless they are revealed, which is noted. A deletion is confirmed, and is
    refused where the account does not allow it.
    """
    first, second = account.seed(YESTERDAY, ZONE, 2)
    span = ("--account", "india", "--from", str(YESTERDAY), "--to", str(YESTERDAY))
    shown = house.run("recordings", "list", *span, "--json")
    listed = json.loads(shown.stdout)
    assert [one["id"] for one in listed["recordings"]] == [str(second["id"]), str(first["id"])]
    assert listed["total_items"] == 2
    caller = str(first["caller_id"])
    assert caller not in shown.stdout
    assert (
        "page 1 of 2; 2 recordings"
        in house.run("recordings", "list", *span, "--page-size", "1").stdout
    )
    named = (str(first["id"]), "--account", "india")
    clear = house.run("recordings", "get", *named, "--reveal")
    assert str(json.loads(clear.stdout)["caller_id"]) == caller
    (note,) = house.ledger.jobs.history(house.ledger.identity.identity())
    assert "1 recording of account india was shown in clear" in note["why"]
    assert house.run("recordings", "get", "999", "--account", "india").returncode == 1
    assert "NAME=VALUE" in house.run("recordings", "list", *span, "--filter", "extension").stderr

    house.worker()
    done = house.run(
        "recordings", "download", str(first["id"]), str(second["id"]), *named[1:], "--wait"
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("recording.download india: done") == 4, "a line each, and its result"
    refused = house.run("recordings", "delete", *named, "--yes")
    assert refused.returncode == 2
    assert "does not allow deletion" in refused.stderr


def test_an_export_goes_step_by_step(house: Deployment, account: AccountDoor) -> None:
    """create gives the provider's id, retrieve takes it; run does both and compares. Options before
    a step's name, or none at all, are refused.
    """
    account.seed(YESTERDAY, ZONE, 3)
    account.configure(ready_after_polls=5)  # long enough for the command to see that it waits
    house.worker()
    bounds = [f"start:gte={YESTERDAY}T00:00:00Z", f"start:lte={YESTERDAY}T23:59:59Z"]
    filters = [word for bound in bounds for word in ("--filter", bound)]
    named = ("--account", "india")
    made = house.run("export", "create", *named, *filters, "--wait", "--json")
    assert made.returncode == 0, made.stderr
    (provider_job_id,) = json.loads(made.stdout)["result"]["provider_job_ids"]
    fetched = house.run("export", "retrieve", provider_job_id, *named, "--wait", "--json")
    assert fetched.returncode == 0, fetched.stderr
    assert json.loads(fetched.stdout)["result"]["members"] > 0
    run = house.run("export", "run", *named, "--day", str(YESTERDAY), "--wait")
    assert run.returncode == 0, run.stdout
    assert "; next try at " in run.stdout
    assert "archived: 3" in run.stdout
    for wrong in (["export"], ["export", *named, "create"], ["export", "run", *named]):
        refused = house.run(*wrong)
        assert refused.returncode == 2
        assert len(refused.stderr.splitlines()) == 1


def test_a_job_is_named_by_the_beginning_of_its_id(house: Deployment) -> None:
    """Of its own id or of a task's that asked for it, as Flower shows them. Where that means
    several jobs, they are named; fewer than four characters mean none.
    """
    job = ended(
        house.ledger, "by-itself", states.FAILED, task_id="56d26f73-0000-4000-8000-000000000001"
    )
    assert house.run("show", job.job_id[:8]).stdout.splitlines()[0].split()[1] == job.job_id
    assert json.loads(house.run("show", "56D26F73", "--json").stdout)["job_id"] == job.job_id
    assert house.run("show", job.job_id[:3]).returncode == 1
    others = [
        house.ledger.opening.open(
            request(f"n{n}", task_id=f"77777777-0000-4000-8000-00000000000{n}"), by="test"
        )[0].job_id
        for n in range(2)
    ]
    several = house.run("cancel", "77777777")
    assert several.returncode == 1
    assert all(one in several.stderr for one in others)
    assert house.run("show", "77777777-0000-4000-8000-000000000001").returncode == 0


def test_how_much_is_said(house: Deployment) -> None:
    """-q leaves results and errors alone, -v logs more, both together are refused; a misspelt
    command is suggested.
    """
    day = ("--account", "india", "--from", str(YESTERDAY), "--to", str(YESTERDAY))
    assert house.run("-q", "export", *day).stdout == ""
    assert "already" in house.run("export", *day).stdout
    assert house.run("-q", "-v", "status").returncode == 2
    assert "Did you mean 'status'" in house.run("stauts").stderr
    assert (
        "india: recording_list at vonage took" in house.run("-v", "recordings", "list", *day).stderr
    )
    assert house.run("recordings", "list", *day).stderr == ""
