"""The product's sources, and what they import: what the tests of the architecture look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from config.settings import ROOT

#: The folders of the product.
FOLDERS = ("config", "providers", "archive", "ledger", "tasks", "worker", "demo")

Sources = dict[str, str]


class Import(NamedTuple):
    """One imported module: its full name, and how many dots stand before it (0: absolute)."""

    module: str
    level: int


@cache
def sources() -> Sources:
    """The product's files by their paths."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def imports(path: str, text: str) -> Iterator[Import]:
    """Every import in the file, nested ones included; ``from a import b`` counts as ``a.b``."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module.split(".") if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", node.level) for alias in node.names)
