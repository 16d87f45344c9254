"""What a Python file cites is in the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .deployment import ROOT

#: What stands between two words of a comment or docstring, also where a line ends between them.
_GAP = r"(?:\s|#:?)+"
#: Documents that are not in the repository, and numbers that name no page.
_UNRESOLVED = {
    "the design": rf"\bdesign{_GAP}(?:section\b|\d)",
    "a seed": rf"\bseeds?{_GAP}0\d\d\b|\bseed's\b",
    "a document outside the repository": (
        r"(?<![\w/.-])(?:design|house|models|providers|queue-facts)\.md\b"
    ),
    "an issue": rf"\bissue{_GAP}#?\d",
    "a question without its page": rf"\bquestions?{_GAP}\d",
}
#: A page, and the part of it that is meant: #anchor, "Title", or numbers after a Q or a C.
_PAGE = re.compile(
    rf"(?<![\w/.-])(?P<page>docs/[\w./-]*?\.md)\b(?:#(?P<anchor>[\w-]+))?"
    rf"(?:,{_GAP}\"(?P<title>[^\"\\]+)\")?"
    rf"(?P<numbers>(?:,?{_GAP}(?:and{_GAP})?[QC]\d+\b)*)"
)
_NUMBER = re.compile(r"\b[QC]\d+\b")
_TITLE = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
#: Questions are titles, contradictions the rows of a table.
_NUMBERED = re.compile(r"^#+ +(Q\d+)\b|^\| (C\d+) \|", re.MULTILINE)


def _python_files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        first, *_ = parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") or part == "node_modules" for part in parts)
        if not hidden and first not in ("var", "build"):
            yield path


def faults(text: str) -> list[str]:
    """Return each citation of a file's text that leads nowhere, with its line."""
    found = [
        (match.start(), f"{match[0]!r} cites {what}")
        for what, pattern in _UNRESOLVED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    cited = list(_PAGE.finditer(text))
    for match in cited:
        found += [(match.start(), f"{match['page']} {fault}") for fault in _missing(match)]
    found += [
        (number.start(), f"{number[0]} names no page of docs/providers")
        for number in re.finditer(r"\bQ\d+\b", text)
        if not any(match.start() < number.start() < match.end() for match in cited)
    ]
    return [f"line {text.count(chr(10), 0, at) + 1}: {fault}" for at, fault in sorted(found)]


def _missing(cited: re.Match[str]) -> Iterator[str]:
    """What of a cited page is not there."""
    path = ROOT / cited["page"]
    if not path.is_file():
        yield "does not exist"
        return
    page = path.read_text(encoding="utf-8")
    titles = _TITLE.findall(page)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    if cited["anchor"] and cited["anchor"] not in anchors:
        yield f"has no title for #{cited['anchor']}"
    if cited["title"] and re.sub(_GAP, " ", cited["title"]) not in titles:
        yield f'has no title "{cited["title"]}"'
    numbers = set(_numbers(page))
    for number in _NUMBER.findall(cited["numbers"]):
        if number not in numbers:
            yield f"has no {number}"


def _numbers(page: str) -> list[str]:
    """The numbers of a page's questions and contradictions, in its order."""
    return [question or contradiction for question, contradiction in _NUMBERED.findall(page)]


def test_every_citation_resolves() -> None:
    """A page of docs/ that a Python file cites exists, and so does the number, title or anchor
    that it cites there. No Python file cites the design, a seed or another document that a reader
    of the repository does not have.
    """
    found = [
        f"{path.relative_to(ROOT)}, {fault}"
        for path in _python_files()
        for fault in faults(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def _planted(text: str) -> str:
    """Return a text without the marks that keep this file free of such citations."""
    return text.replace("~", "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# as des~ign 4 says", "the design"),
        ("# (Des~ign 3.2)", "the design"),
        ('"""Waits (des~ign section 8)."""', "the design"),
        ("#: the rule of the des~ign\n#: section 8", "the design"),
        ('"""From the page (see~d 004)."""', "a seed"),
        ("# se~eds 001 and 003", "a seed"),
        ("# the see~d's own sample", "a seed"),
        ('"""Left open: provid~ers.md 4."""', "outside the repository"),
        ("# see queue-fac~ts.md, B", "outside the repository"),
        ("# see ../shared house~.md", "outside the repository"),
        ("# ten minutes (iss~ue 4)", "an issue"),
        ("# (quest~ion 20)", "a question without its page"),
        ('"""Both (quest~ions 20\n    and 22)."""', "a question without its page"),
        ("# not documented (Q~3)", "names no page"),
        ("# see do~cs/providers/nobody.md", "nobody.md does not exist"),
        ('print("see do~cs/restoring.md")', "restoring.md does not exist"),
        ("# (do~cs/providers/vonage.md, Q~99)", "has no Q~99"),
        ("# (do~cs/providers/vonage.md, Q~2 and Q~98)", "has no Q~98"),
        ("# (do~cs/providers/vonage.md, C2, Q~2 and C99)", "has no C99"),
        ('"""Pages (do~cs/providers/vonage.md,\n    Q~97)."""', "has no Q~97"),
        ("#: pages (do~cs/providers/vonage.md,\n#: Q~96)", "has no Q~96"),
        ("# (do~cs/limits.md, Q~1)", "limits.md has no Q~1"),
        ('# (do~cs/providers/vonage.md, "Signing out")', 'has no title "Signing out"'),
        ("# do~cs/restore.md#nothing-of-the-kind", "has no title for #nothing-of-the-kind"),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, fault: str) -> None:
    """Each kind is found, in comments, docstrings and messages, also across the end of a line."""
    (found,) = faults("\n\n" + _planted(text))

    assert found.startswith("line 3: ")
    assert _planted(fault) in found


@pytest.mark.parametrize(
    "text",
    [
        "# see do~cs/tasks.md.",
        "# (do~cs/providers/vonage.md, Q~2 and C5): a page",
        '"""Pages (do~cs/providers/vonage.md,\n    Q~5)."""',
        '"""Sign in (do~cs/providers/vonage.md, "Signing\n    in")."""',
        "# do~cs/providers/vonage.md#the-global-api",
        "by design, the seed of a generator; the issue is open; a question of 20 seconds",
        "account.seed(DAY, ZONE, 4)",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    """A citation that resolves and an ordinary word are no faults."""
    assert faults(_planted(text)) == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "providers").glob("*.md")), ids=lambda path: path.stem
)
def test_a_number_on_a_page_means_one_thing(path: Path) -> None:
    """No page numbers two questions or two contradictions alike, and the README lists the page."""
    numbers = _numbers(path.read_text(encoding="utf-8"))

    assert len(numbers) == len(set(numbers))
    assert f"(docs/providers/{path.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
