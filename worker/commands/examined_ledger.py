"""``doctor`` on the ledger: reachable, of this program's version, on a disk that locks."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ledger.errors import LedgerError
from tasks.resources import ledger

from .filesystems import NETWORK, filesystem
from .findings import Finding, error, ok, warning

_SUBJECT = "ledger"
_MIGRATE = "start a worker, or run: python -m worker migrate"


def examined() -> Generator[Finding, None, str | None]:
    """What there is to say of the ledger; returns its identity, None where it can not be used."""
    url = ledger().database.url
    where = url.render_as_string(hide_password=True)
    yield from _disk(Path(url.database or "") if ledger().database.is_sqlite else None)
    try:
        if ledger().identity.version() is None:
            yield warning(_SUBJECT, f"there is none yet at {where}", _MIGRATE)
            return None
        identity = ledger().identity.prepare()
    except LedgerError as failure:
        yield error(_SUBJECT, f"{where}: {failure}", "see EARWITNESS_LEDGER_URL, and its server")
        return None
    version = ledger().identity.version()
    yield ok(_SUBJECT, f"{identity} at {where}, schema version {version}")
    return identity


def _disk(file: Path | None) -> Generator[Finding, None, None]:
    if file is None:
        return
    kind = filesystem(file)
    if kind in NETWORK:
        yield warning(
            _SUBJECT,
            f"SQLite lies on {kind}, where its locks do not hold and a ledger can be damaged",
            "use a local disk, or PostgreSQL where workers run on several machines",
        )
