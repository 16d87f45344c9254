"""``doctor`` on the permissions of secrets, ledger and recordings."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from config.settings import ROOT, Settings

from .findings import Finding, ok, warning


def examined(settings: Settings) -> Iterator[Finding]:
    """Find files that other users of this machine may read."""
    open_to_others = [path for path in _private(settings) if _is_open(path)]
    if not open_to_others:
        yield ok("files", "no other user of this machine may read secrets, ledger or recordings")
        return
    named = " ".join(str(path) for path in open_to_others)
    meaning = f"every user of this machine may read {named}"
    yield warning("files", meaning, f"run: chmod -R o-rwx {named}")


def _private(settings: Settings) -> Iterator[Path]:
    yield settings.accounts_file
    yield ROOT / ".env"
    if settings.secrets_dir is not None:
        yield settings.secrets_dir
    ledger = make_url(settings.ledger_url.get_secret_value())
    if ledger.get_backend_name() == "sqlite" and ledger.database:
        yield Path(ledger.database)
    if "://" not in settings.archive_url:
        yield Path(settings.archive_url)
    yield settings.spool_dir
    yield ROOT / "backup"  # the folder in docs/restore.md


def _is_open(path: Path) -> bool:
    """Return whether others may read a path and traverse every folder above it."""
    try:
        modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, *path.parents)]
    except OSError:
        return False  # does not exist yet, or is not ours to see
    return bool(modes[0] & stat.S_IROTH) and all(mode & stat.S_IXOTH for mode in modes[1:])
