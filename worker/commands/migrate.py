"""``migrate``: the ledger's schema."""

from __future__ import annotations

import click

from tasks.runtime.context import ledger

from .deployment import configured


@click.command()
def migrate() -> None:
    """Bring the ledger's schema to this program's version, in one transaction.

    A ledger of that version is left as it is. Running workers of the older version go on, but none
    of them can start any more.
    """
    configured()
    version = ledger().identity.migrate()
    click.echo(f"ledger {ledger().identity.identity()} has schema version {version}")
