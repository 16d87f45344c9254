"""``verify``, ``find`` and ``extract``: an archive by itself, without configuration or ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.filesize import decimal
from rich.progress import Progress, TextColumn

from archive.documents.recordings_list import Line
from archive.errors import ArchiveError, StoreAway, Vanished
from archive.problem import Problem, escaped
from archive.search import search
from archive.search.search import SearchResult
from archive.store.directory import DirectoryStore, Store, open_store
from archive.verify import verification

from .display import console, print_json, print_lines, print_table
from .options import ARCHIVE, DAY, archive, as_json, in_order, one_account
from .redaction import masked_line

_SHA256 = re.compile(r"[0-9a-f]{64}")


class HeadType(click.ParamType[tuple[str, str]]):
    """The newest entry of an account's chain, as it was noted elsewhere."""

    name = "account=sha256"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The account and the sum."""
        account, equals, sha256 = str(value).partition("=")
        if not account or not equals or not _SHA256.fullmatch(sha256.lower()):
            self.fail(f"{value!r} is no head; write it like india=<64 hex digits>.", param, ctx)
        return account, sha256.lower()


@click.command()
@click.argument(
    "named",
    metavar="[ARCHIVE]",
    required=False,
    type=ARCHIVE,
)
@click.option(
    "--head", "heads", type=HeadType(), multiple=True, help="A head noted earlier; repeatable."
)
@one_account
@as_json
def verify(
    named: Store | None, heads: tuple[tuple[str, str], ...], account: str | None, as_json: bool
) -> int:
    """Verify every checksum and every chain of an archive; the configured one unless told.

    The configured one is compared with the ledger too, if there is one: what the ledger has
    archived must be there. Without ledger, and without a head that was kept elsewhere, it shows
    damage and partial tampering, but neither that the newest entries were removed nor a rewrite of
    everything.
    A file that was stored in the last 15 minutes and that nothing vouches for yet is pending: it is
    counted, and is no problem.
    """
    with VerificationProgress() as watched, _understood():
        report = verification.verify(_store(named), account, dict(heads), watched)
        if named is None:
            problems, notes = _vouched_problems(account, {one.path for one in report.problems})
            report.problems.extend(problems)
            report.notes.extend(notes)
    if as_json:
        print_json(asdict(report))
        return int(bool(report.problems))
    print_lines(str(problem) for problem in report.problems)
    print_lines(f"note: {note}" for note in report.notes)
    print_lines(f"pending: {pending}" for pending in report.pending)
    print_lines(f"head: {name}={sha256}" for name, sha256 in sorted(report.heads.items()))
    many = f"{report.files} files, {decimal(report.bytes)}"
    if report.pending:
        many += f", {len(report.pending)} pending"
    if report.problems:
        click.echo(f"verify: {len(report.problems)} problems in {many}")
        return 1
    click.echo(f"verify: ok ({many})")
    return 0


@click.command()
@one_account
@click.option("--call-id", metavar="ID")
@click.option("--number", metavar="N", help="Of either party; its last digits are enough.")
@click.option("--recording", "recording_id", metavar="ID")
@click.option("--from", "start", type=DAY, help="The first local day of its start.")
@click.option("--to", "end", type=DAY, help="The last one, included.")
@click.option("--reveal", is_flag=True, help="Show personal data in clear; this is noted.")
@archive
@as_json
def find(archive: Store | None, reveal: bool, as_json: bool, **asked: Any) -> int:
    """Find recordings in the archive. The status is 1 where there are none.

    Numbers show their last three digits, and names nothing. What --reveal shows of the configured
    archive is noted in the ledger first. Another one, named by --archive, has no ledger at hand: it
    is shown all the same, and nothing is noted.
    """
    in_order(asked["start"], asked["end"])
    store = _at_hand(archive)
    with _understood():
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
        # What was found is shown first: one file that cannot be read hides nothing else.
        raise damage
    return int(not results)


@click.command()
@click.argument("recording")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to.",
)
@one_account
@archive
@as_json
def extract(
    recording: str, target: Path, account: str | None, archive: Store | None, as_json: bool
) -> None:
    """Take one recording out of the archive: its audio, its line of the list, its manifest."""
    store = _at_hand(archive)
    with _understood():
        written = search.extract(store, recording, target, account)
    if as_json:
        print_json([str(path) for path in written])
    else:
        print_lines(str(path) for path in written)


def _vouched_problems(
    account: str | None, known: Collection[str]
) -> tuple[list[Problem], list[Problem]]:
    """What the configured archive lacks of what the ledger has archived, but for paths that are
    ``known`` to be wrong; and a note where the ledger cannot be asked.
    """
    from ledger.errors import LedgerError  # noqa: PLC0415 - an archive alone needs no ledger
    from ledger.identity import newest_version  # noqa: PLC0415
    from tasks.archive_watch import watch  # noqa: PLC0415
    from tasks.runtime.context import ledger  # noqa: PLC0415

    try:
        version = ledger().identity.version()
        if version is None:
            return [], []
        if version != newest_version():
            older = f"was not compared with the ledger, whose schema has version {version}"
            return [], [Problem(".", f"{older}; run: python -m worker migrate")]
        watch.refuse_vanished()
        aliases = watch.accounts() if account is None else [account]
        gone = [path for alias in aliases for path in watch.gone_files(alias)]
    except Vanished as error:
        return [Problem(".", error.reason)], []
    except LedgerError as error:
        return [], [Problem(".", f"was not compared with the ledger: {error}")]
    except (ArchiveError, OSError, StoreAway) as error:
        # What was verified is shown all the same: it may have taken hours.
        return [Problem(".", f"was not compared with the ledger: {error}")], []
    found = (path for path in gone if path not in known)
    return [Problem(path, "is gone: the ledger has archived it") for path in found], []


def _note_revealed(named: Store | None, count: int) -> None:
    """Note in the ledger of the archive, before people's data is shown, that it is."""
    if named is not None and not _is_configured(named):
        click.echo(
            "shown in clear; an archive of no configuration has no ledger to note it", err=True
        )
        return
    from .deployment import opened, operator  # noqa: PLC0415 - an archive alone needs no ledger

    ledger = opened()
    ledger.identity.revealed(by=operator(), why=f"find showed {count} recordings in clear")


