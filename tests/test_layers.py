"""The architecture: which folder may import which, and what the engine may not know.

Each rule is a function from the sources to its breaches. The tree has none, and each rule finds the
breach that a test plants beside the sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings import ROOT

from . import document_owners, test_citations, test_engine_kinds, test_provider_names
from .source_tree import Import, Sources, imports, sources

#: What each folder may import of ours.
BELOW = {
    "config": set(),
    "providers": {"config"},
    "archive": {"config"},
    "ledger": {"config"},
    "tasks": {"config", "providers", "archive", "ledger"},
    "worker": {"config", "providers", "archive", "ledger", "tasks"},
    "demo": {"config", "providers", "archive", "ledger", "tasks", "worker"},
}
KNOWS_NO_CELERY = {"providers", "archive", "ledger"}
CELERY = {"celery", "kombu", "billiard", "flower"}
OURS = {*BELOW, "tests"}
#: The demo plays the providers as well: the simulators are part of the tests.
PLAYS_PROVIDERS = "demo"
#: Alembic runs these by their path, so that no folder is theirs to be relative to.
MIGRATIONS = "ledger/migrations/"
#: A flow owns its folder below tasks/; what several flows need lies in the others.
SHARED = {"runtime", "days", "transfers", "archive_watch"}


def _each_import(files: Sources) -> Iterator[tuple[str, Import]]:
    for path, text in files.items():
        yield from ((path, one) for one in imports(path, text))


def arrows_point_down(files: Sources) -> Iterator[str]:
    """No folder imports one above it or beside it, and none but the demo imports the tests."""
    for path, one in _each_import(files):
        folder, imported = path.split("/")[0], one.module.split(".")[0]
        allowed = BELOW[folder] | {folder} | ({"tests"} if folder == PLAYS_PROVIDERS else set())
        if imported in OURS and imported not in allowed:
            yield f"{path} imports {one.module}: {folder}/ may not know {imported}/"


def a_dot_means_at_home(files: Sources) -> Iterator[str]:
    """Imports are relative within a folder and below it, absolute everywhere else."""
    for path, one in _each_import(files):
        home = path.rpartition("/")[0].replace("/", ".")
        if one.level > 1:
            yield f"{path} imports {one.module} from above: import it absolutely"
        if one.level == 0 and one.module.startswith(f"{home}.") and MIGRATIONS not in path:
            yield f"{path} imports {one.module}, which lies in its own folder: import it relatively"


def only_tasks_and_worker_know_celery(files: Sources) -> Iterator[str]:
    """Providers, archive and ledger can be used without Celery."""
    for path, one in _each_import(files):
        if path.split("/")[0] in KNOWS_NO_CELERY and one.module.split(".")[0] in CELERY:
            yield f"{path} imports {one.module}"


def flows_do_not_import_each_other(files: Sources) -> Iterator[str]:
    """A flow owns its folder below tasks/; what several need lies in a shared folder."""
    owners = {path.split("/")[1] for path in files if path.startswith("tasks/")}
    flows = {name for name in owners if not name.endswith(".py")} - SHARED
    for path, one in _each_import(files):
        home, other = path.split("/")[1], one.module.split(".")[1:2]
        if not (path.startswith("tasks/") and one.module.startswith("tasks.")):
            continue
        if other[0] in flows - {home}:
            yield f"{path} imports {one.module}: {other[0]}/ is a flow of its own"


def only_a_provider_names_itself(files: Sources) -> Iterator[str]:
    """Outside a provider's package and its line in the registry, no code names it or asks of what
    type an account is (tests/test_provider_names.py).
    """
    for path in test_provider_names.judged(files):
        yield from test_provider_names.breaches(Path(path), files[path])


def the_engine_knows_no_kind(files: Sources) -> Iterator[str]:
    """`ledger/core` and `tasks/runtime` name and import no kind of job, no flow and no provider
    (tests/test_engine_kinds.py).
    """
    yield from test_engine_kinds.breaches(files)


def a_document_has_one_owner(files: Sources) -> Iterator[str]:
    """Only archive/documents knows the archive's documents by their keys (document_owners.py)."""
    yield from map(str, document_owners.breaches(files))


def citations_resolve(files: Sources) -> Iterator[str]:
    """Comments cite only what is in the repository (tests/test_citations.py)."""
    for path, text in files.items():
        yield from (f"{path}, {fault}" for fault in test_citations.faults(text))


RULES: dict[Callable[[Sources], Iterator[str]], tuple[str, str]] = {
    arrows_point_down: ("ledger/planted.py", "from tasks.errors import JobError"),
    a_dot_means_at_home: ("archive/planted.py", "from archive.errors import ArchiveError"),
    only_tasks_and_worker_know_celery: ("providers/http/planted.py", "import kombu.utils"),
    flows_do_not_import_each_other: (
        "tasks/nights/planted.py",
        "def late():\n    from tasks.exports.tasks import export",
    ),
    only_a_provider_names_itself: ("worker/planted.py", 'HEADER = {"provider": "vonage"}'),
    the_engine_knows_no_kind: (
        "ledger/core/planted.py",
        'def is_run(job):\n    return "export.run"',
    ),
    a_document_has_one_owner: ("tasks/rebuild/planted.py", 'when = receipt["answered_at"]'),
    citations_resolve: (
        "providers/planted.py",
        "# The vendor repeats a page: s~eed 004".replace("~", ""),
    ),
}
"""Each rule, and a breach of it: a path and its text."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: Callable[[Sources], Iterator[str]]) -> None:
    """No file of ours breaks it."""
    assert list(rule(sources())) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_planted_breach_is_found(rule: Callable[[Sources], Iterator[str]]) -> None:
    """A rule that finds nothing because it looks at nothing would prove nothing."""
    path, text = RULES[rule]
    (breach,) = set(rule(sources() | {path: text})) - set(rule(sources()))

    assert path in breach


@pytest.mark.parametrize(
    ("path", "text", "is_breach"),
    [
        ("config/planted.py", "import worker.app", True),
        ("worker/planted.py", "from demo.demo import demo", True),
        ("tasks/planted.py", "from tests.simulators import Simulators", True),
        ("demo/planted.py", "from tests.simulators import Simulators", False),
        ("archive/planted.py", "if True:\n    from ledger import errors", True),
        ("tasks/planted.py", "from ledger import errors", False),
    ],
)
def test_which_arrows_are_allowed(path: str, text: str, is_breach: bool) -> None:
    """Nested imports count, and so do imports of whole folders."""
    assert bool(list(arrows_point_down({path: text}))) is is_breach


def test_every_folder_is_judged() -> None:
    """A new folder with code has to be given its place in this file."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert folders <= OURS


def test_every_folder_of_tasks_is_a_flow_or_shared() -> None:
    """A shared folder that is gone has no place here any more."""
    assert {path.parent.name for path in (ROOT / "tasks").glob("*/__init__.py")} >= SHARED
