"""The alert rules of docs/earwitness.rules.yml, as Prometheus' own program judges them.

That the metrics they look at exist is seen in tests/test_metrics.py, at a worker that runs.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from .alert_rules import RULES, TESTS, alerts

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
        timeout=60,
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
    for needed in ("severity:", "summary:", "description:"):
        assert RULES.read_text().count(f" {needed}") + RULES.read_text().count(
            f"{{{needed}"
        ) == len(alerts()), needed
