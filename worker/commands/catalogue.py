"""``catalogue``: every task, error and message, for producers."""

from __future__ import annotations

import click

from worker.catalogue.asyncapi import document
from worker.catalogue.contents import contents

from .display import print_json


@click.command()
@click.option("--asyncapi", is_flag=True, help="Print an AsyncAPI 3 document instead.")
def catalogue(*, asyncapi: bool) -> None:
    """Print the JSON Schema of every task's keyword arguments and result, the tasks' queue, every
    error and what it means, and the bodies of notifications and alerts.
    """
    print_json(document() if asyncapi else contents())
