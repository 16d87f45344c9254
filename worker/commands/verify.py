"""``verify``: an archive alone, without configuration or ledger; the configured one with both."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import asdict

import click
from rich.filesize import decimal
from rich.progress import Progress, TextColumn

from archive.errors import ArchiveError, StoreAway, Vanished
from archive.problem import Problem
from archive.store.directory import Store
from archive.verify import verification

from .display import console, print_json, print_lines
from .options import ARCHIVE, as_json, one_account
from .standalone_archive import as_usage_error, named_or_configured

_SHA256 = re.compile(r"[0-9a-f]{64}")


class HeadType(click.ParamType[tuple[str, str]]):
    """The newest entry of an account's chain, as noted earlier."""

    name = "account=sha256"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split the account and the checksum."""
        account, equals, sha256 = str(value).partition("=")
        if not account or not equals or not _SHA256.fullmatch(sha256.lower()):
            self.fail(f"{value!r} is not a head; write it like india=<64 hex digits>.", param, ctx)
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
    """Verify every checksum and every chain of an archive, by default the configured one.

    The configured archive is also compared with the ledger, if there is one: it must hold every
    file that the ledger has archived. Without a ledger and without a head noted
    elsewhere, the command finds damage and partial tampering, but neither the removal of the newest
    entries nor a complete rewrite.

    A file that was stored in the last 15 minutes and that nothing vouches for yet is pending: it is
    counted, but is not a problem.
    """
    with VerificationProgress() as watched, as_usage_error():
        report = verification.verify(named_or_configured(named), account, dict(heads), watched)
        if named is None:
            problems, notes = _ledger_problems(account, {one.path for one in report.problems})
            report.problems.extend(problems)
            report.notes.extend(notes)
    if as_json:
        print_json(asdict(report))
        return int(bool(report.problems))
    print_lines(str(problem) for problem in report.problems)
    print_lines(f"note: {note}" for note in report.notes)
    print_lines(f"pending: {pending}" for pending in report.pending)
    print_lines(f"head: {name}={sha256}" for name, sha256 in sorted(report.heads.items()))
    many = f"{report.files} file{'s' * (report.files != 1)}, {decimal(report.bytes)}"
    if report.pending:
        many += f", {len(report.pending)} pending"
    if report.problems:
        count = len(report.problems)
        click.echo(f"verify: {count} problem{'s' * (count != 1)} in {many}")
        return 1
    click.echo(f"verify: ok ({many})")
    return 0


def _ledger_problems(
    account: str | None, known: Collection[str]
) -> tuple[list[Problem], list[Problem]]:
    """Return the files that the configured archive lacks, and notes if the ledger cannot be read.

    Paths with ``known`` problems are left out.
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
            return [], [Problem(".", f"{older}; run: earwitness migrate")]
        watch.refuse_vanished()
        aliases = watch.accounts() if account is None else [account]
        gone = [path for alias in aliases for path in watch.gone_files(alias)]
    except Vanished as error:
        return [Problem(".", error.reason)], []
    except LedgerError as error:
        return [], [Problem(".", f"was not compared with the ledger: {error}")]
    except (ArchiveError, OSError, StoreAway) as error:
        # Still show the result of the verification, which may have taken hours.
        return [Problem(".", f"was not compared with the ledger: {error}")], []
    found = (path for path in gone if path not in known)
    return [Problem(path, "is missing, although the ledger has archived it") for path in found], []


class VerificationProgress:
    """Shows the progress of a verification on a terminal."""

    def __init__(self) -> None:
        shown = console(stderr=True)
        self._progress = Progress(
            TextColumn("verified {task.fields[files]}, {task.fields[size]}"),
            console=shown,
            disable=not shown.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, files="0 files", size=decimal(0))
        self._files = self._bytes = 0

    def __enter__(self) -> Callable[[str, int], None]:
        self._progress.start()
        return self._seen

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def _seen(self, _path: str, size: int) -> None:
        self._files += 1
        self._bytes += size
        if self._progress.disable:
            return
        files = f"{self._files} file{'s' * (self._files != 1)}"
        self._progress.update(self._task, files=files, size=decimal(self._bytes))
