"""docs/tasks.md says of every task what the program says of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks import errors
from worker.catalogue.contents import contents

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
    """The closed list of exceptions: how their messages begin, and whether to send again."""
    said = {
        name.strip("`"): (set(outcomes.split(", ")), again)
        for title, (name, outcomes, _, again) in (
            row for row in rows() if row[0] == "What they have in common"
        )
        if title and name != "exception"
    }
    assert said == {
        name: (set(error.outcomes), error.send_again)
        for name, error in errors.BY_NAME.items()
        if error is not errors.JobError
    }


def test_every_result_is_on_the_page() -> None:
    """The fields of every task's result, and which of them are not always there, are those of its
    schema; of a list's entries too, where the page has them.
    """
    said = {}
    for part in re.split(r"^### `", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        task = part.partition("`")[0]
        (result,) = re.findall(r"^Result: [^`]*`({.*?})`", part, flags=re.MULTILINE)
        said[task] = fields(result)
    catalogue = contents()["tasks"]
    assert said.keys() == catalogue.keys()
    for task, found in said.items():
        assert found == declared(catalogue[task]["result"], found), task


def fields(text: str) -> dict[str, Any]:
    """The fields of an object as the page has it, each with those of its entries or None."""
    as_json = re.sub(r'(?<!: )"(\w+)"(\??)(?!\s*:)(?=\s*[,}])', r'"\1\2": null', text)
    found: dict[str, Any] = json.loads(as_json)
    return {
        name: dict.fromkeys(value[0]) if isinstance(value, list) else None
        for name, value in found.items()
    }


def declared(schema: dict[str, Any], on_page: dict[str, Any]) -> dict[str, Any]:
    """The fields of a schema in the same form; entries are looked at where the page has them."""
    found: dict[str, Any] = {}
    for name, one in schema["properties"].items():
        field = name if name in schema.get("required", ()) else f"{name}?"
        entries = None
        if on_page.get(field):
            entry = schema["$defs"][one["items"]["$ref"].rpartition("/")[2]]
            entries = declared(entry, {})
        found[field] = entries
    return found
