"""The program of one process of a verification: inspects stretches of the walk for its parent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Connection

from archive.errors import ArchiveError, StoreAway

from .chain_index import SavedIndex
from .inspection import Finding, Inspection
from .manifest_claims import Manifests
from .path_checks import PathChecks
from .walk import Stretch, paths

#: The first message of a child, which can work.
READY = "ready"


def main() -> None:
    """Answer every stretch that comes over the connection, until the parent closes it. The first
    message to the parent is `READY`.

    Arguments: the connection's descriptor, and the parent's process id.
    """
    parent = int(sys.argv[2])

    def is_wanted(_: int = 0) -> None:
        # A parent that was killed closes nothing that a long file would notice.
        if os.getppid() != parent:
            sys.exit(0)

    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, ConnectionError):
        store, saved, heads = connection.recv()
        with SavedIndex(store, saved, heads) as index, Manifests(store, index) as manifests:
            path_checks = PathChecks(store, manifests, index)
            inspection = Inspection(store, index, manifests, path_checks, is_wanted)
            connection.send(READY)

            def inspected(stretch: Stretch) -> Iterator[tuple[str, Finding]]:
                listing = chain(stretch.before, stretch.listed)
                for path in paths(
                    listing,
                    store,
                    manifests,
                    path_checks,
                    stretch.after,
                    is_last=stretch.is_last,
                ):
                    yield path, inspection.inspect(path)

            while True:
                stretch = connection.recv()
                answer: list[tuple[str, Finding]] | Exception
                try:
                    answer = list(inspected(stretch))
                except (ArchiveError, OSError, StoreAway) as error:
                    answer = error
                connection.send(answer)


if __name__ == "__main__":
    main()
