"""Finding recordings in an archive alone, without a ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from archive import paths as archive_paths
from archive.documents import manifest, metadata, recordings_list
from archive.documents.manifest import Header
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError, Damaged, Dangerous
from archive.store.directory import Store

from .superseded import SpokenFor

#: The fields of a recording with the numbers of the two ends of its call.
_PARTIES = ("caller_id", "dnis")
_FOLDER_DAY = re.compile(r"/([0-9]{4})/([0-9]{2})/([0-9]{2})/")


@dataclass(frozen=True)
class SearchResult:
    """A recording that was found.

    `line` is as in recordings.jsonl: every field as listed, and the recording's place or
    ``missing``. `source` is the path of the manifest, or of the single recording's metadata, that
    names the recording.
    """

    account: str
    line: Line
    source: str


def find(
    store: Store,
    *,
    account: str | None = None,
    call_id: str | None = None,
    number: str | None = None,
    recording_id: str | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Iterator[SearchResult]:
    """Find the recordings that meet every given condition, each once per account.

    Parameters: `number`, the caller's or the called one, in any spelling, or its last digits;
    `start` and `end`, the first and the last day, both included: the local day of the recording's
    start, or the day in UTC for exports that were not made by the day.

    The newest generation decides about a recording. A recording without a place comes last, as
    missing. Files that cannot be read do not end the search: the error of the first of them is
    raised at the end, as ArchiveError or OSError. Raises ValueError for a number without digits.
    """
    damage = _Damage()
    wanted = _Wanted.of(call_id, number, recording_id, start, end)
    if account is not None:
        accounts = {account}
    else:
        accounts = {archive_paths.account_of(path) for path in store.paths(unlisted=True)} - {""}
    for name in sorted(accounts):
        yield from _once(_results(store, name, wanted, damage))
    if damage.first is not None:
        raise damage.first


class _Damage:
    """Keeps the first error of files that could not be read."""

    def __init__(self) -> None:
        self.first: ArchiveError | OSError | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the error of a file that cannot be read, and continue."""
        try:
            yield
        except (ArchiveError, OSError) as error:
            self.first = self.first or error


@dataclass(frozen=True)
class _Wanted:
    call_id: str | None
    digits: str | None
    recording_id: str | None
    start: date
    end: date
    surely: list[bytes]

    @classmethod
    def of(
        cls,
        call_id: str | None,
        number: str | None,
        recording_id: str | None,
        start: date | None,
        end: date | None,
    ) -> _Wanted:
        digits = None if number is None else _digits(number)
        if digits == "":
            raise ValueError(
                f"{number!r} has no digits; give a telephone number or its last digits"
            )
        # Most lines need not be parsed, because they do not even contain the text.
        surely = [
            recordings_list.spelled(text)
            for text in (call_id, recording_id)
            if text is not None and text.isascii()
        ]
        return cls(call_id, digits, recording_id, start or date.min, end or date.max, surely)

    def read(self, data: bytes | None, path: str) -> Line | None:
        """Return a line that meets all conditions except the day."""
        if data is not None and not all(text in data for text in self.surely):
            return None
        line = recordings_list.parse(data, path)
        return line if self._met_by(line) else None

    def _met_by(self, line: Line) -> bool:
        listed = line.fields
        return (
            self.recording_id in (None, line.id)
            and self.call_id in (None, listed.get("call_id"))
            and (
                self.digits is None
                or any(_digits(listed.get(end)).endswith(self.digits) for end in _PARTIES)
            )
        )


def _results(
    store: Store, account: str, wanted: _Wanted, damage: _Damage
) -> Iterator[SearchResult]:
    """Yield the results of exports first, then those of single recordings."""
    manifests = _of_kind(store, f"{account}/exports/", "manifest", damage)
    for day, group in groupby(manifests, key=_folder_day):
        if day <= _next(wanted.end):
            yield from _of_day(store, account, list(group), wanted, damage)
    singles = _of_kind(store, f"{account}/recordings/", "metadata", damage)
    for day, group in groupby(singles, key=_folder_day):
        if wanted.start <= day <= wanted.end:
            yield from _of_single(store, account, day, [*group], wanted, damage)


