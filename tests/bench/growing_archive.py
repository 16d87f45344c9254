"""Archives of more and more recordings: what the commands that read all of one use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.deployment import ROOT, account_toml, machine

from . import counting
from .made import MANY, last_id, many
from .sizes import Sizes

#: Runs a command and then prints the most memory that it held at once, in MB.
_TELLS_MEMORY = """
import atexit, runpy, sys
from tests.peak_memory import peak_mb
atexit.register(lambda: print(peak_mb(), file=sys.stderr))
runpy.run_module("worker", run_name="__main__")
"""


@dataclass(frozen=True)
class _Use:
    """CPU seconds of a command and its children, and the most memory of its own at once, in MB."""

    seconds: float
    megabytes: float


def archives(folder: Path, sizes: Sizes) -> Iterator[tuple[str, Mapping[int, float]]]:
    """Yield what commands use by the number of recordings: CPU seconds, and MB."""
    seen: dict[str, dict[int, _Use]] = {}
    for recordings in sizes.archives_grow_to:
        place = folder / f"archive-{recordings}"
        place.mkdir()
        days = max(recordings // sizes.recordings_a_day, 1)
        for name, use in _commands(place, replace(sizes, days=days)).items():
            seen.setdefault(name, {})[recordings] = use
        shutil.rmtree(place)
    for name, uses in seen.items():
        yield f"{name}: CPU seconds by recordings", {n: use.seconds for n, use in uses.items()}
        yield f"{name}: MB by recordings", {n: use.megabytes for n, use in uses.items()}


def _commands(place: Path, sizes: Sizes) -> dict[str, _Use]:
    store = many(place, sizes)
    last = str(last_id(sizes))
    environment = _environment(place, store.root)
    asked = {
        "find --number": ("find", "--number", last[-6:]),
        "find --recording": ("find", "--recording", last),
        "verify": ("verify", str(store.root)),
        "rebuild": ("rebuild",),
        "coverage": ("coverage", "--account", MANY),
        "status": ("status",),
    }
    found = {name: _used(arguments, environment) for name, arguments in asked.items()}
    shown = subprocess.run(
        [sys.executable, "-m", "worker", "coverage", "--account", MANY, "--json"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    days = shown.stdout.count(b'"complete"')
    counting.compare("growth", {"complete days": days}, {"complete days": sizes.days})
    return found


def _environment(place: Path, archive: Path) -> dict[str, str]:
    accounts = place / "accounts.toml"
    configuration = {"provider": "vonage", "access_token": "0" * 32, "login_name": MANY}
    accounts.write_text(account_toml(MANY, configuration))
    accounts.chmod(0o600)
    named = {
        "ACCOUNTS_FILE": accounts,
        "ARCHIVE_URL": archive,
        "LEDGER_URL": f"sqlite:///{place / 'ledger.sqlite3'}",
        "SPOOL_DIR": place / "spool",
    }
    return {**machine(), **{f"EARWITNESS_{name}": str(value) for name, value in named.items()}}


def _used(arguments: tuple[str, ...], environment: Mapping[str, str]) -> _Use:
    """Run a command of ours to its end; return what it used."""
    with subprocess.Popen(
        [sys.executable, "-c", _TELLS_MEMORY, *arguments],
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise counting.Missing(f"growth: {' '.join(arguments)} ended with {process.returncode}")
    return _Use(usage.ru_utime + usage.ru_stime, float(said[-1]))
