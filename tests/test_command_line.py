"""The command line: what it needs, how it starts, how it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from config.settings import ROOT
from config.version import VERSION
from worker.commands.cli import COMMANDS

from . import forked
from .archives import full_archive

#: Whatever needs a database, a queue or the settings loads one of these.
HEAVY = ("sqlalchemy", "celery", "redis", "pydantic_settings", "httpx")


def typed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command says in an environment that has nothing but what is given."""
    return forked.run("worker", arguments, environment, ROOT, within=60)


def typed_anew(
    *arguments: str, cwd: Path, how: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The same of a Python that has loaded nothing yet, by the folder's path or as a module."""
    start = [str(ROOT / "worker")] if how == "folder" else ["-m", "worker"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=cwd if how == "folder" else ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with a file of every kind."""
    folder = tmp_path_factory.mktemp("archives")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        return full_archive(folder).root


@pytest.mark.parametrize("how", ["folder", "module"])
def test_what_needs_nothing_works_with_nothing(how: str, archive: Path, tmp_path: Path) -> None:
    """In an empty environment, from a foreign directory by the worker's path or from the project's
    root as a module: help, version, catalogue, verify, find and extract.
    """
    helped = typed_anew("--help", cwd=tmp_path, how=how)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert all(name in helped.stdout for name in COMMANDS)
    assert typed_anew("--version", cwd=tmp_path, how=how).stdout == f"earwitness {VERSION}\n"
    schema = json.loads(typed_anew("catalogue", cwd=tmp_path, how=how).stdout)
    assert schema["queue"] == "earwitness"
    verified = typed_anew("verify", str(archive), cwd=tmp_path, how=how)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.splitlines()[-1].startswith("verify: ok")
    found = typed_anew("find", "--archive", str(archive), "--json", cwd=tmp_path, how=how)
    first = json.loads(found.stdout)[0]
    asked = [first["line"]["id"], "--account", first["account"]]
    given = typed_anew(
        "extract", *asked, "--to", str(tmp_path / "out"), "--archive", str(archive), cwd=tmp_path,
        how=how,
    )  # fmt: skip
    assert (given.returncode, given.stderr) == (0, "")
    written = {Path(line) for line in given.stdout.splitlines()}
    assert written == {*(tmp_path / "out").iterdir()}
    assert any(path.suffix == ".mp3" for path in written)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_of_its_own(name: str) -> None:
    """Help for each command comes without any configuration."""
    helped = typed(name, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert f"Usage: python -m worker {name}" in helped.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["verify", "ARCHIVE"], ["find", "--archive", "ARCHIVE"]]
)
def test_an_archive_alone_loads_neither_database_nor_queue(
    arguments: list[str], archive: Path
) -> None:
    """Verifying and searching load no module that knows a ledger, a queue, a network, a setting."""
    asked = [str(archive) if one == "ARCHIVE" else one for one in arguments]
    program = (
        "import sys; from worker.commands.cli import run; "
        f"status = run({asked!r}); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["coverage"]])
def test_reading_the_ledger_loads_neither_queue_nor_network(
    arguments: list[str], tmp_path: Path
) -> None:
    """What only reads the ledger starts fast: it loads no library of the queue or the providers."""
    program = (
        "import sys; from worker.commands.cli import run; "
        f"status = run({arguments!r}); "
        "print([name for name in ('celery', 'redis', 'httpx') if name in sys.modules], status)"
    )
    given = {
        "PATH": os.environ["PATH"],
        "EARWITNESS_ACCOUNTS_FILE": str(ROOT / "accounts.example.toml"),
        "EARWITNESS_ARCHIVE_URL": str(tmp_path / "archive"),
        "EARWITNESS_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.sqlite3'}",
        "EARWITNESS_SPOOL_DIR": str(tmp_path / "spool"),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=True,
    )
    # Coverage says by its status that days are missing.
    assert done.stdout.splitlines()[-1] in ("[] 0", "[] 1"), done.stdout


def test_the_catalogue_describes_every_task() -> None:
    """Each task with the JSON Schema of its arguments, under the names that leave the house."""
    tasks = json.loads(typed("catalogue").stdout)["tasks"]
    assert {"earwitness.export.run", "earwitness.recording.list", "earwitness.job.retry"} <= {
        *tasks
    }
    call = tasks["earwitness.certified_call.request"]
    assert call["opens_job"]
    assert set(call["arguments"]["required"]) == {
        "account", "request_id", "country", "phone", "max_seconds",
    }  # fmt: skip
    assert {"not_after", "company_name", "company_id"} <= set(call["arguments"]["properties"])
    resolve = tasks["earwitness.job.resolve"]
    assert not resolve["opens_job"]
    assert set(resolve["arguments"]["required"]) == {"outcome", "by", "note"}
    run = tasks["earwitness.export.run"]
    assert run["opens_job"]
    assert set(run["arguments"]["properties"]) == {
        "account", "request_id", "notify", "day", "filters",
    }  # fmt: skip
    assert "start:gte" in run["arguments"]["$defs"]["Filters"]["properties"]
    assert run["arguments"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["status", "--limit", "0"], 2, "--limit"),
        (["export", "--account", "india"], 2, "--from"),
        (
            ["export", "--account", "a", "--from", "2026-11-2x", "--to", "2026-11-20"],
            2,
            "not a day",
        ),
        (["coverage", "--from", "2026-11-20", "--to", "2026-11-19"], 2, "before --from"),
        (["verify", "nowhere"], 2, "nowhere"),
        (["verify", ".", "--head", "india=12"], 2, "64 hex digits"),
        (["status"], 2, "nowhere.toml"),
        (["verify"], 2, "nowhere.toml"),
        (["doctor"], 2, "nowhere.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str], status: int, said: str, tmp_path: Path
) -> None:
    """Wrong usage and wrong configuration end with status 2 and one line on standard error."""
    missing = str(tmp_path / "nowhere.toml")
    done = typed(*arguments, EARWITNESS_ACCOUNTS_FILE=missing)
    assert done.returncode == status
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_ledger_that_does_not_answer_is_no_traceback(tmp_path: Path) -> None:
    """A database that cannot be opened ends a command with status 1 and one sentence."""
    (tmp_path / "accounts.toml").write_text("")
    done = typed(
        "status",
        EARWITNESS_ACCOUNTS_FILE=str(tmp_path / "accounts.toml"),
        EARWITNESS_LEDGER_URL="postgresql://nobody:sesame@127.0.0.1:1/none",
    )
    assert done.returncode == 1
    assert "the ledger does not answer" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "sesame" not in done.stderr


def test_damage_is_found_and_named(archive: Path, tmp_path: Path) -> None:
    """A flipped bit ends verify with status 1 and the file's name; a tail that was cut off the
    chain is found with the head that was noted before.
    """
    spoilt = tmp_path / "spoilt"
    shutil.copytree(archive, spoilt)
    clean = json.loads(typed("verify", str(spoilt), "--json").stdout)
    account, head = next(iter(clean["heads"].items()))
    victim = next(spoilt.rglob("*.zip"))
    victim.chmod(0o644)
    data = bytearray(victim.read_bytes())
    data[40] ^= 1
    victim.write_bytes(data)
    done = typed("verify", str(spoilt))
    assert done.returncode == 1
    assert str(victim.relative_to(spoilt)) in done.stdout
    data[40] ^= 1
    victim.write_bytes(data)
    max((spoilt / account / "chain").iterdir()).unlink()
    done = typed("verify", str(spoilt), "--head", f"{account}={head}")
    assert done.returncode == 1
    assert f"{account}/chain" in done.stdout


def test_nothing_found_is_status_1(archive: Path, tmp_path: Path) -> None:
    """A search without a hit, an unknown recording and an empty folder each end with status 1."""
    (tmp_path / "empty").mkdir()
    for arguments in (
        ["find", "--archive", str(archive), "--call-id", "none"],
        ["extract", "none", "--to", str(tmp_path / "out"), "--archive", str(archive)],
    ):
        done = typed(*arguments)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
    assert typed("verify", str(tmp_path / "empty")).returncode == 1


def test_what_can_not_be_is_refused_in_a_sentence(archive: Path, tmp_path: Path) -> None:
    """Bytes that are no text, figures that are too large, days of another millennium, an account or
    a port that can be none, a name that a script left empty: status 2 and one line each.
    """
    (tmp_path / "accounts.toml").write_text("")
    settings = {
        "EARWITNESS_ACCOUNTS_FILE": str(tmp_path / "accounts.toml"),
        "EARWITNESS_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.sqlite3'}",
        "FLOWER_PORT": "5555/tcp",
    }
    span = ("--from", "1026-11-20", "--to", "2026-11-20")
    for asked in (
        ("show", "J\udcfcrgen"),
        ("alerts", "--close", "\udcff", "--by", "ana", "--note", "over"),
        ("status", "--limit", "9" * 30),
        ("export", "--account", "india", *span),
        ("coverage", *span),
        ("verify", str(archive), "--account", "../.."),
        ("verify", ""),
        ("find", "--archive", ""),
        ("health", "flower"),
    ):
        said = typed(*asked, **settings)
        assert (said.returncode, said.stdout) == (2, ""), (asked, said.stderr)
        assert said.stderr.startswith("earwitness: "), asked
        assert len(said.stderr.splitlines()) == 1, asked


def test_an_archive_that_is_not_there_holds_no_answer(tmp_path: Path) -> None:
    """Of a folder that is not mounted it is said that it is away, not that it lacks a recording."""
    (tmp_path / "accounts.toml").write_text("")
    settings = {
        "EARWITNESS_ACCOUNTS_FILE": str(tmp_path / "accounts.toml"),
        "EARWITNESS_ARCHIVE_URL": str(tmp_path / "away"),
    }
    for asked in (("find",), ("extract", "1", "--to", str(tmp_path / "out"))):
        said = typed(*asked, **settings)
        assert (said.returncode, said.stdout) == (1, "")
        assert f"there is no archive at {tmp_path / 'away'}" in said.stderr
