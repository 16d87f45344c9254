"""Options that several commands have."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click


class DayType(click.ParamType[date]):
    """A calendar day such as 2026-11-20."""

    name = "yyyy-mm-dd"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """The day that was written."""
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()  # noqa: DTZ007 - a day, no instant
        except ValueError:
            self.fail(f"{value!r} is no day; write it like 2026-11-20.", param, ctx)


DAY = DayType()

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
one_account = click.option("--account", metavar="ALIAS", help="Of this account alone.")
archive = click.option(
    "--archive",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The archive's folder. [default: the configured one]",
)


def in_order(first: date | None, last: date | None) -> None:
    """Refuse a span that ends before it begins."""
    if first is not None and last is not None and last < first:
        raise click.UsageError(f"--to {last} is before --from {first}.")
