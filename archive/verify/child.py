"""The program of one process of a verification: inspects stretches of the walk for its parent."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from itertools import chain
from multiprocessing.connection import Connection

from archive.errors import ArchiveError, StoreAway
from archive.store.directory import Store

from .chain_index import SavedIndex
from .inspection import Finding, Inspection
from .manifest_claims import Manifests
from .path_checks import PathChecks
from .walk import Stretch, paths

#: The first message of a child, which can work.
READY = "ready"


def main() -> None:
    """Answer every stretch that comes over the connection. The first message to the parent is
    `READY`.

    The parent kills its children in the end. If it was killed itself, this process removes the
    folder of the saved chains and ends.

    Arguments: the connection's descriptor, and the parent's process id.
    """
    parent = int(sys.argv[2])

    def refuse_orphan(_: int) -> None:
        if os.getppid() != parent:
            sys.exit(0)

    with Connection(int(sys.argv[1])) as connection:
        store, folder, saved, heads = connection.recv()
        try:
            with SavedIndex(store, saved, heads) as index:
                _serve(connection, store, index, refuse_orphan)
        except (EOFError, ConnectionError, SystemExit):
            shutil.rmtree(folder, ignore_errors=True)


def _serve(
    connection: Connection, store: Store, index: SavedIndex, on_bytes: Callable[[int], None]
) -> None:
    with Manifests(store, index) as manifests:
        path_checks = PathChecks(store, manifests, index)
        inspection = Inspection(store, index, manifests, path_checks, on_bytes)
        connection.send(READY)
        while True:
            stretch: Stretch = connection.recv()
            listing, is_last = chain(stretch.before, stretch.listed), stretch.is_last
            walk = paths(listing, store, manifests, path_checks, stretch.after, is_last=is_last)
            answer: list[tuple[str, Finding]] | Exception
            try:
                answer = [(path, inspection.inspect(path)) for path in walk]
            except (ArchiveError, OSError, StoreAway) as error:
                answer = error
            connection.send(answer)


if __name__ == "__main__":
    main()
