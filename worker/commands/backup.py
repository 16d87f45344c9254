"""``backup``: the ledger, the heads of the chains and the configuration in one folder."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from archive.store.fsync import flush, flush_folder
from config.exported import exported_accounts, exported_settings, secrets_left_out
from config.settings import ROOT, settings
from config.version import VERSION
from ledger import copies
from ledger.errors import NotPossible
from ledger.identity import newest_version
from tasks.runtime.context import ledger

from .deployment import opened, operator
from .display import print_json, print_lines
from .options import as_json

LEDGER, HEADS, MANIFEST = "ledger.sqlite3", "heads.json", "backup.json"
ACCOUNTS, SETTINGS = "accounts.toml", "settings.env"


@click.command()
@click.option(
    "--to",
    "target",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder that does not exist yet, or is empty.",
)
@as_json
def backup(target: Path, as_json: bool) -> None:
    """Write the ledger, the chain heads and the configuration to a new folder that only its owner
    can read. Workers keep running. Copy the archive separately, and afterwards.

    ledger.sqlite3 is the whole ledger at one moment, even if the ledger is on PostgreSQL.
    accounts.toml and settings.env contain no secrets; backup.json names the secrets that are left
    out and gives every file's SHA-256. Everything is read back before the folder gets its name, so
    a folder of that name is a complete backup. The ledger records the time
    (earwitness_backup_age_seconds).
    """
    opened()
    folder = target.absolute()
    with _made(folder) as incoming:
        manifest = _written(incoming)
        _verify(incoming, manifest)
    ledger().identity.note_backup(by=operator(), why=f"to {folder.name}")
    if as_json:
        print_json({"folder": str(folder), **manifest})
    else:
        print_lines(_lines(folder, manifest))


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """Make a folder that appears under its name when it is whole, or not at all."""
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise NotPossible(
            f"not done: {folder} exists and is not an empty folder; nothing was written; name "
            "another one, such as backup/$(date +%F)"
        )
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    incoming = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    incoming.mkdir(mode=0o700)
    try:
        yield incoming
        for path in incoming.iterdir():
            flush(path)
        flush_folder(incoming)
        incoming.rename(folder)
        flush_folder(folder.parent)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _written(folder: Path) -> dict[str, Any]:
    """Write every file; return the content of the last one, which names the others."""
    began = datetime.now(UTC)
    copy = folder / LEDGER
    copies.write_copy(ledger().database, copy)
    copy.chmod(0o600)
    rows = copies.examine(copy)
    _write(folder / HEADS, json.dumps(copies.heads_of(copy), indent=2) + "\n")
    _write(folder / ACCOUNTS, exported_accounts(settings(), ROOT / ".env"))
    _write(folder / SETTINGS, exported_settings(settings()))
    manifest = {
        "created_at": began.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "version": VERSION,
        "schema_version": newest_version(),
        "ledger": copies.identity_of(copy),
        "rows": rows,
        "secrets_left_out": secrets_left_out(settings()),
        "sha256": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    _write(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return manifest


def _write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    """Read the folder back. Raises NotPossible if anything is not what was written."""
    read = verified(folder)
    if read != manifest or copies.examine(folder / LEDGER) != manifest["rows"]:
        raise NotPossible("not done: the backup does not read back as it was written")


def verified(folder: Path) -> dict[str, Any]:
    """Return the content of a backup's `backup.json`, all of whose files have their SHA-256.

    Raises NotPossible if one is missing or damaged.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, sha256 in manifest["sha256"].items():
            if _sha256(folder / name) != sha256:
                raise NotPossible(
                    f"not done: {folder / name} does not have the SHA-256 in {MANIFEST}: it was "
                    "changed or damaged; take another backup"
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotPossible(f"not done: {folder} is not a complete backup ({error})") from None
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    rows = manifest["rows"]
    yield f"{folder}: ledger {manifest['ledger']}, schema {manifest['schema_version']}"
    jobs = f"{rows['jobs']} job{'s' * (rows['jobs'] != 1)}"
    days = f"{rows['days']} day{'s' * (rows['days'] != 1)}"
    calls = f"{rows['calls']} certified call{'s' * (rows['calls'] != 1)}"
    yield f"  {LEDGER}: {jobs}, {days}, {calls}"
    yield f"  {HEADS}: {rows['chain_heads']} chain{'s' * (rows['chain_heads'] != 1)}"
    count = len(manifest["secrets_left_out"])
    secrets = f"{count} secret{'s' * (count != 1)}"
    yield f"  {ACCOUNTS}, {SETTINGS}: without {secrets}, which {MANIFEST} names"
    yield "now copy the archive; keep the secrets and the heads somewhere else"