def _of_day(
    store: Store, account: str, paths: list[str], wanted: _Wanted, damage: _Damage
) -> Iterator[SearchResult]:
    """Yield the results of the exports in one day's folder, generations from the newest to the
    oldest.
    """
    headers = []
    for path in paths:
        with damage.noted():
            headers.append((path, manifest.read_header(store, path)))
    headers.sort(key=lambda one: one[1].generation or 0, reverse=True)
    by_day = [path for path, header in headers if header.day]
    with SpokenFor() as spoken_for:
        for path, header in headers:
            if not manifest.is_export(header) or not _may_hold(header, wanted):
                continue
            remembered = spoken_for if path in by_day and len(by_day) > 1 else None
            with damage.noted():
                for line in _lines(store, path, wanted, remembered):
                    if _is_within(line, header, wanted, path):
                        yield SearchResult(account, line, path)


def _lines(
    store: Store, manifest_path: str, wanted: _Wanted, spoken_for: SpokenFor | None
) -> Iterator[Line]:
    """Yield the wanted lines of an export, except for recordings that a newer list already
    named.
    """
    path = archive_paths.recordings_path(manifest_path.rpartition("/")[0])
    if spoken_for is not None:
        spoken_for.next_list()
    for data in recordings_list.raw_lines(store, path):
        if spoken_for is not None and spoken_for.note(recordings_list.parse(data, path).id):
            continue
        line = wanted.read(data, path)
        if line is not None:
            yield line


def _of_single(
    store: Store, account: str, day: date, paths: list[str], wanted: _Wanted, damage: _Damage
) -> Iterator[SearchResult]:
    """Yield the results among the single recordings of a day that no export of the day names."""
    with SpokenFor() as archived:
        is_read = False
        for path in paths:
            line = None
            with damage.noted():
                line = _line_of(store, path, wanted)
            if line is None:
                continue
            if not is_read:
                is_read = True
                with damage.noted():
                    _note_archived(store, account, day, archived)
                archived.next_list()
            if line.id not in archived:
                yield SearchResult(account, line, path)


def _line_of(store: Store, path: str, wanted: _Wanted) -> Line | None:
    try:
        line = metadata.read(store, path).as_line()
    except (Damaged, ValueError):
        raise Damaged(path, "is not readable as metadata; run verify") from None
    return wanted.read(line.text().encode(), path)


def _note_archived(store: Store, account: str, day: date, archived: SpokenFor) -> None:
    """Note the archived recordings of a day's newest generation."""
    newest = manifest.latest(store, account, day)
    for line in recordings_list.read(store, newest.recordings.path) if newest else ():
        if not line.is_missing:
            archived.note(line.id)


def _once(results: Iterator[SearchResult]) -> Iterator[SearchResult]:
    given: set[str] = set()
    absent: dict[str, SearchResult] = {}
    for result in results:
        if result.line.is_missing:
            absent.setdefault(result.line.id, result)
        elif result.line.id not in given:
            given.add(result.line.id)
            yield result
    yield from (result for recording_id, result in absent.items() if recording_id not in given)


def _may_hold(header: Header, wanted: _Wanted) -> bool:
    return not header.day or wanted.start <= date.fromisoformat(header.day) <= wanted.end


def _is_within(line: Line, header: Header, wanted: _Wanted, path: str) -> bool:
    if header.day or (wanted.start, wanted.end) == (date.min, date.max):
        return True
    if line.set_aside and not line.start:
        return True
    start = line.start or ""
    try:
        return start != "" and wanted.start <= date.fromisoformat(start[:10]) <= wanted.end
    except (ValueError, TypeError):
        raise Damaged(path, "lists a recording whose start is not a date; run verify") from None


def _of_kind(store: Store, prefix: str, kind: archive_paths.Kind, damage: _Damage) -> Iterator[str]:
    for path in store.paths(prefix, unlisted=True):
        found = archive_paths.kind_of(path)
        if found == kind:
            yield path
        elif found is None:
            with damage.noted():
                _refuse_unlisted(store, path)


def _refuse_unlisted(store: Store, path: str) -> None:
    """Raise Dangerous for a folder that cannot be listed, since it may hold anything."""
    if not store.exists(path):
        reason = "is not a plain file or cannot be listed, and was not searched; run verify"
        raise Dangerous(path, reason)


def _folder_day(path: str) -> date:
    """Return the day in a path, or the first possible day for digits that are not a day."""
    found = _FOLDER_DAY.search(path)
    try:
        return date(*map(int, found.groups())) if found else date.min
    except ValueError:
        return date.min


def _next(day: date) -> date:
    return day if day == date.max else day + timedelta(days=1)


def _digits(number: object) -> str:
    return re.sub(r"[^0-9]", "", str(number or ""))
