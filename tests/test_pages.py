"""The pages of docs/producers as a whole: each is listed and run, each link leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from .pages import DOCS

PRODUCERS = DOCS / "producers"
PAGES = sorted(PRODUCERS.glob("*.md"))


def _links(page: Path) -> set[str]:
    """Where a page's links lead, but for other sites."""
    inline = [token for token in MarkdownIt().parse(page.read_text()) if token.type == "inline"]
    targets = {
        str(child.attrs["href"])
        for token in inline
        for child in token.children or []
        if child.type == "link_open"
    }
    return {target.partition("#")[0] for target in targets if "://" not in target}


def test_every_page_is_listed_and_run() -> None:
    """The list names every page, and each has the test that runs it."""
    names = {page.name for page in PAGES} - {"README.md"}
    here = Path(__file__).parent

    assert _links(PRODUCERS / "README.md") >= names
    assert all((here / f"test_page_{Path(name).stem}.py").exists() for name in names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of ours finds it."""
    assert [link for link in _links(page) if not (PRODUCERS / link).exists()] == []
