"""The walk through an archive: every existing or expected path."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archive import paths as archive_paths
from archive.documents.metadata import Metadata
from archive.store.directory import Store

from .chain_index import ChainIndex
from .manifest_claims import Claims, Manifests
from .path_checks import PathChecks

#: A ZIP takes as long as many recordings, and its size is not known yet.
_ZIP_WEIGHT = 16


@dataclass(frozen=True)
class Stretch:
    """A stretch of the walk: the listed paths after `after`, and those before that may name a file
    in it. The last stretch of a walk also has the files expected after its last path.
    """

    after: str
    before: list[str]
    listed: list[str]
    is_last: bool


def listed(store: Store, account: str | None, chains: ChainIndex) -> Iterator[str]:
    """Yield every path that exists or that a chain covers, sorted: of one account with the ledger's
    name, or all. A path of both comes twice.
    """
    return heapq.merge(_there(store, account), chains.paths())


def stretches(listing: Iterable[str], most: int) -> Iterator[Stretch]:
    """Cut a listing into stretches of about `most` files. A ZIP counts as many files."""
    after, before, some, weight = "", list[str](), list[str](), 0
    for path in listing:
        if weight >= most:
            yield Stretch(after, before, some, is_last=False)
            before = _still_open([*before, *some], some[-1])
            after, some, weight = some[-1], [], 0
        some.append(path)
        weight += weight_of(path)
    yield Stretch(after, before, some, is_last=True)


def weight_of(path: str) -> int:
    """Return how many small files a file counts for."""
    return _ZIP_WEIGHT if path.endswith(".zip") else 1


def paths(
    listing: Iterable[str],
    store: Store,
    manifests: Manifests,
    path_checks: PathChecks,
    after: str = "",
    *,
    is_last: bool = True,
) -> Iterator[str]:
    """Yield every path of a listing after `after`, sorted, each once.

    Missing files appear at their places: files that a chain covers, files that their folder's
    manifest names, and audio that its metadata names. If the listing `is_last`, files expected
    after its last path appear too.
    """
    walk = _Walk(store, manifests, path_checks, after)
    last = after
    for path in listing:
        if path <= after:
            walk.passed(path)
            continue
        if path > last:
            # Before the path itself: the audio's ending may sort before that of its metadata.
            walk.look_beside(path)
        for due in walk.due(path):
            if due > last:
                yield due
                last = due
        if path > last:
            yield path
            last = path
    for due in walk.rest() if is_last else ():
        if due > last:
            yield due
            last = due


def _there(store: Store, account: str | None) -> Iterator[str]:
    if account is None:
        return store.paths(unlisted=True)
    identity = [archive_paths.IDENTITY_PATH] if store.exists(archive_paths.IDENTITY_PATH) else []
    return heapq.merge(identity, store.paths(f"{account}/", unlisted=True))


def _still_open(seen: Iterable[str], after: str) -> list[str]:
    """Return the paths seen that may name a file after `after`: one path of an export's folder,
    and metadata.
    """
    found: dict[str, str] = {}
    for path in seen:
        if _may_name_beside(path, after):
            found[path] = path
        elif (folder := _export_around(path, after)) is not None:
            found[folder] = path
    return sorted(set(found.values()))


def _export_around(path: str, after: str) -> str | None:
    """Return the path's folder, if it is an export's and `after` lies in it at any depth."""
    folder, slash, _ = path.rpartition("/")
    is_around = bool(slash) and after.startswith(f"{folder}/")
    manifest = archive_paths.manifest_path(folder)
    return folder if is_around and archive_paths.kind_of(manifest) == "manifest" else None


def _may_name_beside(path: str, after: str) -> bool:
    """Return whether a path up to `after` may be metadata of audio that comes after `after`."""
    return path.endswith(".json") and path.removesuffix("json") + "~" > after


class _Walk:
    """The expected files that are missing, each until the walk reaches its place."""

    def __init__(
        self, store: Store, manifests: Manifests, path_checks: PathChecks, after: str
    ) -> None:
        self._store = store
        self._manifests = manifests
        self._path_checks = path_checks
        self._after = after
        self._entered = ""
        self._gone: list[str] = []

    def passed(self, path: str) -> None:
        """Note a path that the walk saw before it was interrupted; files that the path names may
        still be due.
        """
        if _export_around(path, self._after) is not None:
            self._enter(path)
        if _may_name_beside(path, self._after):
            self.look_beside(path)

    def due(self, path: str) -> Iterator[str]:
        """Yield the expected files before this path, and in its folder."""
        self._enter(path)
        while self._gone and self._gone[0] < path:
            yield heapq.heappop(self._gone)

    def look_beside(self, path: str) -> None:
        """Expect the audio that this path names, if it is metadata."""
        if archive_paths.kind_of(path) == "metadata":
            metadata = self._path_checks.metadata(path)
            if isinstance(metadata, Metadata) and archive_paths.is_beside(
                metadata.audio.path, path
            ):
                self._expect(metadata.audio.path)

    def rest(self) -> Iterator[str]:
        """Yield the expected files after the last existing path."""
        while self._gone:
            yield heapq.heappop(self._gone)

    def _enter(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        if (
            folder == self._entered
            or archive_paths.kind_of(archive_paths.manifest_path(folder)) != "manifest"
        ):
            return
        self._entered = folder
        claims = self._manifests.of(folder)
        if isinstance(claims, Claims):
            for claimed in claims.siblings:
                self._expect(claimed)

    def _expect(self, path: str) -> None:
        try:
            is_there = self._store.exists(path)
        except (OSError, ValueError):
            is_there = False  # looking at it raises the reason
        if not is_there:
            heapq.heappush(self._gone, path)
