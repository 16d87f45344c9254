"""``extract``: recordings out of an archive, without configuration or ledger."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from archive.errors import ArchiveError, Missing
from archive.search import search
from archive.search.search import Extraction, SearchResult
from archive.store.directory import Store
from archive.store.fsync import replace_text
from config.spreadsheets import spreadsheet_text

from .display import plain, print_json, print_lines
from .options import DAY, archive, as_json, in_order, one_account
from .standalone_archive import as_usage_error, existing_store

INDEX = "index.csv"
_COLUMNS = ("account", "recording", "start", "duration_ms", "from", "to", "call_id")
_FILES = ("audio", "bytes", "sha256", "line", "manifest")
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("recording_ids", metavar="[RECORDING]...", nargs=-1)
@click.option("--into", type=_FOLDER, help="The folder to write to, with an index of everything.")
@one_account
@click.option("--call-id", metavar="ID", help="The recordings of this call.")
@click.option("--number", metavar="N", help="Number of either party; the last digits are enough.")
@click.option("--from", "start", type=DAY, help="The first local day of their start.")
@click.option("--to", "end", help="The last one, included. Without --into: the folder to write to.")
@archive
@as_json
def extract(
    recording_ids: tuple[str, ...],
    into: Path | None,
    end: str | None,
    archive: Store | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Copy recordings out of the archive: for each, the audio, its line of the list and its
    manifest.

    Name the recordings, or select them with the options; with --into, an index of all of
    them is written beside them. Existing files are never overwritten. The status is 1 if a
    recording is missing or cannot be read; the others are copied all the same.
    """
    if into is None:
        return _extract_one(recording_ids, end, archive, as_json=as_json, **asked)
    last = None if end is None else DAY.convert(end, None, click.get_current_context())
    in_order(asked["start"], last)
    conditions = {**asked, "end": last}
    if not recording_ids and not any(value is not None for value in conditions.values()):
        raise click.UsageError("Name recordings, or give --account, --call-id, --number or --from.")
    written, problems = _extract_all(existing_store(archive), recording_ids, conditions, into)
    if as_json:
        print_json([str(path) for path in written])
    else:
        print_lines(str(path) for path in written)
    for problem in problems:
        click.echo(plain(f"earwitness: {problem}"), err=True)
    return int(bool(problems))


def _extract_one(
    recording_ids: Sequence[str],
    to: str | None,
    archive: Store | None,
    *,
    as_json: bool,
    account: str | None,
    **conditions: date | str | None,
) -> int:
    """Copy one recording into a folder without an index."""
    if len(recording_ids) != 1 or any(value is not None for value in conditions.values()):
        raise click.UsageError("Give --into, the folder to write to.")
    if to is None:
        raise click.UsageError("Missing option '--into'.")
    store = existing_store(archive)
    with as_usage_error():
        written = search.extract(store, recording_ids[0], Path(to), account)
    if as_json:
        print_json([str(path) for path in written])
    else:
        print_lines(str(path) for path in written)
    return 0


def _extract_all(
    store: Store, recording_ids: Sequence[str], conditions: Mapping[str, Any], into: Path
) -> tuple[list[Path], list[str]]:
    """Copy everything that meets the conditions; return the files, and what could not be copied."""
    problems: list[str] = []
    results = list(_found(store, recording_ids, conditions, problems))
    if not results and not problems:
        raise Missing("the archive", "holds no such recording")
    # Two accounts may have a recording of the same id.
    accounts = {result.account for result in results}
    folders = {one: into / one if len(accounts) > 1 else into for one in accounts}
    extractions = {one: Extraction(store, folder) for one, folder in folders.items()}
    index = _Index(into)
    written: dict[Path, None] = {}
    for result in results:
        try:
            files = extractions[result.account].add(result)
        except (ArchiveError, OSError) as error:
            problems.append(str(error))
            continue
        index.add(result, files)
        written |= dict.fromkeys(files)
    return [*written, index.write()] if written else [], problems


def _found(
    store: Store,
    recording_ids: Sequence[str],
    conditions: Mapping[str, Any],
    problems: list[str],
) -> Iterator[SearchResult]:
    """Yield what was asked for, once each; note what cannot be read or is not there."""
    for recording_id in recording_ids or (None,):
        with as_usage_error():
            results, damage = search.found(store, recording_id=recording_id, **conditions)
        if damage is not None:
            problems.append(str(damage))
        elif not results and recording_id is not None:
            problems.append(f"no recording {recording_id} in this archive meets the conditions")
        yield from results


class _Index:
    """The table of the recordings in a folder, which grows with each extraction into it.

    Raises FileExistsError if another file has its name.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / INDEX
        self._rows: dict[tuple[str, str], Sequence[str]] = {}
        if self._path.exists():
            with self._path.open(encoding="utf-8", newline="") as file:
                head, *rows = list(csv.reader(file)) or [[]]
            if tuple(head) != (*_COLUMNS, *_FILES):
                why = "exists already and is no index; choose another folder"
                raise FileExistsError(17, why, str(self._path))
            self._rows = {(row[0], row[1]): row for row in rows}

    def add(self, result: SearchResult, files: Sequence[Path]) -> None:
        """Add the row of a recording and its files: the audio, its line, its manifest if any."""
        listed, stored = result.line.fields, result.line.stored()
        names = [str(path.relative_to(self._path.parent)) for path in files]
        ends = (listed.get("caller_id"), listed.get("dnis"), listed.get("call_id"))
        audio, line, manifest = (*names, "")[:3]
        cells = (
            *(result.account, result.line.id, result.line.start, listed.get("duration"), *ends),
            *(audio, files[0].stat().st_size, stored.sha256, line, manifest),
        )
        row = [_cell(one) for one in cells]
        self._rows[row[0], row[1]] = row

    def write(self) -> Path:
        """Write the table at once as a whole; return its path."""
        text = io.StringIO(newline="")
        lines = csv.writer(text)
        lines.writerow((*_COLUMNS, *_FILES))
        lines.writerows(row for _, row in sorted(self._rows.items()))
        replace_text(self._path, text.getvalue(), 0o666)
        return self._path


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    is_number = text[:1] in "+-" and text[1:].isdigit()
    return text if is_number else spreadsheet_text(text)
