"""The emulators' packages, fetched once when the tests are set up, each with a lock of its own.

`make test` runs this file before the tests. Where a registry does not answer, it says so and ends
well: the tests that need an emulator are skipped and say why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import page_packages
from tests.page_packages import PACKAGES, Packages

_HERE = Path(__file__).resolve().parent


def azurite(root: Path = PACKAGES) -> Packages:
    """Return Azurite, Microsoft's emulator of Azure Blob Storage, from npm."""
    source = _HERE / "azurite" / "package-lock.json"

    def fetch_into(folder: Path) -> subprocess.CompletedProcess[str]:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source.parent / name, folder)
        ci = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier"]
        return page_packages.npm(ci, folder)

    return Packages(root / "azurite", source, fetch_into)


def gcs(root: Path = PACKAGES) -> Packages:
    """Return the emulator of Google Cloud Storage, from PyPI."""
    source = _HERE / "gcs.lock"

    def fetch_into(folder: Path) -> subprocess.CompletedProcess[str]:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        to = ["--only-binary", ":all:", "--require-hashes", "--target", str(folder)]
        return page_packages.run([*pip, *to, "--requirement", str(source)])

    return Packages(root / "gcs-emulator", source, fetch_into)


if __name__ == "__main__":
    with ThreadPoolExecutor() as threads:
        list(threads.map(Packages.fetch, (azurite(), gcs())))
