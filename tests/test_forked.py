"""Processes of tests that are forked from a loaded one: as if each was started by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import forked
from .deployment import ROOT, machine


def test_what_is_loaded_before_reads_no_setting() -> None:
    """What is loaded before a fork reads no setting, makes no thread and no id of a process: no
    process shares these with another.
    """
    program = (
        "import gc, sys, threading; from tests import preloaded; "
        "loaded = {name for name in sys.modules if name.partition('.')[0] in preloaded.LAYERS}; "
        "print(loaded & {'config.celery', 'worker.app', 'worker.redis.tags'}, len(loaded) > 400, "
        "sum(isinstance(one, threading.Thread) for one in gc.get_objects()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=machine(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set() True 1\n"


def test_a_process_elsewhere_finds_what_lies_there(tmp_path: Path) -> None:
    """Nothing of ours is loaded for a process that runs in another folder."""
    (tmp_path / "ledger.py").write_text("WHERE = 'elsewhere'\n")
    (tmp_path / "asks.py").write_text(
        "import sys, ledger; print(ledger.WHERE, {'tasks', 'ledger.ledger'} & {*sys.modules})"
    )
    done = forked.run("asks", [], machine(), tmp_path, within=60)
    assert (done.returncode, done.stdout) == (0, "elsewhere set()\n"), done.stderr


def test_settings_are_those_of_its_environment() -> None:
    """What one process is told, the next one does not hear."""
    for expected, told in ((2, {"EARWITNESS_ACCOUNTS_FILE": "/nowhere.toml"}), (0, {})):
        arguments = ["status"] if told else ["--version"]
        done = forked.run("worker", arguments, {**machine(), **told}, ROOT, within=60)
        assert done.returncode == expected, done.stderr
        assert ("/nowhere.toml" in done.stderr) is bool(told)
