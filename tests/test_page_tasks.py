"""docs/tasks.md says of every task what the program says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks import errors

from .deployment import ROOT

PAGE = ROOT / "docs" / "tasks.md"


def tokens() -> list[Token]:
    """The page, as a reader of Markdown takes it apart."""
    return MarkdownIt().enable("table").parse(PAGE.read_text())


def rows() -> Iterator[tuple[str, list[str]]]:
    """The cells of every row of every table, with the title that it stands under."""
    title, cells = "", None
    for before, token in pairwise(tokens()):
        if before.type == "heading_open":
            title = token.content.strip("`")
        elif token.type == "tr_open":
            cells = []
        elif before.type in ("td_open", "th_open") and cells is not None:
            cells.append(token.content)
        elif token.type == "tr_close" and cells is not None:
            yield title, cells


def test_every_task_and_every_argument_is_on_the_page() -> None:
    """The tasks, their arguments and which of these are required are those of the catalogue."""
    said: dict[str, dict[str, bool]] = {
        token.content.strip("`"): {}
        for before, token in pairwise(tokens())
        if before.type == "heading_open" and token.content.startswith("`")
    }
    for title, (name, need, *_) in rows():
        if name.startswith("`") and title in said:
            said[title][name.strip("`")] = {"required": True, "optional": False}[need]
    printed = subprocess.run(
        [sys.executable, "-m", "worker", "catalogue"], cwd=ROOT, capture_output=True, check=True
    )
    known = {
        task: {
            name: name in described["arguments"].get("required", [])
            for name in described["arguments"].get("properties", {})
        }
        for task, described in json.loads(printed.stdout)["tasks"].items()
    }
    assert said == known


def test_every_exception_is_on_the_page() -> None:
    """The closed list of exceptions, each once."""
    cells = [name for title, (name, *_) in rows() if title == "What they have in common"]
    said = [name.strip("` ") for cell in cells[1:] for name in cell.split(",")]
    assert sorted(said) == sorted(set(errors.BY_NAME) - {"JobError"})
