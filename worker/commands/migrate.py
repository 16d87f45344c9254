"""``migrate``: the ledger's schema."""

from __future__ import annotations

import click

from tasks.runtime.context import ledger

from .deployment import configured


@click.command()
def migrate() -> None:
    """Bring the ledger's schema to this program's version, in one transaction.

    A ledger that has it already is left as it is. Workers of the older program that run already go
    on beside it; none of them starts any more.
    """
    configured()
    version = ledger().identity.migrate()
    click.echo(f"ledger {ledger().identity.identity()} has schema version {version}")
