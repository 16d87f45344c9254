"""The verified archive: the files that can be trusted when nothing else is left."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from archive import paths as archive_paths
from archive.paths import Kind
from archive.problem import Pending, Unvouched
from archive.verify import verification
from archive.verify.inspection import UNCOVERED
from tasks.runtime.context import store


@dataclass
class VerifiedArchive:
    """The archive's files after its verification.

    ``damaged`` says by path what is wrong; ``uncovered`` are files that no chain covers yet, young
    or not; ``refused`` says by path what is wrong with files that are readable, but whose content
    cannot be true.
    """

    accounts: list[str]
    damaged: dict[str, str]
    uncovered: set[str]
    refused: dict[str, str] = field(default_factory=dict)

    def paths(self, prefix: str, kind: Kind) -> Iterator[str]:
        """Yield every path of this kind that is there, or was: sorted, each once."""
        gone = sorted(path for path in self.damaged if path.startswith(prefix))
        last = ""
        for path in heapq.merge(store().paths(prefix, unlisted=True), gone):
            if path != last and archive_paths.kind_of(path) == kind:
                yield path
            last = path

    def trusts(self, path: str) -> bool:
        """Return whether nothing speaks against a file."""
        return path not in self.damaged and path not in self.refused

    def refuse(self, path: str, why: str) -> None:
        """Take nothing from this file."""
        self.refused[path] = why


def verify_archive(on_file: Callable[[str, int], None] | None = None) -> VerifiedArchive:
    """Verify the whole archive, every ZIP included. Writes nothing."""
    report = verification.verify(store(), on_file=on_file)
    damaged: dict[str, str] = {}
    uncovered = set()
    for problem in [*report.problems, *report.pending]:
        if problem.message == UNCOVERED:
            uncovered.add(problem.path)
        elif not isinstance(problem, Unvouched | Pending):
            known = damaged.get(problem.path)
            damaged[problem.path] = f"{known}; {problem.message}" if known else problem.message
    accounts = {archive_paths.account_of(path) for path in store().paths(unlisted=True)}
    accounts |= {archive_paths.account_of(path) for path in damaged}
    return VerifiedArchive(sorted(accounts - {""}), damaged, uncovered)
