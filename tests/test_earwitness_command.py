"""The command ``earwitness``: from any directory, under any Python, in a shell that completes."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.version import VERSION
from worker import start

from .deployment import ROOT, machine


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project beside the real one: its folders by links, and the command as make puts it."""
    folder = tmp_path_factory.mktemp("a project")
    for name in ("config", "providers", "archive", "ledger", "tasks", "worker", "demo"):
        (folder / name).symlink_to(ROOT / name)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (folder / ".venv" / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (folder / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(ROOT / "worker" / "earwitness", binaries)
    return folder


def typed(
    project: Path, *arguments: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What the command says when it is typed in a directory."""
    return subprocess.run(
        [project / ".venv" / "bin" / "earwitness", *arguments],
        cwd=cwd,
        env={**machine(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_works_from_any_directory_and_through_a_link(project: Path, tmp_path: Path) -> None:
    """Where other modules of our names lie as well, and in its sentences it is called so."""
    (tmp_path / "worker.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "celery.py").write_text("raise SystemExit('the wrong module')")
    assert typed(project, "--version", cwd=tmp_path).stdout == f"earwitness {VERSION}\n"
    link = tmp_path / "ew"
    link.symlink_to(project / ".venv" / "bin" / "earwitness")
    done = subprocess.run(
        [link, "stauts"], cwd=tmp_path, env=machine(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    expected = "No such command 'stauts'. Did you mean 'status'? See: earwitness --help"
    assert done.stderr == f"earwitness: {expected}\n"


def test_the_configuration_is_found(project: Path, tmp_path: Path) -> None:
    """That of EARWITNESS_HOME; a home that is no folder, or no whole path, is refused."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "accounts.toml").write_text("")
    done = typed(project, "status", cwd=tmp_path, EARWITNESS_HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "var" / "ledger.sqlite3").exists()
    for wrong in (str(tmp_path / "nowhere"), "home"):
        refused = typed(project, "status", cwd=tmp_path, EARWITNESS_HOME=wrong)
        assert refused.returncode == 2
        assert refused.stderr.startswith(
            "earwitness: EARWITNESS_HOME is not the full path of a folder"
        )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_what_it_completes_with(project: Path, tmp_path: Path, shell: str) -> None:
    """The script of each shell; commands, options and accounts are then completed."""
    script = typed(project, "completion", shell, cwd=tmp_path)
    assert "_EARWITNESS_COMPLETE" in script.stdout
    accounts = tmp_path / "accounts.toml"
    shutil.copy(ROOT / "accounts.example.toml", accounts)
    given = {
        "EARWITNESS_ACCOUNTS_FILE": str(accounts),
        "_EARWITNESS_COMPLETE": f"{shell}_complete",
        "COMP_CWORD": "",
    }
    for words, expected in (
        (["cov"], "coverage"),
        (["export", "ru"], "run"),
        (["coverage", "--acc"], "--account"),
        (["coverage", "--account", "in"], "india"),
    ):
        line = " ".join(["earwitness", *words])
        environment = {**given, "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        if shell == "fish":
            environment["COMP_CWORD"] = words[-1]
        done = typed(project, cwd=tmp_path, **environment)
        assert expected in done.stdout, (done.stdout, done.stderr)


def test_a_python_without_our_packages_gets_a_sentence() -> None:
    """What is missing, and what to do."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "worker", "status"],
        cwd=ROOT,
        env=machine(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("earwitness: the package ")
    assert "make setup" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_old_python_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named before anything that it could not read is loaded."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert start.main() == 2
    assert "needs Python 3.11 or later" in capsys.readouterr().err


def test_every_python_can_read_that_it_is_too_old() -> None:
    """Nothing that Python 2.7 or 3.6 would refuse to read stands where the version is examined."""
    for name in ("start.py", "__main__.py"):
        for node in ast.walk(ast.parse((ROOT / "worker" / name).read_text())):
            assert not isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Starred))
            assert getattr(node, "annotation", None) is getattr(node, "returns", None) is None
            assert getattr(node, "module", None) != "__future__"


def test_a_missing_environment_gets_a_sentence(tmp_path: Path) -> None:
    """As after Python was upgraded under it: the command is there and its Python is not."""
    command = shutil.copy(ROOT / "worker" / "earwitness", tmp_path)
    (tmp_path / "python").symlink_to(tmp_path / "gone")
    done = subprocess.run([command], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"there is no Python at {tmp_path}/python; run `make setup`" in done.stderr
