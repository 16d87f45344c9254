"""The alert rules that the documentation offers, as tests read them."""

from __future__ import annotations

import re

from .deployment import ROOT

RULES = ROOT / "docs" / "earwitness.rules.yml"
TESTS = ROOT / "docs" / "earwitness.rules.test.yml"


def alerts() -> list[str]:
    """The name of every alert."""
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def names_used() -> set[str]:
    """Every metric of ours that a rule looks at or tells people to look at."""
    return set(re.findall(r"\bearwitness_\w+", RULES.read_text()))
