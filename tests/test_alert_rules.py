"""The alert rules of docs/earwitness.rules.yml, as Prometheus' own program judges them.

That the metrics they look at exist is seen in tests/test_metrics.py, at a worker that runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from .alert_rules import RULES, TESTS, alerts
from .deployment import ROOT

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


@needs_promtool
@pytest.mark.parametrize(
    "arguments", [["check", "rules", RULES.name], ["test", "rules", TESTS.name]]
)
def test_promtool_accepts_the_rules(arguments: list[str]) -> None:
    """The rules can be loaded, and each fires where its test says so, and nowhere else."""
    said = subprocess.run(
        ["promtool", *arguments],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert said.returncode == 0, said.stdout + said.stderr


def test_every_rule_is_tried_in_both_ways() -> None:
    """Each alert has a test in which it fires and a moment at which it does not, and says what to
    do.
    """
    text = TESTS.read_text()
    for alert in alerts():
        expected = text.partition(f'- name: "{alert}:')[2].partition("- name:")[0]
        assert "exp_samples: []" in expected, alert
        assert f'labels: ALERTS{{alertname="{alert}"' in expected, alert
    for needed in ("severity:", "summary:", "description:", "runbook_url:"):
        assert RULES.read_text().count(f" {needed}") + RULES.read_text().count(
            f"{{{needed}"
        ) == len(alerts()), needed


def test_every_rule_leads_to_a_runbook() -> None:
    """The address of each rule is a section of the page on operations, and each section says what
    the alert means, what happens meanwhile, where to look, what to do, and when it is over. No
    section is left of a rule that is gone.
    """
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    runbooks = page.partition("\n## Runbooks of the alerts\n")[2].partition("\n## ")[0]
    sections = dict(
        re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", runbooks, re.MULTILINE | re.DOTALL)
    )
    addresses = re.findall(r"runbook_url: (\S+)", RULES.read_text(encoding="utf-8"))
    assert list(sections) == alerts()
    assert addresses == [f"docs/operations.md#{alert.lower()}" for alert in alerts()]
    for alert, text in sections.items():
        for part in ("Meaning", "Meanwhile", "Look", "Do", "Over"):
            assert re.search(rf"^- \*\*{part}\.\*\* \S", text, re.MULTILINE), (
                alert,
                part,
            )


def test_the_page_on_metrics_lists_every_rule() -> None:
    """No rule is missing from the table, and none stands there that does not exist."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| `Earwitness.*$", page, re.MULTILINE))
    assert sorted(re.findall(r"`(Earwitness\w+)`", rows)) == sorted(alerts())
