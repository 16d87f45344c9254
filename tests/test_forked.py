"""Processes of tests that are forked from a loaded one: as if each was started by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from worker.catalogue.contents import contents

from . import forked
from .deployment import ROOT, machine


def test_what_is_loaded_before_reads_no_setting() -> None:
    """What is loaded before a fork reads no setting, makes no thread and no id of a process: no
    process shares these with another.
    """
    program = (
        "import gc, sys, threading; from tests import preloaded; "
        "loaded = {name for name in sys.modules if name.partition('.')[0] in preloaded.LAYERS}; "
        "later = {'config.celery', 'worker.app', 'worker.flower.redaction', "
        "'worker.health.heartbeat', 'worker.redis.tags'}; "
        "print(loaded & later, len(loaded) > 400, "
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


#: The modules that a worker has to load by itself, told by what they register: every task, and the
#: commands that ours send to workers.
_TASKS = (
    "archive.verify",
    "call.list",
    "certified_call.request",
    "export.create",
    "export.retrieve",
    "export.run",
    "job.cancel",
    "job.resolve",
    "job.retry",
    "job.status",
    "nightly.plan",
    "recording.batch",
    "recording.collect",
    "recording.delete",
    "recording.download",
    "recording.get",
    "recording.list",
    "recording.start",
    "recording.stop",
    "report.write",
)
_COMMANDS = (
    "earwitness_configuration",
    "earwitness_drain",
    "earwitness_reload",
    "earwitness_state",
    "earwitness_time",
    "earwitness_undrain",
)


def test_a_process_that_imports_everything_itself_has_every_task(tmp_path: Path) -> None:
    """As Celery's command line loads the application, with nothing loaded before: no task and no
    command of ours is missing, nor any task of the catalogue.
    """
    program = (
        "import json; from celery.app.utils import find_app; "
        "from celery.worker.control import Panel; "
        "app = find_app('worker'); app.loader.import_default_modules(); "
        "print(json.dumps([sorted(app.tasks), sorted(Panel.data)]))"
    )
    accounts = tmp_path / "accounts.toml"
    accounts.touch()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**machine(), "EARWITNESS_ACCOUNTS_FILE": str(accounts)},
        capture_output=True,
        text=True,
        check=True,
    )
    tasks, commands = json.loads(done.stdout)
    ours = [name for name in tasks if name.startswith("earwitness.")]
    assert ours == [f"earwitness.{name}" for name in _TASKS]
    assert contents()["tasks"].keys() <= {*ours}
    assert [name for name in commands if name.startswith("earwitness_")] == [*_COMMANDS]
