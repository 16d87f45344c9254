"""The simulators as a program of their own: the same methods, and a log that outlives it."""

from __future__ import annotations

import stat
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import httpx
import pytest

from .simulators import Records, Simulators
from .simulators.doors import AccountDoor, VonageDoor
from .simulators.remote import ROOT, Remote, running
from .simulators.vonage_control import VonageControl
from .visitor import Visitor
from .waiting import LOADED_SECONDS, eventually, in_time


def test_another_process_has_the_same_methods(tmp_path: Path) -> None:
    """Seeding, withholding, faults, jobs, secrets and the log work over HTTP."""
    with running(tmp_path) as simulators:
        account = simulators.vonage.account("john.doe@vbc.prod", ready_after_polls=0)
        seeded = account.seed(date(2026, 11, 19), "Europe/Madrid", 5)
        account.withhold(seeded[0]["id"])
        account.fault("list", "answer", status=503)
        with Visitor(account) as visitor:
            assert [visitor.page().status_code for _ in range(2)] == [503, 200]
            job = visitor.export()[0]
            size = len(visitor.archive(job).content)
            assert visitor.token in simulators.vonage.secrets()
        assert simulators.vonage.accounts() == [account.username]
        assert account.jobs()[0]["recording_ids"] == [r["id"] for r in seeded[1:]]
        assert simulators.log.sent_bytes(job) == size
        with pytest.raises(ValueError, match="no recording 1"):
            account.withhold(1)


def test_every_method_of_the_door_is_there(tmp_path: Path) -> None:
    """Whatever a door offers, the control behind it knows, so no method is missing over HTTP."""
    offered = {name for door in (VonageDoor, AccountDoor) for name in dir(door)}
    known = {name for name in vars(VonageControl) if not name.startswith("_")}
    asked = {name for name in offered if not name.startswith("_")}
    assert asked - {"configuration"} <= known
    assert known - {"addresses", "identity"} <= asked
    with Simulators(data=tmp_path) as simulators:
        url = f"{simulators.url}/_simulator"
        answers = [httpx.get(url, trust_env=False), httpx.get(f"{url}/log", trust_env=False)]
        assert answers[0].json()["vonage"]["base_url"] == simulators.vonage.base_url
        assert answers[1].json() == []
        for wrong in ("_account", "nothing"):
            refused = httpx.post(f"{url}/vonage/{wrong}", json={}, trust_env=False)
            assert refused.status_code == 400
        assert httpx.post(f"{url}/pbx/account", trust_env=False).status_code == 404


def test_the_log_outlives_a_killed_simulator(tmp_path: Path) -> None:
    """After kill -9 the file tells of every request, the unfinished one and the tokens."""
    command = [sys.executable, "-m", "tests.simulators", "--data", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        simulators = Remote(process.stdout.readline().split()[-1])
        account = simulators.vonage.account()
        with Visitor(account) as visitor:
            job = visitor.export(call_direction="INBOUND")
            account.fault("list", "hang", seconds=60)
            with pytest.raises(httpx.ReadTimeout):
                visitor.ask("GET", "accounts/self/company_call_recordings", timeout=1)
            token = visitor.token
            eventually(lambda: b'"list"' in (tmp_path / "log.jsonl").read_bytes())
        process.kill()
    log = Records.load(tmp_path / "log.jsonl")
    assert [r["operation"] for r in log.requests()] == ["login", "export", "list"]
    assert [r["outcome"] for r in log.requests()][-1] == "running"
    assert log.exports(account.username)[0]["job_ids"] == job
    assert token in log.secrets()


def test_the_sandbox_prints_an_account_that_works() -> None:
    """--sandbox prints an address and an accounts.toml section with recordings behind it."""
    command = [sys.executable, "-m", "tests.simulators", "--sandbox"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        simulators = Remote(process.stdout.readline().split()[-1])
        printed = [process.stdout.readline() for _ in range(11)]
        section = tomllib.loads("".join(printed))["accounts"]["sandbox"]
        account = simulators.vonage.account(section["username"])
        assert account.configuration() == section
        with Visitor(account) as visitor:
            assert len(visitor.listed(page_size=50)) == 20
        process.terminate()
        assert process.wait(LOADED_SECONDS) == 0


def test_the_sandbox_writes_files_of_its_own(tmp_path: Path) -> None:
    """Its accounts, which hold passwords, are its user's alone; a port in use gets a sentence."""
    folder = tmp_path / "a sandbox"
    command = [sys.executable, "-m", "tests.simulators", "--sandbox", "--into", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        typed = next(line for line in process.stdout if "first type: " in line)
        assert stat.S_IMODE((folder / "accounts.toml").stat().st_mode) == 0o600
        shown = f'{typed.partition("first type: ")[2].strip()}; cat "$EARWITNESS_ACCOUNTS_FILE"'
        shell = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True)
        assert set(tomllib.loads(shell.stdout)["accounts"]) > {"sandbox", "sandbox_calls"}
        command += ["--port", url.rpartition(":")[2]]
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
        assert "cannot listen at 127.0.0.1:" in again.stderr
        process.terminate()
        assert process.wait(LOADED_SECONDS) == 0


def test_stopping_ends_every_connection(tmp_path: Path) -> None:
    """A simulator that stops does not wait for a hanging request, closes its connection, and
    leaves no files where it was not told to keep them.
    """
    with Simulators(data=tmp_path) as kept:
        account = kept.vonage.account()
        with Visitor(account) as visitor, ThreadPoolExecutor(1) as aside:
            account.fault("list", "hang", seconds=3600)
            hanging = aside.submit(visitor.raw, "accounts/self/company_call_recordings")
            while not kept.log.requests("list"):
                assert not hanging.done()
            with in_time():
                kept.stop()
                assert hanging.result() == (b"", "closed")
    assert Records.load(tmp_path / "log.jsonl").requests("list")
    with Simulators() as unkept:
        folder = unkept.data
    assert not folder.exists()
