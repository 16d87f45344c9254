"""``doctor`` on the ledger: reachable, of this program's version, durable, on a local disk."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ledger.errors import LedgerError
from tasks.runtime.context import ledger

from .filesystems import NETWORK, filesystem
from .findings import UNKNOWN, Finding, error, ok, warning

_SUBJECT = "ledger"
_SERVER = "check the server's configuration (ALTER SYSTEM, ALTER ROLE), and restart it"
_POOLER = "check whether a connection pooler drops startup options; connect without it"
#: The settings that decide durability, their right values, and advice for other values.
_WANTED = {
    "synchronous": ({"2", "3"}, "report it: Earwitness sets it on every connection"),
    "journal_mode": ({"wal"}, "put the file on a local disk, where SQLite can share memory"),
    "synchronous_commit": ({"on", "remote_apply", "remote_write", "local"}, _POOLER),
    "fsync": ({"on"}, _SERVER),
    "full_page_writes": ({"on"}, _SERVER),
}
_MIGRATE = "start a worker, or run: earwitness migrate"


def examined() -> Generator[Finding, None, str | None]:
    """Examine the ledger; return its identity.

    The identity is None if there is no ledger, and UNKNOWN if the ledger cannot be read.
    """
    url = ledger().database.url
    where = url.render_as_string(hide_password=True)
    yield from _disk(Path(url.database or "") if ledger().database.is_sqlite else None)
    try:
        if ledger().identity.version() is None:
            yield warning(_SUBJECT, f"there is none yet at {where}", _MIGRATE)
            return None
        identity = ledger().identity.prepare()
    except LedgerError as failure:
        yield error(_SUBJECT, f"{where}: {failure}", "check EARWITNESS_LEDGER_URL and its server")
        return UNKNOWN
    version = ledger().identity.version()
    yield from _durable()
    yield ok(_SUBJECT, f"{identity} at {where}, schema version {version}")
    return identity


def _durable() -> Generator[Finding, None, None]:
    """Check that commits, above all a paid call's *sending*, survive a loss of power."""
    found = ledger().database.durability()
    for name, (wanted, advice) in _WANTED.items():
        if name in found and found[name] not in wanted:
            yield error(
                _SUBJECT,
                f"{name} is {found[name]}: a loss of power can undo commits, and a certified call "
                "can then be paid twice",
                advice,
            )
    if found.get("transaction_read_only") == "on":
        meaning = "it is read-only (a standby?): no job is accepted or continued"
        yield error(_SUBJECT, meaning, "point EARWITNESS_LEDGER_URL at the primary")


def _disk(file: Path | None) -> Generator[Finding, None, None]:
    if file is None:
        return
    kind = filesystem(file)
    if kind in NETWORK:
        yield warning(
            _SUBJECT,
            f"the SQLite file is on {kind}, where locks do not work and a ledger can be damaged",
            "use a local disk, or PostgreSQL where workers run on several machines",
        )
