"""The ``demo`` command: the whole deployment, against simulated providers."""

from __future__ import annotations

import click

from . import demo as demonstration


@click.command()
@click.option("--once", is_flag=True, envvar="ONCE", help="End after one night. [env: ONCE=1]")
@click.option(
    "--withhold",
    is_flag=True,
    envvar="WITHHOLD",
    help="Have the provider withhold one recording. [env: WITHHOLD=1]",
)
def demo(once: bool, withhold: bool) -> int:
    """Run the whole system against simulated providers, and show one night's work."""
    return demonstration.demo(once=once, withhold=withhold)
