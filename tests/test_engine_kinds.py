"""The engine knows no kind of job: `ledger/core` and `tasks/runtime` name none and import none.

Kinds register themselves; what the engine does with one is shown in tests/test_ledger_kinds.py.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from celery import current_app

from config.settings import ROOT
from ledger.core.kinds import kind_of
from ledger.errors import UnknownKind
from tasks import registry
from tasks.runtime.arguments import Arguments
from tasks.runtime.entry import job_task
from tasks.runtime.kinds import KINDS
from tasks.runtime.results import Result
from tasks.runtime.runner import Attempt, Ended

from .source_tree import Sources, imports, sources

registry.load()

#: What each part of the engine may import of ours, by the beginning of the module's name. Alerts,
#: the archive's record and the whole ledger are what every task uses, whatever its kind.
MAY_IMPORT = {
    "ledger/core/": ("config", "ledger.core", "ledger.errors"),
    "tasks/runtime/": (
        "archive",
        "config",
        "ledger.alerts",
        "ledger.archive_record",
        "ledger.core",
        "ledger.errors",
        "ledger.ledger",
        "providers.errors",
        "providers.http",
        "providers.interface",
        "providers.registry",
        "tasks.errors",
        "tasks.runtime",
    ),
}
OURS = ("archive", "config", "demo", "ledger", "providers", "tasks", "tests", "worker")
PROVIDERS = sorted(
    path.parent.name
    for path in (ROOT / "providers").glob("*/__init__.py")
    if path.parent.name != "http"
)
NAMES = re.compile(
    rf"\b(?:{'|'.join(re.escape(name) for name in KINDS)})\b|{'|'.join(PROVIDERS)}",
    re.IGNORECASE,
)
#: A citation of a vendor's facts names the vendor.
CITATION = re.compile(r"docs/providers/\w+\.md")


def breaches(files: Sources) -> Iterator[str]:
    """Whatever of the business the engine imports or names."""
    for path, text in files.items():
        allowed = next((may for part, may in MAY_IMPORT.items() if path.startswith(part)), None)
        if allowed is None:
            continue
        for one in imports(path, text):
            if one.module.split(".")[0] in OURS and not _begins(one.module, allowed):
                yield f"{path} imports {one.module}"
        for node in ast.walk(ast.parse(text)):
            for word in _words(node):
                if NAMES.search(CITATION.sub("", word)):
                    yield f"{path} names {word!r}"


def _begins(module: str, allowed: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{one}.") for one in allowed)


def _words(node: ast.AST) -> Iterator[str]:
    """The texts and the names in a node: a kind may be asked for by either."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for field in ("id", "attr", "arg", "name"):
        if isinstance(getattr(node, field, None), str):
            yield getattr(node, field)


def test_the_engine_names_and_imports_no_kind() -> None:
    """A provider or a kind can be added or removed without touching it."""
    assert len(PROVIDERS) >= 4
    assert len(KINDS) >= 15
    assert list(breaches(sources())) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ledger/core/planted.py", "from ledger.daily_quota import Cap"),
        ("ledger/core/planted.py", "from ledger import quarantine"),
        ("ledger/core/planted.py", "def late():\n    import ledger.call_outcomes"),
        ("ledger/core/planted.py", "from ledger.rebuild.jobs import take_job"),
        ("ledger/core/planted.py", 'def ended(job):\n    return job.kind == "export.run"'),
        ("ledger/core/planted.py", 'KIND = "earwitness.certified_call.request"'),
        ("ledger/core/planted.py", 'def first(account):\n    return account["ozeki"]'),
        ("tasks/runtime/planted.py", "from tasks.certified_calls.receipts import write_receipts"),
        ("tasks/runtime/planted.py", "from tasks.days import windows"),
        ("tasks/runtime/planted.py", "from tasks import archive_watch"),
        ("tasks/runtime/planted.py", "from ledger.daily_quota import Cap"),
        ("tasks/runtime/planted.py", "import providers.vonage.client"),
        ("tasks/runtime/planted.py", '_TICK = "earwitness.nightly.plan"'),
        ("tasks/runtime/planted.py", "def vonage_account(alias):\n    return alias"),
        ("tasks/runtime/planted.py", "def begun(account):\n    return account.is_voipnow"),
    ],
)
def test_a_planted_breach_is_found(path: str, text: str) -> None:
    """Each way in which the engine could learn of a kind again."""
    found = set(breaches(sources() | {path: text})) - set(breaches(sources()))

    assert found
    assert all(path in breach for breach in found)


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind.opens_job))
def test_each_task_that_opens_a_job_has_its_hooks(name: str) -> None:
    """What a flow registers and what the ledger registers are one kind under one name."""
    assert KINDS[name].hooks is kind_of(name)
    assert KINDS[name].hooks.ended, "a kind without any opens no alert when it fails"


def test_only_the_planner_s_ticks_may_expire() -> None:
    """Any other message that Celery dropped because it has expired would open no job, unseen."""
    tasks = {name: current_app.tasks[f"earwitness.{name}"] for name in KINDS}

    assert [name for name, task in tasks.items() if getattr(task, "may_expire", False)] == [
        "nightly.plan"
    ]


def test_a_ledger_opened_without_the_tasks_has_all_hooks() -> None:
    """As commands, a rebuild and tests do: a process that imports no task misses none."""
    names = sorted(name for name, kind in KINDS.items() if kind.opens_job)
    program = (
        "import sys; from ledger.ledger import Ledger; from ledger.core.kinds import kind_of\n"
        f"for name in {names}: assert kind_of(name).name == name\n"
        "assert not [one for one in sys.modules if one.partition('.')[0] in ('tasks', 'celery')]"
    )

    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert said.returncode == 0, said.stderr


def _nothing(_attempt: Attempt) -> Ended:
    return Ended({})


def test_a_task_whose_kind_the_ledger_lacks_cannot_be_declared() -> None:
    """The process ends when it loads the flow, not when the first job of it has ended unseen."""
    with pytest.raises(UnknownKind, match=r"does not know jobs of the kind weather\.unregistered"):
        job_task("weather.unregistered", Arguments, lambda *_: None, Result)(_nothing)
    assert "weather.unregistered" not in KINDS


def test_a_task_cannot_be_declared_twice() -> None:
    """The second would replace the first, and whatever the catalogue says of it."""
    with pytest.raises(ValueError, match="declared twice"):
        job_task("export.create", Arguments, lambda *_: None, Result)(_nothing)
