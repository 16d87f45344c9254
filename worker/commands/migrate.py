"""``migrate``: the ledger's schema, and the move to another database."""

from __future__ import annotations

from pathlib import Path

import click

from ledger import copies
from ledger.core.database import Database
from ledger.errors import LedgerError
from ledger.identity import Identity
from tasks.runtime.context import ledger

from .backup import LEDGER, verified
from .deployment import configured, operator

_BUSY_SECONDS = 10.0


@click.command()
@click.option(
    "--from",
    "source",
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="Fill an empty ledger from an SQLite ledger's file, or from a backup's folder.",
)
def migrate(source: Path | None) -> None:
    """Upgrade the ledger's schema to this program's version, in one transaction.

    A ledger of that version is left as it is. Running workers of the older version keep running,
    but can no longer be started.

    With --from, every row of another ledger is copied into the one that EARWITNESS_LEDGER_URL
    names, which must not contain any jobs. Stop every worker first. An SQLite file is quarantined
    afterwards, so that a worker still using it places no calls. If the rows come from a backup, the
    new ledger is in quarantine: run rebuild --restored, and lift it once you have compared the
    calls.
    """
    configured()
    if source is not None:
        _fill(source)
        return
    version = ledger().identity.migrate()
    click.echo(f"ledger {ledger().identity.identity()} has schema version {version}")


def _fill(source: Path) -> None:
    is_backup = source.is_dir()
    if is_backup:
        verified(source)
    file = source / LEDGER if is_backup else source
    rows = copies.take_copy(ledger().database, file, is_backup=is_backup)
    identity = ledger().identity.identity()
    named = ", ".join(f"{rows[name]} {name}" for name in ("jobs", "days", "calls", "audit"))
    click.echo(f"ledger {identity}: copied from {source}: {named}")
    if is_backup:
        ledger().identity.quarantine(by=operator(), note=f"restored from the backup {source.name}")
        click.echo("IN QUARANTINE: run earwitness rebuild --restored before any worker")
    else:
        _retire(source)


def _retire(source: Path) -> None:
    """Quarantine the ledger that was left, in case a worker still uses it."""
    left = Database(f"sqlite:///{source.absolute()}", busy_seconds=_BUSY_SECONDS)
    try:
        Identity(left).quarantine(by=operator(), note="moved to another database")
    except (LedgerError, OSError) as error:
        click.echo(
            f"{source} could not be quarantined ({error}): make sure that no worker uses it",
            err=True,
        )
    else:
        click.echo(
            f"{source} is in quarantine and places no calls; keep it until the new ledger has "
            "proved itself"
        )
    finally:
        left.close()
