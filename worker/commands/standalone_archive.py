"""``find``: recordings of an archive, without configuration or ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from archive.documents.recordings_list import Line
from archive.problem import escaped
from archive.search import search
from archive.search.search import SearchResult
from archive.store.directory import DirectoryStore, Store, open_store

from .display import print_json, print_table
from .options import DAY, archive, as_json, in_order, one_account
from .redaction import masked_line


@click.command()
@one_account
@click.option("--call-id", metavar="ID")
@click.option("--number", metavar="N", help="Number of either party; the last digits are enough.")
@click.option("--recording", "recording_id", metavar="ID")
@click.option("--from", "start", type=DAY, help="The first local day of its start.")
@click.option("--to", "end", type=DAY, help="The last one, included.")
@click.option("--reveal", is_flag=True, help="Show personal data unmasked; this is recorded.")
@archive
@as_json
def find(archive: Store | None, reveal: bool, as_json: bool, **asked: Any) -> int:
    """Find recordings in the archive. The status is 1 if there are none.

    Only the last three digits of numbers are shown, and no names. The use of --reveal on the
    configured archive is recorded in the ledger first. Another archive, named by --archive, has no
    ledger, so nothing is recorded.
    """
    in_order(asked["start"], asked["end"])
    store = existing_store(archive)
    with as_usage_error():
        results, damage = search.found(store, **asked)
    if not reveal:
        results = [
            replace(result, line=Line(masked_line(result.line.fields))) for result in results
        ]
    elif results:
        _note_revealed(archive, len(results))
    if as_json:
        print_json([{**vars(result), "line": result.line.fields} for result in results])
    elif results:
        columns = ("account", "recording", "start", "seconds", "from", "to", "where")
        print_table(columns, map(_row, results))
    elif damage is None:
        click.echo("no such recording is in the archive", err=True)
    if damage is not None:
        # Show the hits first: an unreadable file must not hide them.
        raise damage
    return int(not results)


def _note_revealed(named: Store | None, count: int) -> None:
    """Record in the archive's ledger that personal data is about to be shown."""
    if named is not None and not _is_configured(named):
        click.echo(
            "shown in clear, which no ledger records: this archive is not the configured one",
            err=True,
        )
        return
    from .deployment import opened, operator  # noqa: PLC0415 - an archive alone needs no ledger

    ledger = opened()
    why = f"find showed {count} recording{'s' * (count != 1)} in clear"
    ledger.identity.note_reveal(by=operator(), why=why)


def _is_configured(named: Store) -> bool:
    """Return whether the named archive is the configured one."""
    from config.errors import ConfigurationError  # noqa: PLC0415 - nothing may be configured

    try:
        configured = named_or_configured(None)
    except (ConfigurationError, click.UsageError):
        return False
    if isinstance(named, DirectoryStore) and isinstance(configured, DirectoryStore):
        return named.root.resolve() == configured.root.resolve()
    return named.address == configured.address


@contextmanager
def as_usage_error() -> Iterator[None]:
    """Turn the search's ValueErrors into UsageErrors."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def named_or_configured(named: Store | None) -> Store:
    """Return the named archive, or the configured one; read the settings only for the latter."""
    if named is not None:
        return named
    from config.settings import settings  # noqa: PLC0415 - an archive alone needs no settings
    from providers import registry  # noqa: F401, PLC0415 - it knows the accounts that they name

    try:
        return open_store(settings().archive_url)
    except ValueError as error:
        raise click.UsageError(f"EARWITNESS_ARCHIVE_URL: {error}") from None


def existing_store(named: Store | None) -> Store:
    """Return the archive. Raises ClickException if its folder is missing: it may be unmounted."""
    store = named_or_configured(named)
    if isinstance(store, DirectoryStore) and not store.root.is_dir():
        raise click.ClickException(
            f"there is no archive at {store.root} (EARWITNESS_ARCHIVE_URL), so nothing was "
            "searched; it is not mounted, or nothing was archived yet"
        )
    return store


def _row(result: SearchResult) -> tuple[Any, ...]:
    listed = result.line.fields
    milliseconds = listed.get("duration")
    # What a provider sent in its place is shown as it is.
    seconds = milliseconds
    if isinstance(milliseconds, int | float):
        seconds = f"{milliseconds / 1000:.0f}"
    place = "missing" if result.line.is_missing else " in ".join(result.line.shown_place)
    parties = (listed.get("caller_id"), listed.get("dnis"))
    row = (result.account, result.line.id, result.line.start, seconds, *parties, place)
    return tuple(None if cell is None else escaped(str(cell)) for cell in row)
