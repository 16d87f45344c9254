"""``doctor`` on the archive and the spool: writable, with room, and never overwriting."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal

from archive.documents import identity as identity_document
from archive.errors import ArchiveError, Damaged, StoreAway
from archive.paths import IDENTITY_PATH
from archive.spool.spool import Spool
from archive.store.directory import INCOMING, Store, open_store
from config.settings import Settings
from tasks.archive_watch import watch
from tasks.runtime.context import ledger

from .examination import Alive
from .filesystems import nearest
from .findings import UNKNOWN, Finding, error, ok, warning

_ARCHIVE = "archive"
_SPOOL = "spool"
_MAX_NAMED = 5
_OTHER_ARCHIVE = (
    "restore the ledger that belongs to this archive, or point EARWITNESS_ARCHIVE_URL at another "
    "archive"
)

_REBUILD = (
    "if that ledger is lost, point EARWITNESS_LEDGER_URL at an empty one and run: "
    "earwitness rebuild"
)


def archive(settings: Settings, identity: str | None, alive: Alive) -> Iterator[Finding]:
    """Examine the archive; call ``alive`` while it is listed."""
    try:
        bare = open_store(settings.archive_url)
    except ValueError as failure:
        yield error(_ARCHIVE, str(failure), "check EARWITNESS_ARCHIVE_URL")
        return
    folder = _folder(settings)
    try:
        if identity not in (None, UNKNOWN):
            yield from _archived_files(alive)
        if folder is not None and not folder.is_dir():
            yield from _missing_folder(_ARCHIVE, folder)
            return
        yield from _owner(bare, identity)
        yield from _overwriting(bare)
    except StoreAway as failure:
        yield error(_ARCHIVE, str(failure), "check EARWITNESS_ARCHIVE_URL")
        return
    room = f", {decimal(shutil.disk_usage(folder).free)} free" if folder is not None else ""
    yield ok(_ARCHIVE, f"{bare.address}{room}")


def _archived_files(alive: Alive) -> Iterator[Finding]:
    """Check that the archive is as new as the ledger and has all its files; read no content."""
    if not ledger().archive_record.anything():
        return
    watch.refuse_vanished()
    lacking = {alias: watch.gone_files(alias, alive) for alias in watch.accounts()}
    lost = [path for paths in lacking.values() for path in paths]
    if not lost:
        yield ok(_ARCHIVE, "it holds every file that the ledger has archived")
        return
    more = f" and {len(lost) - _MAX_NAMED} more" if len(lost) > _MAX_NAMED else ""
    yield error(
        _ARCHIVE,
        f"files that the ledger has archived are missing: {', '.join(lost[:_MAX_NAMED])}{more}",
        "restore them from a copy; otherwise, earwitness archive names the days to export again",
    )


def spool(settings: Settings) -> Iterator[Finding]:
    """Examine the spool."""
    folder, reserve = settings.spool_dir, settings.spool_reserve_bytes
    free = shutil.disk_usage(nearest(folder)).free
    if free <= reserve:
        yield error(
            _SPOOL,
            f"{decimal(free)} are free in {folder}, where {decimal(reserve)} must stay free: "
            "downloads wait",
            "free some space, or lower EARWITNESS_SPOOL_RESERVE_BYTES",
        )
    if not folder.is_dir():
        yield from _missing_folder(_SPOOL, folder)
        return
    yield from _set_aside(Spool(folder, reserve))
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="doctor-") as file:
            yield from _link(Path(file.name), _folder(settings))
    except OSError as failure:
        yield error(_SPOOL, f"cannot be written to ({failure.strerror})", f"see {folder}")
        return
    if free > reserve:
        yield ok(_SPOOL, f"{folder}, {decimal(free)} free")


def _set_aside(where: Spool) -> Iterator[Finding]:
    """Find refused files that may nevertheless be recordings."""
    files = where.set_aside_files()
    if files:
        named = ", ".join(file.name for file in files[:_MAX_NAMED])
        more = f" and {len(files) - _MAX_NAMED} more" if len(files) > _MAX_NAMED else ""
        meaning = f"{len(files)} refused files may be recordings; they are"
        advice = "listen to them, keep recordings elsewhere, and remove the files here"
        if len(files) == 1:
            meaning = "1 refused file may be a recording; it is"
            advice = "listen to it, keep a recording elsewhere, and remove the file here"
        yield warning(_SPOOL, f"{meaning} set aside in {where.refused}: {named}{more}", advice)


def _folder(settings: Settings) -> Path | None:
    """Return the archive's folder, None if the archive is an object store."""
    return None if "://" in settings.archive_url else Path(settings.archive_url)


def _missing_folder(subject: str, folder: Path) -> Iterator[Finding]:
    above = nearest(folder)
    if os.access(above, os.W_OK | os.X_OK):
        yield ok(subject, f"{folder} does not exist yet; the first file creates it")
    else:
        yield error(
            subject,
            f"{folder} does not exist and cannot be created in {above}",
            f"make {above} writable",
        )


def _owner(store: Store, identity: str | None) -> Iterator[Finding]:
    try:
        theirs = identity_document.read(store).ledger
    except Damaged:
        yield error(_ARCHIVE, f"{IDENTITY_PATH} cannot be read", "run: earwitness verify")
        return
    except ArchiveError:
        if next(store.paths(), None) is not None:
            meaning = f"it holds files, but no {IDENTITY_PATH} that names their ledger"
            yield error(_ARCHIVE, f"{meaning}; no worker starts", _OTHER_ARCHIVE)
        return
    if identity == UNKNOWN:
        return
    if identity is None:
        meaning = f"it belongs to ledger {theirs}, but there is none; no worker starts"
        yield error(_ARCHIVE, meaning, f"{_OTHER_ARCHIVE}; {_REBUILD}")
    elif theirs != identity:
        meaning = f"it belongs to ledger {theirs}, not to {identity}; no worker starts"
        yield error(_ARCHIVE, meaning, f"{_OTHER_ARCHIVE}; {_REBUILD}")


def _overwriting(store: Store) -> Iterator[Finding]:
    """Check that the store refuses to create a file whose name is taken."""
    try:
        if store.gives_names_once():
            yield ok(_ARCHIVE, "the storage refuses to overwrite files")
        else:
            meaning = "the storage overwrote an existing file: any could be overwritten"
            yield error(_ARCHIVE, meaning, "use another filesystem or object store")
    except (OSError, ArchiveError) as failure:
        yield error(_ARCHIVE, f"cannot be written to: {failure}", f"see {store.address}")


def _link(file: Path, archive_root: Path | None) -> Iterator[Finding]:
    """Try to link a file of the spool into the archive, as downloads are."""
    # Do not write to an empty folder, which may be a mount point without its disk.
    if archive_root is None or not archive_root.is_dir() or not any(archive_root.iterdir()):
        return
    try:
        with _trial(archive_root) as folder:
            os.link(file, folder / "name")
    except OSError:
        yield warning(
            _SPOOL,
            "it is on another filesystem than the archive: every download is copied",
            "put both on one filesystem to save time and temporary space",
        )
        return
    yield ok(_SPOOL, "a download becomes part of the archive by a link, without a copy")


@contextmanager
def _trial(root: Path) -> Iterator[Path]:
    """Create a folder beside the archive's files, and remove it afterwards."""
    folder = root / INCOMING / f"doctor-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
