"""Whoever follows a link in a page arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from .deployment import ROOT

_PAGES = sorted(
    str(page.relative_to(ROOT))
    for place in ("*.md", "client/*.md", "docs/**/*.md", "tests/**/*.md", "containers/*.md")
    for page in ROOT.glob(place)
)
_PARSER = MarkdownIt().enable("table")


def inner(page: Path) -> Iterator[Token]:
    """Every token of a page, those within its lines too."""
    for token in _PARSER.parse(page.read_text()):
        yield token
        yield from token.children or ()


def titles(page: Path) -> set[str]:
    """The names under which a page's titles are linked to."""
    tokens = _PARSER.parse(page.read_text())
    said = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in said}


@pytest.mark.parametrize("name", _PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    """A link or picture within the source names a file that is there, and a title that it has."""
    page = ROOT / name
    for token in inner(page):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        if not target or "://" in target or target.startswith("mailto:"):
            continue
        path, _, title = target.partition("#")
        there = (page.parent / unquote(path)).resolve() if path else page
        assert there.exists(), f"{name}: {target}"
        assert not title or title in titles(there), f"{name}: {target}"
