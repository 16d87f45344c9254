"""The names of errors: one vocabulary, which the ledger and the exceptions of the tasks share."""

from __future__ import annotations

import ast

import pytest

from config.error_names import ErrorName
from config.settings import ROOT
from tasks import errors


def test_each_name_is_an_exception_and_each_exception_has_a_name() -> None:
    """What the ledger can store is what callers can catch, and the other way round."""
    assert set(ErrorName) == set(errors.BY_NAME) - {"JobError"}
    assert {error.__module__ for error in errors.BY_NAME.values()} == {"tasks.errors"}


@pytest.mark.parametrize("name", ErrorName)
def test_an_error_of_the_ledger_is_raised_as_its_exception(name: ErrorName) -> None:
    """The row holds plain text, whether the ledger or a task wrote it, and replays as the class."""
    stored = name.stored("unknown: nobody can say")

    raised = errors.replayed(stored)

    assert type(stored["type"]) is str
    assert (type(raised).__name__, str(raised)) == (name.value, "unknown: nobody can say")
    assert errors.stored(raised) == stored


def test_an_exception_without_a_name_cannot_be_declared() -> None:
    """A new exception that the ledger does not know is refused where it is written."""
    with pytest.raises(ValueError, match="Unheard"):
        type("Unheard", (errors.JobError,), {})


@pytest.mark.parametrize("folder", ["archive", "ledger", "providers", "tasks", "worker"])
def test_no_folder_spells_an_exception(folder: str) -> None:
    """A name in quotes would be a second vocabulary, which no checker compares with the first."""
    spelled = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in tuple(ErrorName)
    ]

    assert spelled == []
