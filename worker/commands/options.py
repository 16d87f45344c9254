"""Options that several commands share."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from archive.store.directory import Store, open_store
from config.addresses import is_like_an_address
from config.storage import OBJECT_ADDRESSES

_FIRST = date(1970, 1, 1)


class DayType(click.ParamType[date]):
    """A calendar day such as 2026-11-20."""

    name = "yyyy-mm-dd"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Read a day; refuse one before 1970."""
        try:
            day = datetime.strptime(str(value), "%Y-%m-%d").date()  # noqa: DTZ007 - a day, no instant
        except ValueError:
            self.fail(f"{value!r} is not a day; write it like 2026-11-20.", param, ctx)
        if day < _FIRST:
            # A mistyped year would open exports of centuries at the provider.
            self.fail(f"{day} is before {_FIRST}; is the year right?", param, ctx)
        return day


class Words(click.ParamType[str]):
    """A text of limited length that is kept with a decision."""

    name = "text"

    def __init__(self, max_length: int) -> None:
        self._most = max_length

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Strip the text and check its length."""
        words = str(value).strip()
        if not 0 < len(words) <= self._most:
            self.fail(f"it needs 1 to {self._most} characters.", param, ctx)
        return words


class ArchiveType(click.ParamType[Store]):
    """An archive in an existing folder, or in a bucket such as s3://bucket/prefix."""

    name = "archive"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Store:
        """Open the named archive."""
        named = str(value)
        # An empty name, such as that of an unset variable, would mean the current folder.
        is_folder = Path(named).is_dir() if named else False
        if not is_folder and not is_like_an_address(named):
            self.fail(f"there is no folder {named!r}.", param, ctx)
        try:
            return open_store(str(Path(named).absolute()) if is_folder else named)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


DAY = DayType()
ARCHIVE = ArchiveType()


def _aliases(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the accounts that a shell may complete; none if the configuration is wrong."""
    from config.errors import ConfigurationError  # noqa: PLC0415 - an archive needs no settings
    from config.settings import settings  # noqa: PLC0415
    from providers import registry  # noqa: F401, PLC0415 - it knows the accounts' fields

    try:
        return [alias for alias in settings().accounts if alias.startswith(begun)]
    except ConfigurationError:
        return []


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
one_account = click.option(
    "--account", metavar="ALIAS", help="Only this account.", shell_complete=_aliases
)
account_option = click.option("--account", required=True, metavar="ALIAS", shell_complete=_aliases)
archive = click.option(
    "--archive",
    type=ARCHIVE,
    help=f"A folder, {OBJECT_ADDRESSES}. [default: the configured one]",
)


def in_order(first: date | None, last: date | None) -> None:
    """Raise UsageError for a span that ends before it begins."""
    if first is not None and last is not None and last < first:
        raise click.UsageError(f"--to {last} is before --from {first}.")
