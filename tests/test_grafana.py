"""The dashboard of docs/grafana: every expression is one of Prometheus', every metric one of ours.

That docs/metrics.md names the metrics that a worker shows is seen in tests/test_metrics.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from .deployment import ROOT
from .test_alert_rules import needs_promtool

DASHBOARD = ROOT / "docs" / "grafana" / "earwitness.json"
#: What Grafana puts in place of its variables.
VARIABLES = {"$account": ".*", "$__rate_interval": "5m"}
#: What Prometheus adds to the name of a histogram.
_PARTS = re.compile(r"_(bucket|sum|count)$")


def panels() -> list[dict[str, Any]]:
    """The panels that show something."""
    every = json.loads(DASHBOARD.read_text())["panels"]
    return [one for one in every if one["type"] != "row"]


def expressions() -> list[str]:
    """Every expression, with values in place of Grafana's variables."""
    found = []
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            found.append(expression)
    return found


@needs_promtool
def test_promtool_accepts_every_expression(tmp_path: Path) -> None:
    """Each can be computed by Prometheus."""
    rules = [{"record": f"one:{n}", "expr": one} for n, one in enumerate(expressions())]
    file = tmp_path / "rules.json"  # JSON is YAML, too
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    said = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{len(rules)} rules found" in said.stdout


def test_every_metric_is_one_of_ours() -> None:
    """The page of the metrics has each that a panel or a variable asks for."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    used = set(re.findall(r"\bearwitness_\w+", DASHBOARD.read_text()))
    assert len(used) > 20
    for name in used:
        plain = _PARTS.sub("", name)
        assert f"`{name}`" in page or f"`{plain}`" in page, name


def test_panels_lie_beside_each_other() -> None:
    """No two panels have one id or cover one place, and each has a title and a data source that
    people choose.
    """
    taken: set[tuple[int, int]] = set()
    ids = [one["id"] for one in json.loads(DASHBOARD.read_text())["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