def _is_configured(named: Store) -> bool:
    """Whether an archive that was named is the configured one all the same."""
    from config.errors import ConfigurationError  # noqa: PLC0415 - nothing may be configured

    try:
        configured = _store(None)
    except (ConfigurationError, click.UsageError):
        return False
    if isinstance(named, DirectoryStore) and isinstance(configured, DirectoryStore):
        return named.root.resolve() == configured.root.resolve()
    return named.address == configured.address


@contextmanager
def _understood() -> Iterator[None]:
    """What the search cannot make sense of was asked in the wrong way."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _store(named: Store | None) -> Store:
    """The archive that was named, or the configured one, for which alone the settings are read."""
    if named is not None:
        return named
    from config.settings import settings  # noqa: PLC0415 - an archive alone needs no settings
    from providers import registry  # noqa: F401, PLC0415 - it knows the accounts that they name

    try:
        return open_store(settings().archive_url)
    except ValueError as error:
        raise click.UsageError(f"EARWITNESS_ARCHIVE_URL: {error}") from None


def _at_hand(named: Store | None) -> Store:
    """The same, where it is there: of one that is not mounted nobody can say what it holds."""
    store = _store(named)
    if isinstance(store, DirectoryStore) and not store.root.is_dir():
        raise click.ClickException(
            f"there is no archive at {store.root} (EARWITNESS_ARCHIVE_URL), and nothing was looked "
            "for; it is not mounted, or nothing was archived yet"
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


class VerificationProgress:
    """Shows on a terminal how far a verification has come."""

    def __init__(self) -> None:
        shown = console(stderr=True)
        self._progress = Progress(
            TextColumn("verified {task.fields[files]} files, {task.fields[size]}"),
            console=shown,
            disable=not shown.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, files=0, size=decimal(0))
        self._files = self._bytes = 0

    def __enter__(self) -> Callable[[str, int], None]:
        self._progress.start()
        return self._seen

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def _seen(self, _path: str, size: int) -> None:
        self._files += 1
        self._bytes += size
        self._progress.update(self._task, files=self._files, size=decimal(self._bytes))
