"""Virtual environments of callers with other releases of Celery and Django than ours.

They are made before the tests, the newest one by `make test` and all by `make soak`, and kept until
`make setup` or a change of this file. Where a registry does not answer, or the machine has no
Python that a release runs on, the tests that need the environment are skipped and say why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import page_packages
from .page_packages import PACKAGES, Packages

#: Where pyenv, which many machines have, keeps its interpreters.
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


@dataclass(frozen=True)
class Environment:
    """One environment: its name, what is installed, and the oldest Python that this runs on."""

    name: str
    requirements: tuple[str, ...]
    oldest_python: tuple[int, int] = (3, 11)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.packages().folder / "bin" / "python"

    def packages(self) -> Packages:
        """Return what makes it."""
        return Packages(PACKAGES / self.name.replace(".", "-"), Path(__file__), self._make_in)

    @property
    def interpreter(self) -> str | None:
        """The interpreter to make it with, None if this machine has none."""
        return interpreter(self.oldest_python)

    def _make_in(self, folder: Path) -> subprocess.CompletedProcess[str]:
        made = page_packages.run(
            [str(self.interpreter), "-m", "venv", "--without-pip", str(folder)]
        )
        if made.returncode:
            return made
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder)]
        return page_packages.run(
            [*pip, "install", "--quiet", "--only-binary", ":all:", *self.requirements]
        )


#: Beside our own environment, which has Celery 5.7 and Django 5.2.
ENVIRONMENTS = (
    Environment("celery-5.4-django-4.2", ("celery[redis]==5.4.*", "kombu[redis]", "django==4.2.*")),
    Environment("celery-5.5", ("celery[redis]==5.5.*",)),
    Environment("celery-5.6-django-6.0", ("celery[redis]==5.6.*", "django==6.0.*"), (3, 12)),
    Environment("celery-5.7-django-6.1", ("celery[redis]==5.7.*", "django==6.1.*"), (3, 12)),
)
#: The one with the newest releases.
NEWEST = ENVIRONMENTS[-1]


@cache
def interpreter(oldest: tuple[int, int]) -> str | None:
    """Return this interpreter, or another of the machine's that is new enough."""
    if sys.version_info[:2] >= oldest:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(oldest[1], oldest[1] + 4)]
    found = [str(path) for name in names for path in sorted(_PYENV.glob(f"*/bin/{name}"))]
    return next((one for one in [*names, *found] if _runs(one)), None)


def _runs(name: str) -> bool:
    """Return whether an interpreter starts; pyenv's shims are there for those that do not."""
    try:
        return page_packages.run([name, "-c", "import venv, sqlite3"]).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    chosen = (NEWEST,) if sys.argv[1:] == ["newest"] else ENVIRONMENTS
    wanted = [one.packages() for one in chosen if one.interpreter is not None]
    with ThreadPoolExecutor() as threads:
        list(threads.map(Packages.fetch, wanted))
