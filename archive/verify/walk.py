"""The walk through an archive: every existing or expected path."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from archive import paths as archive_paths
from archive.documents.metadata import Metadata
from archive.store.directory import Store

from .chain_index import ChainIndex
from .manifest_claims import Claims, Manifests
from .path_checks import PathChecks


def paths(
    store: Store,
    account: str | None,
    chains: ChainIndex,
    manifests: Manifests,
    path_checks: PathChecks,
    after: str,
) -> Iterator[str]:
    """Yield every path after `after`, sorted, each once: of one account with the ledger's name, or
    all.

    Missing files appear at their places: files that a chain covers, files that their folder's
    manifest names, and audio that its metadata names.
    """
    walk = _Walk(store, manifests, path_checks, after)
    last = after
    for path in heapq.merge(_there(store, account), chains.paths()):
        if path <= after:
            walk.passed(path)
            continue
        for due in walk.due(path):
            if due > last:
                yield due
                last = due
        if path > last:
            yield path
            last = path
            walk.look_beside(path)
    for due in walk.rest():
        if due > last:
            yield due
            last = due


def _there(store: Store, account: str | None) -> Iterator[str]:
    if account is None:
        return store.paths(unlisted=True)
    identity = [archive_paths.IDENTITY_PATH] if store.exists(archive_paths.IDENTITY_PATH) else []
    return heapq.merge(identity, store.paths(f"{account}/", unlisted=True))


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
        if path.rpartition("/")[0] == self._after.rpartition("/")[0]:
            self._enter(path)
            if path.removesuffix("json") + "~" > self._after:
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
