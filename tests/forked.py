"""Processes that start fast: forked from one that has loaded the libraries and our modules.

What reads settings while it is imported is loaded by the new process itself, under its own
environment, as by ``python -m ...``. Only the second of imports that every start repeats is saved
(see preloaded.py). Tests that need a whole start set a variable such as PYTHONUNBUFFERED (see
``can_be``).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOME_VARIABLE = "EARWITNESS_HOME"

#: The one context for processes that fork from a loaded one: its server is started once, with what
#: was asked to be loaded until then.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([f"{__package__}.preloaded", __name__])


class Forked:
    """What ``python -m module arguments`` would be, with the methods of ``Popen``."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        outputs: tuple[Path, Path],
    ) -> None:
        self.args = ["-m", module, *arguments]
        told = (module, list(arguments), dict(environment), str(folder), *map(str, outputs))
        # The name is that of any process started by itself; at the end, nothing waits for it.
        self._process = context.Process(target=_become, args=told, name="MainProcess", daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its status, a signal's number below zero; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its status. Raises TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def run(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    within: float,
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module arguments`` to its end, as ``subprocess.run`` would. A Python that is
    told something by its environment is restarted.
    """
    command = [sys.executable, "-m", module, *arguments]
    if not can_be(command, environment, folder):
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
    with tempfile.TemporaryDirectory() as kept:
        outputs = (Path(kept) / "output", Path(kept) / "errors")
        process = Forked(module, arguments, environment, folder, outputs)
        try:
            status = process.wait(within)
        finally:
            process.kill()
        said, complained = (path.read_text() for path in outputs)
    return subprocess.CompletedProcess(command, status, said, complained)


def can_be(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> bool:
    """Whether a command can be started so: a module of this project's folder, under a Python that
    nothing is told, nor our modules where their home is: they read that while they are imported. In
    another application, our tasks would be there as well.
    """
    told = any(name.startswith("PYTHON") or name == HOME_VARIABLE for name in environment)
    return not told and folder == ROOT and list(command[:2]) == [sys.executable, "-m"]


def _become(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    output: str,
    errors: str,
) -> None:
    # Collections then pass over what was loaded before the fork, and its pages stay shared.
    gc.freeze()
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, path in ((1, output), (2, errors)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), "utf-8")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), "utf-8", line_buffering=True)
    sys.path[:] = [folder, *(path for path in sys.path if _installed(path))]
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        # A process of multiprocessing's ends without it.
        atexit._run_exitfuncs()


def _installed(path: str) -> bool:
    """Whether a place for modules is Python's own or the libraries'; not this project's."""
    return path.startswith((sys.prefix, sys.base_prefix))
